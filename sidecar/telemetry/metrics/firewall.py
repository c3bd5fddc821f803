"""What happens in the kernel: transactions, repairs, dropped packets, and bans that are bypassed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.firewall import RepairKind
from sidecar.telemetry.metrics.declare import FAMILIES, Declaration, MirroredTotals

OK, ERROR = "ok", "error"
TRANSACTION_BUCKETS_S: Final = (
    0.0001,
    0.00025,
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
)


class FirewallMetrics:
    """Figures about the firewall. Any thread may report."""

    def __init__(self, declare: Declaration, *, bypass_kinds: Iterable[str] = ()) -> None:
        """`bypass_kinds`: the reasons that a bypass can have, as `advice.bypass` names them."""
        # Whether the last transaction worked: what was decided is in force.
        self.in_step = True
        self._transactions = declare.counter(
            "firewall_transactions_total", "Firewall transactions, by result.", result=(OK, ERROR)
        )
        self._duration = declare.histogram(
            "firewall_transaction_duration_seconds",
            "Duration of a firewall transaction.",
            TRANSACTION_BUCKETS_S,
        )
        self._repairs = declare.counter(
            "firewall_repairs_total",
            "Repairs of the firewall table after another program changed it, by what was changed:"
            " the whole table, its structure, its ports, its allowlist or its bans.",
            reason=RepairKind,
        )
        self._enforcement = declare.gauge(
            "firewall_enforcement_ratio",
            "Share of the bans in force that the last check found in the kernel. Missing bans are restored at once.",
        )
        self._bypasses = declare.counter(
            "bypassed_bans_total",
            "Banned addresses that were logged again by the same container, each counted once, by what lets them"
            " through.",
            kind=bypass_kinds,
        )
        self._packets = MirroredTotals(
            declare.counter(
                "dropped_packets_total", "Packets dropped from banned addresses.", family=FAMILIES
            )
        )
        self._bytes = MirroredTotals(
            declare.counter(
                "dropped_bytes_total", "Bytes of the packets dropped from banned addresses.", family=FAMILIES
            )
        )

    def transaction(self, seconds: float, error: bool = False) -> None:  # noqa: FBT001, FBT002 - a result
        """Count a transaction that took this long."""
        self.in_step = not error
        self._transactions.labels(ERROR if error else OK).inc()
        self._duration.observe(seconds)

    def enforced(self, present: int, wanted: int) -> None:
        """Take how many of the wanted bans a check found in the kernel; where none is wanted, all are."""
        self._enforcement.set(present / wanted if wanted else 1)

    def repaired(self, reason: str) -> None:
        self._repairs.labels(reason).inc()

    def bypassed(self, kind: str) -> None:
        self._bypasses.labels(kind).inc()

    def dropped(self, family: str, packets: int, size: int) -> None:
        """Take the kernel's counters. They begin again at 0 when the table is created again."""
        self._packets.update({family: packets})
        self._bytes.update({family: size})
