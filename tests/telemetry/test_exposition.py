from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from sidecar.telemetry.exposition import Exposition


def test_it_is_what_the_client_library_writes(scrape):
    """All our metrics, and those of the process: nothing of these moves between two readings but its processor time."""
    scrape.metrics.sites.failed('a "quoted" \\ name\n', "login", 3)
    scrape.metrics.loop.written(0.002)

    def lines(text):
        return [line for line in text.decode().splitlines() if not line.startswith("process_")]

    assert lines(Exposition(scrape.registry).text()) == lines(generate_latest(scrape.registry))


def test_values_and_series_are_those_of_now():
    registry = CollectorRegistry()
    counter = Counter("seen_total", "Seen.\nTwice \\.", ["what"], registry=registry)
    gauge = Gauge("size", "Size.", registry=registry)
    Histogram("took", "Took.", registry=registry).observe(0.3)
    exposition = Exposition(registry)
    counter.labels("a").inc()
    exposition.text()
    counter.labels("a").inc()
    counter.labels("b").inc()
    gauge.set(float("inf"))

    assert exposition.text() == generate_latest(registry)

    counter.remove("a")

    assert exposition.text() == generate_latest(registry)
    assert not any("a" in head for head in exposition._heads if head[0] == "seen_total")
