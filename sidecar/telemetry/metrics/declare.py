"""How metrics are declared: in one registry, with one prefix, and beginning at 0.

A series that appears with its first event hides that event from Prometheus' `rate()` and `increase()`. So a
counter is declared with the values that its labels can have, and every combination of them exists from the
start. Values that are known later, such as the names of jails, are added with `begin_at_zero`. Labels are
never addresses: an attacker must not be able to create series.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Final, NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, disable_created_metrics

PREFIX: Final = "wp_sidecar_"
# The values of the label `family`.
FAMILIES: Final = ("ipv4", "ipv6")
# Series of a counter by container and jail. A scrape of this many takes 7 ms.
MAX_PAIRS: Final = 1_000
OTHERS: Final = "(others)"
# Stands for the values of a label that are not known yet.
LATER: Final[tuple[str, ...]] = ()


class DeclaredMetric(NamedTuple):
    """A metric as the documentation lists it."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


class Declaration:
    """Declares metrics in a registry, and lists them in `declared`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self.declared: list[DeclaredMetric] = []
        # Timestamps of creation would double the number of series.
        disable_created_metrics()  # type: ignore[no-untyped-call]

    def counter(self, name: str, text: str, **labels: Iterable[str]) -> Counter:
        """Declare a counter; `labels` are the label names with their known values."""
        metric = Counter(
            self._declared(name, "counter", text, labels), text, tuple(labels), registry=self.registry
        )
        begin_at_zero(metric, **labels)
        return metric

    def gauge(self, name: str, text: str, **labels: Iterable[str]) -> Gauge:
        """Declare a gauge; `labels` are the label names with their known values."""
        metric = Gauge(
            self._declared(name, "gauge", text, labels), text, tuple(labels), registry=self.registry
        )
        begin_at_zero(metric, **labels)
        return metric

    def histogram(self, name: str, text: str, buckets: Iterable[float]) -> Histogram:
        name = self._declared(name, "histogram", text)
        return Histogram(name, text, buckets=tuple(buckets), registry=self.registry)

    def info(self, name: str, text: str, **labels: str) -> None:
        """Declare a gauge that is always 1 and says something with its labels. Its name ends in `_info`."""
        name = self._declared(name, "gauge", text, labels)
        Info(name.removesuffix("_info"), text, registry=self.registry).info(labels)

    def _declared(self, name: str, kind: str, text: str, labels: Iterable[str] = ()) -> str:
        """Return the whole name."""
        self.declared.append(DeclaredMetric(PREFIX + name, kind, tuple(labels), text))
        return PREFIX + name


def begin_at_zero(metric: Counter | Gauge, **labels: Iterable[str]) -> None:
    """Create the series of every combination of these values, one value for each label of the metric."""
    if labels:
        for values in product(*labels.values()):
            metric.labels(**dict(zip(labels, values, strict=True)))


class BoundedPairs:
    """Pairs of a container and a jail: containers come and go for ever, so only MAX_PAIRS at a time have a series.

    All further ones are counted together, as `(others)`. Any thread may use it.
    """

    def __init__(self) -> None:
        self._known: set[tuple[str, str]] = set()

    def labels(self, container: str, jail: str) -> tuple[str, str]:
        """Return the values of the labels under which this pair is counted."""
        pair = container, jail
        if pair not in self._known:
            if len(self._known) >= MAX_PAIRS:
                return OTHERS, jail
            self._known.add(pair)
        return pair

    def forget(self, container: str) -> None:
        """Make room: this container is gone."""
        self._known.difference_update([pair for pair in list(self._known) if pair[0] == container])


class MirroredTotals:
    """A counter of totals that are kept elsewhere. Where one falls, it began again at 0, and the counter goes on."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._totals: dict[str, float] = {}

    def update(self, totals: Mapping[str, float]) -> None:
        """Bring the counter up to these totals, which are given by the value of its one label."""
        for label, total in totals.items():
            before = self._totals.get(label, 0.0)
            self._counter.labels(label).inc(total - before if total >= before else total)
            self._totals[label] = total


class MirroredSum:
    """A counter of a sum that is kept elsewhere. Where the sum falls, a part of it is gone; the counter stays."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._sum = 0.0

    def update(self, total: float) -> None:
        """Bring the counter up to this sum."""
        self._counter.inc(max(0.0, total - self._sum))
        self._sum = total
