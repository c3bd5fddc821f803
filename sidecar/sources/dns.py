"""Names in logs -> addresses, outside the threads that read logs (`usedns = yes`). The hits follow later.

A name in a log is what an attacker wrote, or what the attacker's own name server answers: `usedns` lets them choose
which address is banned. So lookups are bounded: a few at once, a queue that drops what does not fit, and an answer is
kept for a while.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from sidecar.config.settings import Settings
from sidecar.core.address import Address
from sidecar.core.events import Hit, Read
from sidecar.runtime.clock import Clock
from sidecar.runtime.dns import lookup_addresses
from sidecar.runtime.loop import Closed, Inbox
from sidecar.runtime.supervisor import Service
from sidecar.sources.factories import SourceConfig, SourceInputs

# Lookups at once.
WORKERS: Final = 4
# Names that wait for a worker; more are dropped.
MAX_QUEUED_NAMES: Final = 256
# How long an answer is kept, also an empty one; fail2ban's.
ANSWER_LIFETIME_S: Final = 300.0
MAX_KEPT_ANSWERS: Final = 4_096
# After this an answer is not used for the failure that asked; it is kept for the next.
ANSWER_TIMEOUT_S: Final = 10.0
# Addresses of one name that count; more are dropped.
MAX_ADDRESSES: Final = 4


class _Question(NamedTuple):
    """Hits for each address of a name, and when that was asked (monotonic clock)."""

    name: str
    hits: Sequence[Hit]
    at: float


class Resolver:
    """A service that looks names up and puts their hits before the loop. Any thread may `ask`.

    `dropped` counts hits for which there was no room in the queue, or no answer in time.
    """

    name = "resolver"

    def __init__(
        self,
        inbox: Inbox,
        lookup: Callable[[str], tuple[Address, ...]] = lookup_addresses,
        clock: Clock = time.monotonic,
    ) -> None:
        self.dropped = 0
        self._inbox, self._lookup, self._clock = inbox, lookup, clock
        # Each name's addresses, and when they were looked up.
        self._answers: dict[str, tuple[float, tuple[Address, ...]]] = {}
        self._queue: queue.Queue[_Question | None] = queue.Queue(MAX_QUEUED_NAMES)

    def ask(self, name: str, hits: Sequence[Hit]) -> None:
        """Have these hits count for each address of this name. Never waits."""
        try:
            self._queue.put_nowait(_Question(name, hits, self._clock()))
        except queue.Full:
            self.dropped += len(hits)

    def run(self) -> None:
        """Answer until closed."""
        # As daemons: a thread that waits for a server without answer ends with the process.
        others = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS - 1)]
        for other in others:
            other.start()
        self._work()

    def close(self) -> None:
        """End all workers; what is still queued may be dropped for that."""
        for _ in range(WORKERS):
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                self._queue.get_nowait()
                self._queue.put_nowait(None)

    def _work(self) -> None:
        while question := self._queue.get():
            addresses = self._addresses(question.name)
            hits = question.hits
            if self._clock() - question.at > ANSWER_TIMEOUT_S:
                self.dropped += len(hits)
            elif addresses:
                found = tuple(hit._replace(address=address) for address in addresses for hit in hits)
                # Without a cursor, as the line's own is stored already.
                with contextlib.suppress(Closed):
                    self._inbox.read(Read(hits[0].origin, found))

    def _addresses(self, name: str) -> tuple[Address, ...]:
        known = self._answers.get(name)
        if known and self._clock() - known[0] < ANSWER_LIFETIME_S:
            return known[1]
        addresses = self._lookup(name)[:MAX_ADDRESSES]
        while len(self._answers) >= MAX_KEPT_ANSWERS:
            self._answers.pop(next(iter(self._answers)), None)
        self._answers.pop(name, None)
        self._answers[name] = self._clock(), addresses
        return addresses


class ResolverFactory:
    """Lookups of names in logs, for filters with `usedns`."""

    name = "resolver"
    reports_topology = False

    def is_needed(self, settings: Settings) -> bool:
        return any(log_filter.resolves_names for log_filter in settings.filters.values())

    def make(self, _config: SourceConfig, inputs: SourceInputs) -> ConfiguredResolver:
        return ConfiguredResolver((inputs.resolver,))


@dataclass(frozen=True, slots=True)
class ConfiguredResolver:
    """The resolver; it answers what the matcher asks, so new settings change nothing in it."""

    services: tuple[Service, ...]

    def reconfigure(self, config: SourceConfig) -> None: ...
