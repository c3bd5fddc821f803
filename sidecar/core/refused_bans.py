"""Bans that were due and not made: which, why, and how many failures they are about."""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest

# A ban that has no witness is checked again after this long, so that a flood of lines that name a stranger costs one
# question a second.
RETRY_INTERVAL_S: Final = 1.0

# Logs can be made to name any number of addresses. One weighs about 300 bytes.
MAX_REFUSED_BANS: Final = 16_384


class RefusalReason(enum.StrEnum):
    """Why a ban that is due is not made. The values are metric labels and stand in answers to people."""

    # The kernel recorded every sender, and this address was not among them.
    NEVER_SEEN = "never seen by this host's network"
    # The table is too young, too many addresses send packets, or the kernel does not answer.
    UNKNOWN = "not known to this host's network"
    # Many logins from this address work, or it forwards clients.
    PROBABLE_PROXY = "probably a proxy"


class RefusedBan(NamedTuple):
    """A ban that was due and not made.

    `at` is when it was refused first and `last_at` when last, by this host's time. `asked_at` is when it was last
    checked whether it still has to be refused. `failures` are those since then, with those that made the ban due.
    `origin_name` is the log of the last one.
    """

    jail: str
    address: Address
    reason: RefusalReason
    origin_name: str
    at: float
    last_at: float
    asked_at: float
    failures: int


class RefusedBans:
    """The refused bans by jail and address. Bounded: those that were refused longest ago go first.

    `totals` counts them since the start, by reason; one that is refused again is the same.
    """

    def __init__(self, max_refused: int = MAX_REFUSED_BANS) -> None:
        self.totals: Counter[str] = Counter()
        self._max_refused = max_refused
        # Those that had no witness when that was asked since the last look.
        self._without_witness: dict[tuple[str, Address], RefusedBan] = {}
        # The ban that was not refused for longest comes first.
        self._bans: dict[tuple[str, Address], RefusedBan] = {}

    def __iter__(self) -> Iterator[RefusedBan]:
        return iter(self._bans.values())

    def get(self, jail: str, address: Address) -> RefusedBan | None:
        """Return the refused ban of this address in this jail."""
        return self._bans.get((jail, address))

    def without_witness(self, jail: str, address: Address, now: float) -> RefusalReason | None:
        """Return why this ban had no witness a moment ago; None: that has to be asked."""
        ban = self._bans.get((jail, address))
        if ban is None or ban.reason == RefusalReason.PROBABLE_PROXY or not _is_recent(ban.asked_at, now):
            return None
        return ban.reason

    def refuse(
        self,
        jail: str,
        address: Address,
        reason: RefusalReason,
        origin_name: str,
        *,
        failures: int,
        now: float,
    ) -> None:
        """Remember that a ban for this many failures is refused. If it was before, the failure is one more."""
        before = self._bans.pop((jail, address), None)
        if before is None or before.reason != reason:
            self.totals[reason] += 1
        first_at, asked_at = (before.at, before.asked_at) if before else (now, now)
        if not _is_recent(asked_at, now):
            asked_at = now
        count = before.failures + 1 if before else failures
        ban = RefusedBan(jail, address, reason, origin_name, first_at, now, asked_at, count)
        self._bans[jail, address] = ban
        if asked_at == now and reason != RefusalReason.PROBABLE_PROXY:
            self._without_witness[jail, address] = ban
            if len(self._without_witness) > self._max_refused:
                drop_oldest(self._without_witness)
        if len(self._bans) > self._max_refused:
            drop_oldest(self._bans)

    def take_without_witness(self) -> tuple[RefusedBan, ...]:
        """Return the bans that were found to have no witness since the last call."""
        found = tuple(self._without_witness.values())
        self._without_witness.clear()
        return found

    def clear(self, jail: str, address: Address) -> None:
        """Forget the refused ban of this address."""
        # The usual case, and 100,000 bans may be lifted at once.
        if not self._bans and not self._without_witness:
            return
        key = jail, address
        self._bans.pop(key, None)
        self._without_witness.pop(key, None)

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        for table in (self._bans, self._without_witness):
            for key, ban in table.items():
                table[key] = ban._replace(
                    at=ban.at + by_s, last_at=ban.last_at + by_s, asked_at=ban.asked_at + by_s
                )

    def forget(self, before: float) -> None:
        """Forget those that were refused last before then."""
        for key in [key for key, ban in self._bans.items() if ban.last_at < before]:
            del self._bans[key]


def _is_recent(asked_at: float, now: float) -> bool:
    return 0 <= now - asked_at < RETRY_INTERVAL_S
