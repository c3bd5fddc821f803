import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecar.telemetry.metrics import KnownLabels, Metrics
from sidecar.telemetry.metrics.declare import Declaration

KNOWN = KnownLabels(
    jails=("login",),
    senders=("slack",),
    ignored_reasons=("invalid address",),
    reopen_reasons=("idle", "rotated"),
    bypass_kinds=("hook", "unknown"),
    fleet_rejections=("malformed", "budget"),
)


class Scrape:
    """Metrics with a registry of their own, at time 100, and what Prometheus reads of them."""

    def __init__(self):
        self.registry = CollectorRegistry()
        self.declare = Declaration(self.registry)
        self.metrics = Metrics.declared(self.declare, "1.2.3", KNOWN, fleet=True, clock=lambda: 100.0)

    @property
    def text(self):
        return generate_latest(self.registry).decode()

    def __call__(self, *names):
        """`name{labels}` -> value of the series of these names that are not 0."""
        return {key: value for key, value in self.all(*names).items() if value}

    def all(self, *names):
        """The same with those that are 0."""
        lines = [line for line in self.text.splitlines() if line[0] != "#"]
        series = {key: float(value) for key, value in (line.rsplit(" ", 1) for line in lines)}
        return {
            key.removeprefix("wp_sidecar_"): value
            for key, value in series.items()
            if key.partition("{")[0] in [f"wp_sidecar_{name}" for name in names]
        }


@pytest.fixture
def scrape():
    return Scrape()
