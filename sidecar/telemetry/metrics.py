"""What Prometheus sees: a sink of the loop's turns, and what the edges tell. docs/metrics.md has the table.

Labels are jails, containers and the like, never addresses: an attacker must not be able to make series.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterable, Mapping
from itertools import product

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    disable_created_metrics,
)

from sidecar.core.address import Address
from sidecar.core.events import BanCause, Origin, Turn, Unban, UnbanCause
from sidecar.core.queries import GuardUsage
from sidecar.firewall import RepairKind

FAMILIES = ("ipv4", "ipv6")
TOLD = {
    "sent": ("ok", "failed", "dropped"),
    "received": ("ok", "nothing new"),
}  # what becomes of a fleet's bans
IGNORED = ("banned already",)  # the reasons that every run has; trust's own come as they happen
REPAIRED = tuple(RepairKind)
# Of `sidecar.advice.bypass.BypassKind`, which is in the same layer.
LEAKED = ("hook", "flushed", "ports", "docker_proxy", "upstream_proxy", "unknown")
# Seconds. The goal for a line to become a drop is 5 ms; a transaction takes some 0.3 ms.
LOG_TO_DROP = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
COMMIT = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)


class Metrics:
    """All figures of one run. Any thread may tell: 2 microseconds for a batch of lines, and for a ban."""

    name = "metrics"

    def __init__(
        self,
        registry: CollectorRegistry,
        version: str,
        *,
        jails: Iterable[str] = (),
        senders: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they double the series
        ProcessCollector(registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"wp_sidecar_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"wp_sidecar_{name}", meaning, labels, registry=registry)

        def histogram(name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"wp_sidecar_{name}", meaning, buckets=buckets, registry=registry)

        self._failures = counter("failures_total", "Log lines that matched a jail's filter", "jail")
        self._bans = counter("bans_total", "Bans decided", "jail", "family", "cause")
        self._unbans = counter("unbans_total", "Bans ended", "jail", "family", "cause")
        self._active = gauge("bans_active", "Bans in force", "jail", "family")
        self._ignored = counter("ignored_total", "Failures that did not count", "reason")
        self._latency = histogram(
            "log_to_drop_seconds", "From a line's own time to the drop in force", LOG_TO_DROP
        )
        self._lines = counter("log_lines_total", "Log lines read", "container", "stream")
        self._bytes = counter("log_bytes_total", "Bytes of log lines read", "container", "stream")
        self._up = gauge("log_stream_up", "Whether the log is being followed", "container")
        self._reconnects = counter(
            "log_stream_reconnects_total", "Times the log was opened again", "container", "reason"
        )
        self._overlong = counter("log_lines_overlong_total", "Lines too long, and cut", "container")
        self._gaps = counter("log_gaps_total", "Times lines were rotated away unread", "container")
        self._last = gauge(
            "last_log_timestamp_seconds", "The time of the last line read, in unix time", "container"
        )
        self._transactions = counter("nft_transactions_total", "Firewall transactions", "result")
        self._commit = histogram("nft_commit_seconds", "Duration of a firewall transaction", COMMIT)
        self._repairs = counter(
            "table_repairs_total", "Times the firewall table was put right again", "reason"
        )
        self._enforcement = gauge(
            "enforcement_ratio",
            "Of those who are to be kept out, the share that the last look found kept out",
        )
        self._leaks = counter(
            "leaks_total", "Banned addresses that were logged all the same, by what lets them through", "kind"
        )
        self._unwritten = counter("log_messages_dropped_total", "Own log lines that nobody read in time")
        self._packets = counter("dropped_packets_total", "Packets dropped", "family")
        self._octets = counter("dropped_bytes_total", "Bytes of packets dropped", "family")
        self._alerts = counter("alerts_total", "Messages to people", "sink", "result")
        self._alerts_dropped = counter("alerts_dropped_total", "Messages to people given up untried")
        self._queue = gauge("queue_length", "Batches of log that wait for the loop")
        self._filter_seconds = counter(
            "filter_seconds_total", "Time spent on deciding lines that may be failures", "filter"
        )
        self._filter_matches = counter(
            "filter_matches_total", "Lines that a filter took for failures", "filter"
        )
        self._exposed = gauge(
            "exposed_containers",
            "Watched containers whose log may name a stranger: IPv6 clients come as a gateway",
        )
        self._spared = counter(
            "spared_failures_total", "Failures of who may never be banned", "container", "reason"
        )
        self._budget = gauge(
            "ban_budget_exceeded", "Whether so much was to be banned that new bans are only told"
        )
        self._observed = counter("observed_bans_total", "Bans decided and told, but not enforced", "jail")
        self._tracked = gauge("tracked", "Addresses whose failures are counted", "jail")
        self._remembered = gauge("history_addresses", "Addresses whose former bans are remembered")
        self._given_up = {
            "tracked": counter(
                "tracked_dropped_total", "Addresses whose failures were given up for want of room"
            ),
            "evidence": counter("evidence_dropped_total", "Lines of evidence given up for want of room"),
            "history": counter("history_dropped_total", "Addresses whose former bans were given up likewise"),
            "names": counter("names_dropped_total", "Failures of names that were not looked up in time"),
        }
        self._reload_ok = gauge(
            "config_last_reload_successful",
            "Whether the last configuration that was read is the one in force",
        )
        self._reload_at = gauge(
            "config_last_reload_success_timestamp_seconds",
            "When the configuration in force was read, in unix time",
        )
        Info("wp_sidecar_build", "What is running", registry=registry).info({"version": version})

        self._clock = clock
        self._enforced = True  # did the firewall take its last transaction?
        self._kept_out: Callable[[], Mapping[tuple[str, int], int]] = dict  # nobody, until `follow`
        self._unread = 0  # of our own log lines, so far
        self._totals: dict[tuple[Counter, str], float] = {}  # what counters kept elsewhere said last
        self._tracking: set[str] = set()  # the jails that have a series of `tracked`
        self._reads: dict[tuple[str, str], tuple[Counter, Counter]] = {}
        self.expect(jails, senders)

    def expect(self, jails: Iterable[str] = (), senders: Iterable[str] = ()) -> None:
        """From now on there are these jails and senders, with zeros until something happens.

        A series that begins with its first event hides that event from `rate()`.
        """
        for jail in jails:
            self._failures.labels(jail)
            self._tracked.labels(jail)
            self._observed.labels(jail)
            for family in FAMILIES:
                self._active.labels(jail, family)
            for family, cause in product(FAMILIES, BanCause):
                self._bans.labels(jail, family, cause)
            for family, unban_cause in product(FAMILIES, UnbanCause):
                self._unbans.labels(jail, family, unban_cause)
        for sender, result in product(senders, ("sent", "rejected", "failed")):
            self._alerts.labels(sender, result)
        for metric, labels in (
            (self._transactions, ("ok", "error")),
            (self._packets, FAMILIES),
            (self._octets, FAMILIES),
            (self._ignored, IGNORED),
            (self._repairs, REPAIRED),
            (self._leaks, LEAKED),
        ):
            for label in labels:
                metric.labels(label)

    # The loop's

    def follow(self, active: Callable[[], Mapping[tuple[str, int], int]]) -> None:
        """Where to ask, in the loop's thread, how many are kept out: (jail, IP version) -> number."""
        self._kept_out = active
        self._count_active()

    def apply(self, turn: Turn) -> None:
        """Call it after the firewall: a ban of this turn is in force now, if that worked."""
        for jail, count in Tally([hit.jail for hit in (*turn.hits, *turn.ignored)]).items():
            self._failures.labels(jail).inc(count)
        if not turn.decisions:
            return
        counts: Tally[tuple[Counter, str, str, str]] = Tally()
        now = self._clock()
        for each in turn.decisions:
            kind = family(each.address)
            if isinstance(each, Unban):
                counts[self._unbans, each.jail, kind, each.cause] += 1
                continue
            counts[self._bans, each.jail, kind, each.cause] += 1
            if each.dry_run:
                self._observed.labels(each.jail).inc()
                continue
            if each.cause == BanCause.FAILURES and self._enforced:
                self._latency.observe(max(0.0, now - each.at))
        for (counter, *labels), count in counts.items():
            counter.labels(*labels).inc(count)
        self._count_active()

    def ignored(self, totals: Mapping[str, float]) -> None:
        """How many failures did not count so far, by the reason."""
        for reason, total in totals.items():
            self._follow(self._ignored, reason, total)

    def spared(self, container: str, reason: str, count: int) -> None:
        """So many more failures there, of those who for this reason may never be banned."""
        self._spared.labels(container, reason).inc(count)

    def exposed(self, containers: int) -> None:
        self._exposed.set(containers)

    def budget(self, exceeded: bool) -> None:  # noqa: FBT001 - it is what is told
        self._budget.set(exceeded)

    def queue(self, length: Callable[[], float]) -> None:
        """Where to ask, at each scrape, how many batches wait."""
        self._queue.set_function(length)

    def filters(self, totals: Mapping[str, tuple[float, int]]) -> None:
        """What each filter took so far: seconds, and lines that matched."""
        for name, (seconds, matches) in totals.items():
            self._follow(self._filter_seconds, name, seconds)
            self._follow(self._filter_matches, name, matches)

    def caps(self, usage: GuardUsage, names: int) -> None:
        """How full what is bounded is, and what was given up so far; `names`: failures of names that were."""
        for jail in self._tracking - usage.tracked_addresses.keys():
            self._tracked.remove(jail)
        self._tracking = set(usage.tracked_addresses)
        for jail, count in usage.tracked_addresses.items():
            self._tracked.labels(jail).set(count)
        self._remembered.set(usage.history_addresses)
        totals = {
            "tracked": usage.dropped_addresses, "evidence": usage.dropped_evidence_lines,
            "history": usage.dropped_history_addresses, "names": names,
        }  # fmt: skip
        for what, total in totals.items():
            before = self._totals.get((self._given_up[what], ""), 0)
            self._given_up[what].inc(
                max(0, total - before)
            )  # a jail that is gone takes its share of the sum along
            self._totals[self._given_up[what], ""] = total

    def reloaded(self, ok: bool, at: float) -> None:  # noqa: FBT001 - it is what is told
        """A configuration was read at this time (unix), and is or is not the one in force now."""
        self._reload_ok.set(ok)
        if ok:
            self._reload_at.set(at)

    # The sources'

    def read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None:
        """A batch was read: so many lines, bytes, and the time of its last line."""
        key = (origin.name, origin.stream)
        if (children := self._reads.get(key)) is None:
            children = self._reads[key] = self._lines.labels(*key), self._bytes.labels(*key)
        children[0].inc(lines)
        children[1].inc(size)
        if last is not None:
            self._last.labels(origin.name).set(last)

    def following(self, container: str, up: bool) -> None:  # noqa: FBT001 - it is what is told
        """Whether its log is being read right now."""
        self._up.labels(container).set(up)

    def reconnected(self, container: str, reason: str) -> None:
        self._reconnects.labels(container, reason).inc()

    def overlong(self, container: str, count: int = 1) -> None:
        self._overlong.labels(container).inc(count)

    def gap(self, container: str) -> None:
        self._gaps.labels(container).inc()

    def forget(self, container: str) -> None:
        """It is gone, and so are its series."""
        for key in [key for key in list(self._reads) if key[0] == container]:
            del self._reads[key]
        for metric in (
            self._lines,
            self._bytes,
            self._up,
            self._reconnects,
            self._overlong,
            self._gaps,
            self._last,
            self._spared,
        ):
            metric.remove_by_labels({"container": container})

    # The firewall's

    def transaction(self, seconds: float, error: bool = False) -> None:  # noqa: FBT001, FBT002 - likewise
        """One transaction took so long, and did or did not fail."""
        self._enforced = not error
        self._transactions.labels("error" if error else "ok").inc()
        self._commit.observe(seconds)

    def enforced(self, present: int, wanted: int) -> None:
        """So many of the wanted are kept out; of nobody, everyone is."""
        self._enforcement.set(present / wanted if wanted else 1)

    def bypassed(self, kind: str) -> None:
        self._leaks.labels(kind).inc()

    def unwritten(self, total: int) -> None:
        """How many of our own log lines were given up so far."""
        self._unwritten.inc(total - self._unread)
        self._unread = total

    def repaired(self, reason: str) -> None:
        self._repairs.labels(reason).inc()

    def dropped(self, family: str, packets: int, size: int) -> None:
        """What the kernel's counters say; they begin at zero again when the table does, ours do not."""
        self._follow(self._packets, family, packets)
        self._follow(self._octets, family, size)

    # The alerts'

    def alerted(self, sink: str, result: str) -> None:
        self._alerts.labels(sink, result).inc()

    def alerts_dropped(self, count: int) -> None:
        self._alerts_dropped.inc(count)

    def _follow(self, counter: Counter, label: str, total: float) -> None:
        """Keep up with a counter that is kept elsewhere and may have begun again."""
        before = self._totals.get((counter, label), 0)
        counter.labels(label).inc(total - before if total >= before else total)
        self._totals[counter, label] = total

    def _count_active(self) -> None:
        for (jail, version), count in self._kept_out().items():
            self._active.labels(jail, f"ipv{version}").set(count)


