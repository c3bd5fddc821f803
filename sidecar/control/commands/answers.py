"""Values of the daemon as the control socket's JSON has them, and text of requests as values."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.config import jail_keys
from sidecar.control.protocol import BanEntry, HealthAnswer, JailStanding, Refused
from sidecar.core.address import Address, parse_ban_target
from sidecar.core.events import Ban
from sidecar.core.queries import AddressStatus
from sidecar.telemetry.http import Health


def ban_target(text: str) -> Address:
    """Return the address or the network that a person named. Raises Refused."""
    try:
        return parse_ban_target(text)
    except ValueError as err:
        raise Refused(str(err)) from None


def ban_entry(ban: Ban, evidence: Sequence[str] = ()) -> BanEntry:
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
        "evidence": list(evidence),
    }


def jail_standing(status: AddressStatus) -> JailStanding:
    return {
        "jail": status.jail.name,
        "never": status.allowlist_reason,
        "failures": status.failures,
        "maxretry": status.jail.maxretry,
        "findtime": status.jail.findtime,
        "times": status.ban_count,
        "ban": ban_entry(status.ban) if status.ban else None,
        "refused": status.refused.reason if status.refused else None,
        "filter": jail_keys.without_secret(status.jail.filter or status.jail.name),
        "lines": list(status.lines),
    }


def health_answer(health: Health) -> HealthAnswer:
    return {"live": health.live, "ready": health.ready, "why": list(health.why)}
