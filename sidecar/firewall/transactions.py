"""Transactions of our own, and whether other programs had any in between.

The kernel counts the transactions of all programs in one number, its generation. While it is the number that our last
transaction led to, no other program changed anything, so the table is as we left it and need not be read. A transaction
can also name a generation, and the kernel then refuses it in any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from sidecar.core.address import Address
from sidecar.firewall import edits as elements
from sidecar.firewall import ruleset
from sidecar.firewall.edits import Edit
from sidecar.firewall.elements import Interval
from sidecar.firewall.kernel import Kernel, Shape
from sidecar.firewall.networks import MAX_INTERVALS, IntervalChange, joined
from sidecar.firewall.nft import Nft

_U32_MASK = 0xFFFF_FFFF
# Of one transaction that fills a set: 76 bytes each, if they are IPv6. A socket sends 200 KiB at most by default.
FILLED_INTERVALS = 2_400


class Transactions:
    """Writes to the kernel, and remembers in which generation the table was as desired. For one thread."""

    def __init__(self, kernel: Kernel) -> None:
        # The table as we left it; None: we have not written it, or another program changed it right afterwards.
        self.shape: Shape | None = None
        self._kernel = kernel
        self._nft = Nft()
        # The generation in which the kernel had all that is desired, and the one in which at least the table's
        # structure was as we left it; None: unknown.
        self._current: int | None = None
        self._intact: int | None = None

    def is_current(self) -> bool:
        """Return whether no other program had a transaction since the table was as desired."""
        return self._kernel.generation() == self._current

    def is_intact(self) -> bool:
        """Return whether the table's structure, at least, is as we left it. Cheap while no rules change."""
        if self.shape is None:
            return False
        generation = self._kernel.generation()
        if generation not in (self._current, self._intact):
            if self._kernel.shape() != self.shape:
                return False
            self._intact = generation
        return True

    @contextmanager
    def comparison(self) -> Iterator[None]:
        """Within, the table of this generation is compared with the desired state, and changed where it differs.

        If that fails, the next comparison reads everything again.
        """
        self._current = self._kernel.generation()
        try:
            yield
        except BaseException:
            self._current = None
            raise

    def forget(self) -> None:
        """Have the next comparison read everything again."""
        self._current = None

    def run(self, lines: Sequence[str]) -> None:
        """Carry out these lines of nft's language as one transaction."""
        if not lines:
            return
        before, self._current = self._current, None
        self._nft.run(lines)
        if before is not None and self._kernel.generation() == before + 1 & _U32_MASK:
            self._current = before + 1 & _U32_MASK

    def write(self, lines: Sequence[str], edits: Sequence[Edit]) -> None:
        """Carry out these lines with the first edits in one transaction, then the other edits in others."""
        chunks = elements.chunks(edits)
        if lines:
            self.run([*lines, *ruleset.element_lines(chunks.pop(0) if chunks else ())])
        for chunk in chunks:
            self._commit(elements.messages(chunk))

    def write_intervals(self, name: str, version: int, changes: Iterable[IntervalChange], now: float) -> None:
        """Change the intervals of a set. Those of one region are changed in one transaction."""
        for change in joined(changes):
            self._commit(elements.interval_messages(name, version, change, now))

    def fill_hosts(self, name: str, hosts: Sequence[tuple[Address, float]], now: float) -> None:
        """Put hosts (address, end of the ban) into a set that is empty, the first ones first."""
        for start in range(0, len(hosts), elements.MAX_EDITS):
            self._commit([elements.fill_message(name, hosts[start : start + elements.MAX_EDITS], now)])

    def fill_intervals(
        self, name: str, version: int, intervals: Mapping[Interval, float], now: float
    ) -> None:
        """Put disjoint intervals (-> seconds left) into a set that is empty, in few transactions.

        The kernel waits for all processors in each transaction.
        """
        ends = ((interval, now + left_s) for interval, left_s in intervals.items())
        while chunk := list(islice(ends, FILLED_INTERVALS)):
            changes = (
                IntervalChange([], dict(chunk[start : start + MAX_INTERVALS]))
                for start in range(0, len(chunk), MAX_INTERVALS)
            )
            self._commit(
                [
                    message
                    for change in changes
                    for message in elements.interval_messages(name, version, change, now)
                ]
            )

    def _commit(self, messages: Sequence[bytes]) -> None:
        """Carry out one transaction. The kernel checks that no other program had one, which saves a question."""
        before, self._current = self._current, None
        if before is not None and self._kernel.commit(messages, before):
            self._current = before + 1 & _U32_MASK
        else:
            self._kernel.commit(messages)
