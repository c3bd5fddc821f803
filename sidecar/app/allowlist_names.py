"""What the host names in `ignoreip` stand for: looked up again and again, beside everything else.

Whoever answers for such a name decides who is never banned. So a name stands for a few addresses at most, never for a
network; and an answer that fails takes nobody off: the last good one holds until there is another.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final, Protocol

from sidecar.core.address import Address
from sidecar.runtime.dns import lookup_addresses

log = logging.getLogger(__name__)

EVERY: Final = 60.0  # seconds between looks, a fifth more or less: a dynamic address is seldom known sooner
PATIENCE: Final = 2.0  # seconds that the start waits for the first answers, and a look for those of one round
MOST: Final = 32  # addresses of one name
AT_ONCE: Final = 8  # look-ups
STALE: Final = (
    3600.0  # seconds without an answer after which people are told; the last good one holds all the same
)


class Report(Protocol):
    """`health.Problems.report`."""

    def __call__(self, name: str, sentence: str | None, /, *, critical: bool = True) -> None: ...


def addresses(name: str) -> tuple[Address, ...]:
    """Return the addresses of this name now, in order, at most MOST; none if they are not known."""
    return tuple(sorted(lookup_addresses(name)))[:MOST]


class Names:
    """A service. `known` are the last good answers."""

    name = "names"

    def __init__(
        self,
        names: Iterable[str],
        told: Callable[[], None],
        report: Report,
        lookup: Callable[[str], tuple[Address, ...]] = addresses,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`told()` is called where `known` has changed, in the service's thread."""
        self.known: Mapping[str, tuple[Address, ...]] = {}
        self._names: tuple[str, ...] = ()
        self._told, self._report, self._lookup, self._clock = told, report, lookup, clock
        self._answers: dict[str, tuple[float, tuple[Address, ...]]] = {}  # when, and what
        self._asking: set[str] = set()  # without an answer yet
        self._wrong: frozenset[str] = frozenset()
        self._lock = threading.Lock()
        self._looked, self._soon, self._closed = threading.Event(), threading.Event(), threading.Event()
        self.use(names)

    def use(self, names: Iterable[str]) -> None:
        """From now on these names. Any thread may call it."""
        before, self._names = self._names, tuple(dict.fromkeys(names))
        for name in set(before) - set(self._names):
            self._report(_trouble(name), None)
        if self._names != before:  # else an answer that is never the same would be asked for without a pause
            self._soon.set()

    def first(self, patience: float = PATIENCE) -> None:
        """Wait for the first answers, and no longer than this: a slow name server keeps nobody unprotected."""
        if self._names:
            self._looked.wait(patience)

    def run(self) -> None:
        while not self._closed.is_set():
            self._soon.clear()
            self.look()
            self._looked.set()
            self._soon.wait(EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - so that a fleet does not ask as one

    def close(self) -> None:
        self._closed.set()
        self._soon.set()

    def look(self, patience: float = PATIENCE) -> None:
        """Ask for all names, and tell of what is new. What takes longer than this is in the next look."""
        with self._lock:
            waiting = [name for name in self._names if name not in self._asking]
            self._asking.update(waiting)
        queue = iter(waiting)
        threads = [threading.Thread(target=self._work, args=(queue,), daemon=True) for _ in waiting[:AT_ONCE]]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + patience
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._tell()

    def _work(self, waiting: Iterator[str]) -> None:
        for name in waiting:  # a list's iterator: each name is one thread's
            found = self._lookup(name)
            with self._lock:
                self._asking.discard(name)
                if found:
                    self._answers[name] = self._clock(), found

    def _tell(self) -> None:
        now, names = self._clock(), self._names
        with self._lock:
            self._answers = {name: self._answers[name] for name in names if name in self._answers}
            answers = dict(self._answers)
        wrong = {name: sentence for name in names if (sentence := self._sentence(name, answers, now))}
        for name in names:
            if name in wrong and name not in self._wrong:
                log.warning("%s", wrong[name])
            self._report(_trouble(name), wrong.get(name), critical=False)
        self._wrong = frozenset(wrong)
        known = {name: found for name, (_, found) in answers.items()}
        if known != self.known:
            self.known = known
            self._told()

    def _sentence(
        self, name: str, answers: Mapping[str, tuple[float, tuple[Address, ...]]], now: float
    ) -> str | None:
        """What is wrong with this name, if anything."""
        if name not in answers:
            return f"{name} in ignoreip does not resolve, so whoever it stands for may be banned; correct it"
        silent = now - answers[name][0]
        if silent <= STALE:
            return None
        last = ", ".join(answers[name][1])
        return f"{name} in ignoreip has not resolved for {silent / 3600:.0f} h; {last} stays on the never-ban list"


def _trouble(name: str) -> str:
    return f"the name {name}"