class FleetMetrics:
    """The figures of a host that is in a fleet; one that is alone has none of them. Any thread may tell."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, meaning: str, *labels: str) -> Gauge:
            return Gauge(f"wp_sidecar_fleet_{name}", meaning, labels, registry=registry)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"wp_sidecar_fleet_{name}", meaning, labels, registry=registry)

        self._connected = gauge("connected", "Whether the fleet's Redis is in touch")
        self._peers = gauge("peers", "Other nodes of the fleet that are there")
        self._lag = gauge("lag_seconds", "How old a peer's last news was when it came here", "peer")
        self._bans = counter("bans_total", "Bans told to and by the fleet", "direction", "result")
        self._outbox = gauge("outbox_length", "Decisions that the fleet is still to be told")
        self._rejected = counter("rejected_total", "What the fleet told and was not believed", "reason")
        for direction, results in TOLD.items():
            for result in results:
                self._bans.labels(direction, result)

    def connected(self, *, up: bool) -> None:
        self._connected.set(up)

    def peers(self, count: int) -> None:
        self._peers.set(count)

    def lag(self, peer: str, seconds: float) -> None:
        """`peer` comes from outside: whoever tells sees to it that there are few."""
        self._lag.labels(peer).set(seconds)

    def bans(self, direction: str, result: str, count: int) -> None:
        self._bans.labels(direction, result).inc(count)

    def outbox(self, length: int) -> None:
        self._outbox.set(length)

    def rejected(self, reason: str, count: int) -> None:
        self._rejected.labels(reason).inc(count)


def family(address: Address) -> str:
    return "ipv6" if ":" in address else "ipv4"
