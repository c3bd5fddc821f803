"""What is owed to the file: what could not be written yet, and what did not fit into one transaction. Pure."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter

from sidecar.core.address import Address
from sidecar.core.events import Ban, Decision, Turn

# Decisions written at once: some 100 ms, and the loop waits as long.
MAX_DECISIONS_PER_WRITE = 4_000

# Failures that wait in memory while the file cannot be written.
MAX_PENDING_HITS = 10_000


class Pending:
    """The turns that are not written yet, as one turn. `behind`: a part did not fit into the last transaction."""

    def __init__(self) -> None:
        self.turn: Turn | None = None
        self.behind = False

    def add(self, turn: Turn) -> Turn:
        """Add a turn, and return all that is owed now."""
        self.turn = merged(self.turn, turn) if self.turn else turn
        self.behind = False
        return self.turn

    def written(self, later: Turn | None) -> None:
        """Note that everything was written but for this."""
        self.turn, self.behind = later, later is not None

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        if self.turn:
            self.turn = shifted(self.turn, by_s)

    def limit(self) -> None:
        """Keep only as much as may wait for long."""
        if self.turn:
            self.turn = bounded(self.turn)


def merged(first: Turn, then: Turn) -> Turn:
    """Return two turns as one. Failures that a later decision is about are left out: it has counted them."""
    decided = {(each.jail, each.address) for each in then.decisions}
    hits = first.hits
    if decided:
        hits = tuple(hit for hit in hits if (hit.jail, hit.address) not in decided)
    cursors = {each.key: each for each in (*first.cursors, *then.cursors)}
    return Turn(
        then.at,
        (*first.decisions, *then.decisions),
        (*hits, *then.hits),
        tuple(cursors.values()),
        forgiven=(*first.forgiven, *then.forgiven),
        allow_changes=(*first.allow_changes, *then.allow_changes),
    )


def divided(turn: Turn) -> tuple[Turn, Turn | None]:
    """Return what to write now, and what to write later, if anything.

    What people allowed comes with the first part: they wait for it. Failures and cursors come with the last part: they
    stand for everything that was decided.
    """
    if len(turn.decisions) <= MAX_DECISIONS_PER_WRITE:
        return turn, None
    # Neighbours in the file are written at once.
    ordered = sorted(turn.decisions, key=attrgetter("address"))
    now = Turn(turn.at, tuple(ordered[:MAX_DECISIONS_PER_WRITE]), allow_changes=turn.allow_changes)
    decided = {(each.jail, each.address) for each in now.decisions}
    hits = tuple(hit for hit in turn.hits if (hit.jail, hit.address) not in decided)
    return now, replace(turn, decisions=tuple(ordered[MAX_DECISIONS_PER_WRITE:]), hits=hits, allow_changes=())


def bounded(turn: Turn) -> Turn:
    """Return the last decision of each address and jail of its kind, what is allowed, and the newest failures."""
    decisions: dict[tuple[str, Address, type[Decision]], Decision] = {}
    for each in turn.decisions:
        key = each.jail, each.address, type(each)
        decisions.pop(key, None)
        decisions[key] = each
    return replace(
        turn,
        decisions=tuple(decisions.values()),
        hits=turn.hits[-MAX_PENDING_HITS:],
        forgiven=turn.forgiven[-MAX_PENDING_HITS:],
        allow_changes=tuple({each.address: each for each in turn.allow_changes}.values()),
    )


def shifted(turn: Turn, by_s: float) -> Turn:
    """Return the turn by a clock that was set."""
    return Turn(
        turn.at + by_s,
        tuple(
            each.shifted(by_s) if isinstance(each, Ban) else replace(each, at=each.at + by_s)
            for each in turn.decisions
        ),
        tuple(hit._replace(at=hit.at + by_s) for hit in turn.hits),
        turn.cursors,
        forgiven=tuple(replace(each, at=each.at + by_s) for each in turn.forgiven),
        allow_changes=tuple(each.shifted(by_s) for each in turn.allow_changes),
    )
