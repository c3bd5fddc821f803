"""WordPress containers that are not watched: why, and the line to change."""

from __future__ import annotations

from sidecar.core.containers import ENABLE_LABEL


def unwatched(name: str) -> str:
    """Return that a WordPress container is not watched, and what to change."""
    return (
        f"the WordPress container {name} is not watched: each jail has `logpath` or `containers`, and none names it. "
        f'Add to a jail: `containers = {name}`; or exclude it: `labels: {ENABLE_LABEL}: "false"`'
    )
