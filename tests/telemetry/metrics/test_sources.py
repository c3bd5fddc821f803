from sidecar.core.events import Origin

OUT, ERR = (Origin("docker", "blog", stream, ("login",)) for stream in ("stdout", "stderr"))


def test_lines_are_counted_by_container_and_stream(scrape):
    scrape.metrics.sources.batch_read(OUT, lines=2, size=100, last=50.0)
    scrape.metrics.sources.batch_read(OUT, lines=1, size=10, last=50.5)
    scrape.metrics.sources.batch_read(ERR, lines=1, size=5, last=51.0)

    assert scrape("log_lines_total", "log_bytes_total", "log_last_line_timestamp_seconds") == {
        'log_lines_total{container="blog",stream="stdout"}': 3,
        'log_lines_total{container="blog",stream="stderr"}': 1,
        'log_bytes_total{container="blog",stream="stdout"}': 110,
        'log_bytes_total{container="blog",stream="stderr"}': 5,
        'log_last_line_timestamp_seconds{container="blog"}': 51,
    }


def test_a_log_that_is_opened_and_closed(scrape):
    scrape.metrics.sources.log_opened("blog")
    scrape.metrics.sources.log_closed("blog")
    scrape.metrics.sources.log_opened("shop")
    scrape.metrics.sources.log_opened("mail")
    scrape.metrics.sources.log_unreadable("mail")

    assert scrape.all("log_up") == {
        'log_up{container="blog"}': 0,
        'log_up{container="shop"}': 1,
        'log_up{container="mail"}': 0,
    }


def test_the_counters_of_a_log_begin_at_zero(scrape):
    scrape.metrics.sources.log_opened("blog")
    names = ("log_reopens_total", "log_gaps_total", "log_lines_truncated_total")
    zeros = {
        'log_reopens_total{container="blog",reason="idle"}': 0,
        'log_reopens_total{container="blog",reason="rotated"}': 0,
        'log_gaps_total{container="blog"}': 0,
        'log_lines_truncated_total{container="blog"}': 0,
    }
    assert scrape.all(*names) == zeros

    scrape.metrics.sources.log_reopened("blog", "idle")
    scrape.metrics.sources.log_gap("blog")
    scrape.metrics.sources.lines_truncated("blog", 3)

    assert scrape.all(*names) == zeros | {
        'log_reopens_total{container="blog",reason="idle"}': 1,
        'log_gaps_total{container="blog"}': 1,
        'log_lines_truncated_total{container="blog"}': 3,
    }


def test_a_container_that_is_gone_takes_its_series_along(scrape):
    for origin in (OUT, ERR, Origin("docker", "shop", "stdout")):
        scrape.metrics.sources.batch_read(origin, lines=1, size=1, last=1.0)
        scrape.metrics.sources.log_opened(origin.name)
        scrape.metrics.allowlist.failed(origin.name, "ignoreip", 1)
    for name in ("blog", "never seen"):
        scrape.metrics.sources.log_removed(name)
        scrape.metrics.allowlist.log_removed(name)

    assert (scrape.text.count('container="blog"'), scrape.text.count('container="shop"')) == (0, 9)

    scrape.metrics.sources.batch_read(OUT, lines=1, size=1)
    assert scrape("log_lines_total")['log_lines_total{container="blog",stream="stdout"}'] == 1


def test_the_last_line_of_a_log_without_times_was_written_when_it_was_read(scrape):
    """As in a plain file."""
    scrape.metrics.sources.batch_read(OUT, lines=1, size=10)

    assert scrape("log_last_line_timestamp_seconds") == {
        'log_last_line_timestamp_seconds{container="blog"}': 100
    }
