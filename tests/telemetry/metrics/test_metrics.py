"""All metrics together."""

from prometheus_client import CollectorRegistry, generate_latest

from sidecar.telemetry.metrics import KnownLabels, Metrics
from sidecar.telemetry.metrics.declare import Declaration


def test_a_host_without_a_fleet_has_no_metrics_about_one():
    registry = CollectorRegistry()
    metrics = Metrics.declared(Declaration(registry), "1.2.3", KnownLabels())

    assert metrics.fleet is None
    assert "wp_sidecar_fleet_" not in generate_latest(registry).decode()


def test_every_series_that_is_known_at_the_start_is_zero(scrape):
    """But for the version, and what the client measures itself."""
    series = [line for line in scrape.text.splitlines() if line.startswith("wp_sidecar_")]
    others = [line for line in series if not line.endswith(" 0.0") and "build_info" not in line]

    assert len(series) > 60
    assert others == []
