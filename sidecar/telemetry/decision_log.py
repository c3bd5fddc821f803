"""The log line of each decision: a sink, so that a line is neither forgotten nor written twice.

The lines have the form of fail2ban's log (`[jail] Ban 203.0.113.7`), so that programs that read that log can
read this one. The evidence is not written, because it is an attacker's text.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Final, NamedTuple

from sidecar.core.allowed import Allow, AllowChange
from sidecar.core.events import YEAR_10000, Ban, BanCause, Decision, Turn, UnbanCause
from sidecar.core.text import printable
from sidecar.telemetry.logging import Lines

log = logging.getLogger(__name__)

# Decisions of one turn. A node that joins a fleet gets up to 100,000 bans at once, which the log of the node
# that made them has already; and the loop has no time to make a record for each of thousands.
MAX_RECORDS_PER_TURN: Final = 100
# What a person gave as the reason of a ban.
MAX_REASON_CHARS: Final = 100
FROM_THE_FLEET: Final = (BanCause.FLEET, UnbanCause.FLEET)


class DecisionLog:
    """Writes one line for each decision, and one for all where many come from other nodes at once."""

    name = "log"

    def apply(self, turn: Turn) -> None:
        if turn.allow_changes:
            log.info("%s", Lines(turn.allow_changes, allow_line))
        decisions = turn.decisions
        from_the_fleet = sum(each.cause in FROM_THE_FLEET for each in decisions)
        if from_the_fleet > MAX_RECORDS_PER_TURN:
            log.info("%d bans and unbans from other nodes", from_the_fleet)
            decisions = tuple(each for each in decisions if each.cause not in FROM_THE_FLEET)
        if len(decisions) > MAX_RECORDS_PER_TURN:
            log.info("%s", Lines(decisions, DecisionLine))
            return
        for decision in decisions:
            log.info("%s", DecisionLine(decision))


class DecisionLine(NamedTuple):
    """The line of a decision. It becomes text in the thread that writes it."""

    decision: Decision

    def __str__(self) -> str:
        decision = self.decision
        if not isinstance(decision, Ban):
            return f"[{decision.jail}] Unban {decision.address} ({decision.cause})"
        verb = "Would ban" if decision.dry_run else "Ban"
        return f"[{decision.jail}] {verb} {decision.address} {end_of_ban(decision.until)} ({why_banned(decision)})"


def allow_line(change: AllowChange) -> str:
    """Return the line of a change of what people allow."""
    if not isinstance(change, Allow):
        return f"Disallow {change.address} ({change.cause})"
    return f"Allow {change.address} {end_of_ban(change.until)} ({printable(change.comment) or 'no comment'})"


def end_of_ban(until: float) -> str:
    """Return when a ban ends, in UTC; `for good` where it has no end that a calendar knows."""
    if until >= YEAR_10000:
        return "for good"
    return datetime.fromtimestamp(until, UTC).strftime("until %Y-%m-%d %H:%M:%S UTC")


def why_banned(ban: Ban) -> str:
    """Return what led to a ban: `3 failures, the last in blog`, or `manual`."""
    if ban.cause == BanCause.GROUP:
        return ban.reason or f"{ban.failures} of its hosts are banned"
    if ban.cause == BanCause.MANUAL and ban.reason:
        return f"{ban.cause}, {printable(ban.reason, MAX_REASON_CHARS)}"
    if ban.cause != BanCause.FAILURES:
        return ban.cause
    repeated = f", ban number {ban.ban_count}" if ban.ban_count > 1 else ""
    failures = f"{ban.failures} failure{'s' * (ban.failures != 1)}"
    return f"{failures}, the last in {printable(ban.origin_name)}{repeated}"
