"""Values of the daemon as the control socket's JSON has them, and text of requests as values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from sidecar.config import jail_keys
from sidecar.control.protocol import BanEntry, BanFields, HealthAnswer, JailStanding, PastBanEntry, Refused
from sidecar.core.address import Address, parse_ban_target
from sidecar.core.events import Ban
from sidecar.core.queries import AddressStatus
from sidecar.filters.line_explainer import LineExplanation
from sidecar.firewall.backend import AddressDrops
from sidecar.telemetry.http import Health


def ban_target(text: str) -> Address:
    """Return the address or the network that a person named. Raises Refused."""
    try:
        return parse_ban_target(text)
    except ValueError as err:
        raise Refused(str(err)) from None


class DropCounts(Protocol):
    """The kernel's counts of what it dropped."""

    def dropped_from(self, addresses: Collection[Address], /) -> Mapping[Address, AddressDrops]:
        """Return what was dropped of these addresses; where it is unknown, they are absent."""


def dropped_from(bans: Collection[Ban], counts: DropCounts) -> Mapping[Address, AddressDrops]:
    """Return what was dropped because of these bans. A dry run drops nothing."""
    return counts.dropped_from([ban.address for ban in bans if not ban.dry_run])


def ban_entry(
    ban: Ban, evidence: Sequence[str] = (), drops: Mapping[Address, AddressDrops] = MappingProxyType({})
) -> BanEntry:
    dropped = None if ban.dry_run else drops.get(ban.address)
    # What was dropped before this ban is not its own.
    is_since = dropped is not None and dropped.last is not None and dropped.last >= ban.at
    return {
        **_fields(ban),
        "evidence": list(evidence),
        "dropped": None if dropped is None else dropped.packets if is_since else 0,
        "last_dropped": dropped.last if dropped is not None and is_since else None,
    }


def past_ban_entry(ban: Ban, ended: float | None = None, ended_by: str | None = None) -> PastBanEntry:
    """Return a ban as `history` shows it; without an end it is in force."""
    return {
        **_fields(ban),
        "ended": ended,
        "ended_by": ended_by,
    }


def _fields(ban: Ban) -> BanFields:
    return {
        "ip": ban.address,
        "jail": ban.jail,
        "at": ban.at,
        "until": None if ban.is_permanent else ban.until,
        "cause": ban.cause,
        "failures": ban.failures,
        "site": ban.origin_name,
        "reason": ban.reason,
        "times": ban.ban_count,
        "observed": ban.dry_run,
    }


def jail_standing(
    status: AddressStatus,
    evidence: Mapping[tuple[str, Address], Sequence[str]],
    drops: Mapping[Address, AddressDrops],
    explanations: Sequence[LineExplanation | None] = (),
) -> JailStanding:
    """Return how an address stands with one jail, with what led to its ban and what that dropped."""
    ban = status.ban
    matched = [each for each in explanations if each]
    failed_at = status.failed_at or sorted(each.at for each in matched if each.at is not None)
    counts = Counter((each.failregex, each.expression) for each in matched)
    return {
        "jail": status.jail.name,
        "never": status.allowlist_reason,
        "expressions": [
            {"number": number, "expression": expression, "lines": count}
            for (number, expression), count in counts.most_common()
        ],
        "failed_at": list(failed_at),
        "failures": status.failures,
        "maxretry": status.jail.maxretry,
        "findtime": status.jail.findtime,
        "times": status.ban_count,
        "ban": ban_entry(ban, evidence.get((ban.jail, ban.address), ()), drops) if ban else None,
        "refused": status.refused.reason if status.refused else None,
        "filter": jail_keys.without_secret(status.jail.filter or status.jail.name),
        "lines": list(status.lines),
    }


def health_answer(health: Health) -> HealthAnswer:
    return {"live": health.live, "ready": health.ready, "why": list(health.why)}
