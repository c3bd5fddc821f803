"""Names in logs -> addresses, outside the threads that read (`usedns = yes`). What was found comes back as hits later.

A name is what an attacker wrote, or what his own DNS server answers: whoever switches this on lets him name whom to
ban. So it is never much work: a few look-ups at once, a bounded queue, and each answer is kept for a while.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core.address import Address, parse_address
from sidecar.core.events import Hit, Read
from sidecar.runtime.loop import Closed, Inbox
from sidecar.runtime.supervisor import Service
from sidecar.sources.factories import SourceConfig, SourceInputs

WORKERS: Final = 4
WAITING: Final = 256  # names that wait to be looked up; more are let go
KEPT: Final = 300.0  # seconds that an answer holds, also none at all; fail2ban's
MOST: Final = 4_096  # answers
TIMEOUT: Final = 10.0  # seconds after which an answer is of no use any more; it is kept for the next failure
FEW: Final = 4  # addresses of one name that count: nobody logs in from more

Answer = tuple[float, tuple[Address, ...]]


def addresses(name: str) -> tuple[Address, ...]:
    """Whom this name stands for now, at most FEW; nobody if it is not known."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    known = (parse_address(str(address[0])) for *_, address in found)
    return tuple(dict.fromkeys(one for one in known if one))[:FEW]


class Resolver:
    """A service: what was resolved it puts before the loop. Any thread may `ask`."""

    name = "resolver"

    def __init__(
        self,
        inbox: Inbox,
        lookup: Callable[[str], tuple[Address, ...]] = addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dropped = 0  # failures of names for which there was no room, or no time
        self._inbox, self._lookup, self._clock = inbox, lookup, clock
        self._answers: dict[str, Answer] = {}
        self._queue: queue.Queue[tuple[str, Sequence[Hit], float] | None] = queue.Queue(WAITING)

    def ask(self, name: str, hits: Sequence[Hit]) -> None:
        """These hits are of whoever this name stands for. Never waits."""
        try:
            self._queue.put_nowait((name, hits, self._clock()))
        except queue.Full:
            self.dropped += len(hits)

    def run(self) -> None:
        others = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS - 1)]
        for other in others:  # one that waits for a server that does not answer ends with the process
            other.start()
        self._work()

    def close(self) -> None:
        for _ in range(WORKERS):
            try:
                self._queue.put_nowait(None)
            except queue.Full:
                self._queue.get_nowait()
                self._queue.put_nowait(None)

    def _work(self) -> None:
        while asked := self._queue.get():
            name, hits, at = asked
            whose = self._answer(name)
            if self._clock() - at > TIMEOUT:
                self.dropped += len(hits)
            elif whose:
                found = tuple(hit._replace(address=one) for one in whose for hit in hits)
                with contextlib.suppress(Closed):
                    self._inbox.read(Read(hits[0].origin, found))  # its line's cursor is stored already

    def _answer(self, name: str) -> tuple[Address, ...]:
        known = self._answers.get(name)
        if known and self._clock() - known[0] < KEPT:
            return known[1]
        whose = self._lookup(name)
        while len(self._answers) >= MOST:
            self._answers.pop(next(iter(self._answers)), None)
        self._answers.pop(name, None)
        self._answers[name] = self._clock(), whose
        return whose


class ResolverFactory:
    """Look-ups of names in logs, for filters with `usedns`."""

    name = "resolver"
    reports_topology = False

    def is_needed(self, settings: Settings) -> bool:
        return any(rules.resolves_names for rules in settings.filters.values())

    def make(self, _config: SourceConfig, inputs: SourceInputs) -> ConfiguredResolver:
        return ConfiguredResolver((inputs.resolver,))


@dataclass(frozen=True, slots=True)
class ConfiguredResolver:
    """It looks up whatever the filters of the moment ask for."""

    services: tuple[Service, ...]

    def reconfigure(self, config: SourceConfig) -> None: ...
