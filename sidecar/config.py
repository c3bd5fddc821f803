"""Environment and jails file -> one frozen Settings, or every mistake at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sidecar.core.jail import Jail
from sidecar.filters.loader import Filter


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run needs to know; read once, swapped whole."""

    jails: tuple[Jail, ...]
    filters: dict[str, Filter]  # by jail name
    ignoreip: tuple[str, ...] = ()  # never banned in any jail: networks, canonical
    ban_private: bool = False
    state: Path = Path("/var/lib/wp-sidecar")
    socket: Path = Path("/run/wp-sidecar/control.sock")
    listen: tuple[str, int] = ("127.0.0.1", 9734)
    docker: str = "unix:///var/run/docker.sock"
    slack: str = ""  # the webhook's URL: a secret, never logged; "" sends nothing
    flush_on_exit: bool = False
    log_level: str = "INFO"
    log_json: bool = False
