"""The values that the labels of the metrics can have, collected from the packages that use them."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.advice.bypass import BypassKind
from sidecar.alerts.sender import Sender
from sidecar.config.settings import Settings
from sidecar.core import allowlist
from sidecar.core.allowlist import of_cdn, of_monitor
from sidecar.core.jail import MANUAL_JAIL
from sidecar.sources.base import ReopenReason
from sidecar.telemetry.metrics import KnownLabels

# The reason of a failure with a text that is not an address.
INVALID_ADDRESS = "invalid address"


def known_labels(settings: Settings, senders: Iterable[Sender]) -> KnownLabels:
    """Return the label values that are known at the start, so that each of their series begins at 0."""
    return KnownLabels(
        jails=(*(jail.name for jail in settings.jails), MANUAL_JAIL.name),
        filters=tuple(settings.filters),
        senders=tuple(sender.name for sender in senders),
        ignored_reasons=(
            INVALID_ADDRESS,
            *allowlist.REASONS,
            *(of_cdn(cdn.name) for cdn in settings.allowlist.cdns),
            *(of_monitor(monitor.name) for monitor in settings.allowlist.monitors),
        ),
        reopen_reasons=tuple(ReopenReason),
        bypass_kinds=tuple(BypassKind),
        fleet_rejections=_fleet_rejections() if settings.fleet.redis else (),
    )


def _fleet_rejections() -> tuple[str, ...]:
    """Return the reasons for which the fleet rejects a message. Loaded only where there is a fleet: it weighs 8 MB."""
    from sidecar.fleet.protocol import Rejection  # noqa: PLC0415

    return tuple(Rejection)
