"""Where the state directory is, for what loads nothing else: after a reboot the stored bans come first."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

STATE_VARIABLE: Final = "WP_SIDECAR_STATE"
DEFAULT_STATE: Final = Path("/var/lib/wp-sidecar")


def state_directory(environ: Mapping[str, str]) -> Path:
    """Return the daemon's state directory, without reading anything else."""
    return Path(environ.get(STATE_VARIABLE) or DEFAULT_STATE)
