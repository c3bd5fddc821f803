import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecar.telemetry.metrics.declare import (
    BoundedPairs,
    Declaration,
    DeclaredMetric,
    MirroredSum,
    MirroredTotals,
    begin_at_zero,
)


@pytest.fixture
def declare():
    return Declaration(CollectorRegistry())


def series(declare):
    lines = generate_latest(declare.registry).decode().splitlines()
    return dict(line.rsplit(" ", 1) for line in lines if line[0] != "#")


class PatienceMetrics:
    """A new metric, in the one place that a metric needs."""

    def __init__(self, declare):
        self._waits = declare.counter("waits_total", "Times that something waited.", part=("loop", "source"))

    def waited(self, part):
        self._waits.labels(part).inc()


def test_a_new_metric_is_declared_once_begins_at_zero_and_is_documented(declare):
    PatienceMetrics(declare).waited("loop")

    assert series(declare) == {
        'wp_sidecar_waits_total{part="loop"}': "1.0",
        'wp_sidecar_waits_total{part="source"}': "0.0",
    }
    assert declare.declared == [
        DeclaredMetric("wp_sidecar_waits_total", "counter", ("part",), "Times that something waited.")
    ]


def test_every_combination_of_known_values_begins_at_zero(declare):
    metric = declare.gauge("x", "X.", one=(), two=("a",))
    assert series(declare) == {}

    begin_at_zero(metric, one=("1", "2"), two=("a", "b"))
    assert len(series(declare)) == 4


def test_no_series_of_creation_times(declare):
    declare.counter("x_total", "X.")

    assert list(series(declare)) == ["wp_sidecar_x_total"]


def test_a_mirrored_total_goes_on_where_its_origin_began_again(declare):
    mirrored = MirroredTotals(declare.counter("x_total", "X.", label=()))
    for total in (5, 7, 2):
        mirrored.update({"a": total})

    assert series(declare) == {'wp_sidecar_x_total{label="a"}': "9.0"}


def test_a_mirrored_sum_stays_where_a_part_is_gone(declare):
    mirrored = MirroredSum(declare.counter("x_total", "X."))
    for total in (5, 2, 4):
        mirrored.update(total)

    assert series(declare) == {"wp_sidecar_x_total": "7.0"}


def test_pairs_beyond_the_bound_are_counted_together(monkeypatch):
    monkeypatch.setattr("sidecar.telemetry.metrics.declare.MAX_PAIRS", 2)
    pairs = BoundedPairs()

    assert [pairs.labels(name, "login")[0] for name in "abcda"] == ["a", "b", "(others)", "(others)", "a"]

    pairs.forget("a")

    assert [pairs.labels(name, "login")[0] for name in "cdb"] == ["c", "(others)", "b"]
