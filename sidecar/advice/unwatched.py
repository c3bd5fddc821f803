"""WordPress containers that are not watched: why, and the line to change."""

from __future__ import annotations

from sidecar.core.containers import ENABLE_LABEL, JAILS_LABEL
from sidecar.core.watched import Unwatched, UnwatchedReason


def unwatched(container: Unwatched) -> str:
    """Return that a WordPress container is not watched, and what to change."""
    name, jails = container.name, f'labels: {JAILS_LABEL}: "wordpress wordpress-access wordpress-auth"'
    why, change = {
        UnwatchedReason.OTHERS_ENABLED: (
            f"other containers have the label {ENABLE_LABEL}=true, and it has not",
            f'labels: {ENABLE_LABEL}: "true"',
        ),
        UnwatchedReason.NO_SUCH_JAIL: (f"its label {JAILS_LABEL} names no jail that there is", jails),
        UnwatchedReason.NO_JAIL: (
            "each jail has `logpath` or `containers`, and none names it",
            f"containers = {name}",
        ),
    }[container.reason]
    where = "a jail" if container.reason is UnwatchedReason.NO_JAIL else "its compose file"
    return (
        f"the WordPress container {name} is not watched: {why}. Add to {where}: `{change}`; or exclude it: "
        f'`labels: {ENABLE_LABEL}: "false"`'
    )
