"""What happened within the last day, in slots of some minutes, and the last events: for the page's charts and list."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from sidecar.core.events import Ban, Decision, Turn
from sidecar.core.guard import Guard

SLOT_S: Final = 600.0
# A day.
SLOTS: Final = 144
KEPT_EVENTS: Final = 50


class RecentEvent(NamedTuple):
    """A ban or an unban. `why` is its cause, or the reason that was given."""

    at: float
    jail: str
    address: str
    what: str
    why: str


@dataclass(slots=True)
class Slot:
    """What happened from `at` on, for SLOT_S seconds."""

    at: float
    failures: int = 0
    bans: int = 0
    drops: int = 0


class PacketCounter(Protocol):
    """Counts the packets that bans have dropped: the firewall's sink."""

    def count_drops(self) -> int | None: ...


class Activity:
    """A Sink, and a Chore. Written by the loop's thread and read by any."""

    name = "status page"

    def __init__(self, firewall: PacketCounter, now: float) -> None:
        self._firewall = firewall
        self._drops: int | None = None
        self._lock = threading.Lock()
        self._slots: deque[Slot] = deque([Slot(now // SLOT_S * SLOT_S)], maxlen=SLOTS)
        self._events: deque[RecentEvent] = deque(maxlen=KEPT_EVENTS)

    def apply(self, turn: Turn) -> None:
        with self._lock:
            slot = self._slot(turn.at)
            slot.failures += sum(not hit.success for hit in turn.hits)
            for each in turn.decisions[-KEPT_EVENTS:]:
                self._events.append(_event(each, turn.at))
            slot.bans += sum(isinstance(each, Ban) and not each.dry_run for each in turn.decisions)

    def run(self, _guard: Guard, now: float) -> Sequence[Decision]:
        """Count the packets that were dropped since the last call."""
        drops = self._firewall.count_drops()
        with self._lock:
            slot = self._slot(now)
            if drops is not None:
                # The kernel's counters begin at 0 again with each table.
                slot.drops += max(0, drops - self._drops) if self._drops is not None else 0
                self._drops = drops
        return ()

    def slots(self) -> list[Slot]:
        """Return the slots of the last day, the oldest first; the last one is not over."""
        with self._lock:
            return [Slot(each.at, each.failures, each.bans, each.drops) for each in self._slots]

    def events(self) -> list[RecentEvent]:
        """Return the last bans and unbans, the newest first."""
        with self._lock:
            return list(reversed(self._events))

    def _slot(self, now: float) -> Slot:
        """Return the slot of this time, after empty ones for the time in which nothing happened."""
        begin = now // SLOT_S * SLOT_S
        last = self._slots[-1]
        # A clock that was set back writes into the newest slot.
        missing = int((begin - last.at) // SLOT_S)
        for number in range(max(1, missing - SLOTS + 1), missing + 1):
            self._slots.append(Slot(last.at + number * SLOT_S))
        return self._slots[-1]


def _event(decision: Decision, at: float) -> RecentEvent:
    if isinstance(decision, Ban):
        what = "would be banned" if decision.dry_run else "banned"
        return RecentEvent(at, decision.jail, decision.address, what, decision.reason or decision.cause)
    return RecentEvent(at, decision.jail, decision.address, "unbanned", decision.cause)
