"""The addresses of the host names in `ignoreip`, resolved again and again beside everything else.

The DNS server of such a name decides which addresses are never banned. So a name stands for a few addresses at most and
never for a network. A lookup that fails takes no address off the allowlist: the last answer holds until there is
another.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from sidecar.core.address import Address
from sidecar.runtime.clock import Clock
from sidecar.runtime.dns import lookup_addresses
from sidecar.runtime.problems import Problems

# Between rounds, a fifth more or less. Dynamic DNS is seldom updated sooner.
LOOKUP_INTERVAL_S: Final = 60.0

# How long the start waits for the first round, and a round for its answers.
ROUND_TIMEOUT_S: Final = 2.0

# Addresses of one name that are allowlisted.
MAX_ADDRESSES: Final = 32

# Lookups at a time.
MAX_LOOKUPS: Final = 8

# A name without an answer for this long is reported. Its last answer holds all the same.
STALE_AFTER_S: Final = 3600.0

NAME_PROBLEM: Final = "the name "

Lookup: TypeAlias = Callable[[str], Sequence[Address]]


class NamesListener(Protocol):
    """Notified in the thread of the lookups."""

    def on_names_resolved(self, resolved: Mapping[str, tuple[Address, ...]]) -> None:
        """Host names now have these addresses. A name that never had an answer is absent."""


class WatchedNames:
    """The host names that have to be resolved. Set by the loop's thread, read by the one that resolves them."""

    def __init__(self) -> None:
        self.current: tuple[str, ...] = ()
        self._changed = threading.Event()

    def replace(self, names: Iterable[str]) -> None:
        """Make these the names. Names that are not new are no reason to resolve at once."""
        before, self.current = self.current, tuple(dict.fromkeys(names))
        if self.current != before:
            self._changed.set()

    def wake(self) -> None:
        """End a `wait`."""
        self._changed.set()

    def wait(self, timeout_s: float) -> None:
        """Wait for a change since the last `wait`, at most this long."""
        self._changed.wait(timeout_s)
        self._changed.clear()


class NameAnswer(NamedTuple):
    """The addresses that a name had, and when that was found out."""

    at: float
    addresses: tuple[Address, ...]


class Lookups:
    """Resolves names in a few threads, and keeps the last answer of each. `clock` is monotonic, in seconds."""

    def __init__(self, lookup: Lookup = lookup_addresses, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self._lookup = lookup
        self._answers: dict[str, NameAnswer] = {}
        # Names that a thread is looking up.
        self._pending: set[str] = set()
        self._lock = threading.Lock()

    def resolve(self, names: Sequence[str], timeout_s: float) -> dict[str, NameAnswer]:
        """Look up these names, and return the last answer of each that ever had one.

        A lookup that takes longer goes on, and its answer is returned by a later call.
        """
        with self._lock:
            due = [name for name in names if name not in self._pending]
            self._pending.update(due)
        queue = iter(due)
        threads = [threading.Thread(target=self._work, args=(queue,), daemon=True) for _ in due[:MAX_LOOKUPS]]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            self._answers = {name: self._answers[name] for name in names if name in self._answers}
            return dict(self._answers)

    def _work(self, names: Iterator[str]) -> None:
        # The iterator of a list gives each name to one thread.
        for name in names:
            # In order, so that an answer in another order is no other answer.
            addresses = tuple(sorted(self._lookup(name)))[:MAX_ADDRESSES]
            with self._lock:
                self._pending.discard(name)
                if addresses:
                    self._answers[name] = NameAnswer(self.clock(), addresses)


class HostNames:
    """A service that resolves the watched names in rounds."""

    name = "names"

    def __init__(
        self,
        names: WatchedNames,
        listener: NamesListener,
        problems: Problems,
        lookups: Lookups | None = None,
    ) -> None:
        self._names = names
        self._listener = listener
        self._problems = problems
        self._lookups = lookups or Lookups()
        self._resolved: dict[str, tuple[Address, ...]] = {}
        self._first_round = threading.Event()
        self._closed = threading.Event()

    def wait_for_first_round(self, timeout_s: float = ROUND_TIMEOUT_S) -> None:
        """Wait for the first answers, and no longer than this: a slow DNS server must not delay the protection."""
        if self._names.current:
            self._first_round.wait(timeout_s)

    def run(self) -> None:
        while not self._closed.is_set():
            self.resolve()
            self._first_round.set()
            # Random, so that many hosts do not ask at the same moment.
            self._names.wait(LOOKUP_INTERVAL_S * random.uniform(0.8, 1.2))  # noqa: S311

    def close(self) -> None:
        self._closed.set()
        self._names.wake()

    def resolve(self, timeout_s: float = ROUND_TIMEOUT_S) -> None:
        """Resolve all names, and notify the listener if an answer is another than before."""
        names = self._names.current
        answers = self._lookups.resolve(names, timeout_s)
        self._report(names, answers)
        resolved = {name: answer.addresses for name, answer in answers.items()}
        if resolved != self._resolved:
            self._resolved = resolved
            self._listener.on_names_resolved(resolved)

    def _report(self, names: Iterable[str], answers: Mapping[str, NameAnswer]) -> None:
        now = self._lookups.clock()
        sentences = {name: _sentence(name, answers.get(name), now) for name in names}
        self._problems.replace(
            NAME_PROBLEM, {f"{NAME_PROBLEM}{name}": text for name, text in sentences.items() if text}
        )


def _sentence(name: str, answer: NameAnswer | None, now: float) -> str | None:
    """Return what is wrong with this name; None: nothing."""
    if answer is None:
        return (
            f"{name} in ignoreip does not resolve, so its addresses may be banned; correct the name, or see whether "
            "the name servers in /etc/resolv.conf answer"
        )
    silent_s = now - answer.at
    if silent_s <= STALE_AFTER_S:
        return None
    addresses = ", ".join(answer.addresses)
    return (
        f"{name} in ignoreip has not resolved for {silent_s / 3600:.0f} h; {addresses} stays on the allowlist"
    )
