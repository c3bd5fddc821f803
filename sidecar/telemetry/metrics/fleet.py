"""What this host exchanges with the other hosts of its fleet. A host without a fleet has none of these metrics."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.telemetry.metrics.declare import LATER, Declaration, begin_at_zero

# Direction -> what can become of a decision. `failed` is sent again. `dropped` had to make room; other hosts
# get it with the next exchange of all bans. `proposed` is a ban for hosts that saw packets of the address.
# `redundant` was known, may not be banned here, or is older than a decision of this host.
RESULTS: Final = {"sent": ("ok", "failed", "dropped", "proposed"), "received": ("ok", "redundant")}


class FleetMetrics:
    """Figures about the fleet. Any thread may report."""

    def __init__(self, declare: Declaration, *, rejections: Iterable[str] = ()) -> None:
        """`rejections`: why a message can be rejected, as the fleet's protocol names the reasons."""
        self._connected = declare.gauge(
            "fleet_connected",
            "Whether the fleet's Redis is connected and everything that was missed has been read (1) or not (0).",
        )
        self._peers = declare.gauge(
            "fleet_peers", "Other nodes of the fleet that were heard within the last minute."
        )
        self._lag = declare.gauge(
            "fleet_lag_seconds",
            "Age of the last message of a peer when it arrived. The first 100 peers have their own series, the others"
            " share the peer `other`.",
            peer=LATER,
        )
        self._bans = declare.counter(
            "fleet_bans_total",
            "Decisions sent to the fleet (ok, failed, dropped, or proposed for want of a witness) and bans received"
            " from it (ok or redundant).",
            direction=LATER,
            result=LATER,
        )
        for direction, results in RESULTS.items():
            begin_at_zero(self._bans, direction=(direction,), result=results)
        self._outbox = declare.gauge("fleet_outbox_decisions", "Decisions that wait to be sent to the fleet.")
        self._rejected = declare.counter(
            "fleet_rejected_total",
            "Bans and lifts from other nodes that were not accepted, by reason.",
            reason=rejections,
        )

    def connected(self, *, up: bool) -> None:
        self._connected.set(up)

    def peers(self, count: int) -> None:
        self._peers.set(count)

    def lag(self, peer: str, seconds: float) -> None:
        """Take the age of a peer's message. The name comes from outside; the caller keeps the number of names small."""
        self._lag.labels(peer).set(seconds)

    def bans(self, direction: str, result: str, count: int) -> None:
        """Count decisions that were `sent` or `received`, with one of the `RESULTS`."""
        self._bans.labels(direction, result).inc(count)

    def outbox(self, length: int) -> None:
        self._outbox.set(length)

    def rejected(self, reason: str, count: int) -> None:
        self._rejected.labels(reason).inc(count)
