"""The settings of one run: frozen values, grouped by the part of the program that uses them.

A setting is named by its path, `group.field` or `field`: `sources.docker_host`, `listen`. The tables of
variables (`environment.py`) and of jail keys (`jail_keys.py`) say with these paths where a value goes. Its
default stands here. `reader.py` fills the settings in; a reload reads everything again and swaps the
`Settings` whole.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from sidecar.config import cdn
from sidecar.config.cdn import Cdn
from sidecar.config.errors import ConfigError
from sidecar.config.redis_url import RedisUrl
from sidecar.config.state import DEFAULT_STATE
from sidecar.config.units import AllowlistEntries, BanRate
from sidecar.core import ban_budget
from sidecar.core.actions import Action
from sidecar.core.allowlist import IGNOREIP, PROXY, of_cdn, of_monitor
from sidecar.core.ban_history import HISTORY_AGE_S
from sidecar.core.containers import LabelTrust
from sidecar.core.jail import Jail
from sidecar.core.max_bans import MAX_BANS
from sidecar.core.site_budget import SHARE
from sidecar.filters.loader import Filter

NO_ENTRIES: Final = AllowlistEntries()
DEFAULT_RATE: Final = BanRate(ban_budget.BANS_PER_PERIOD, ban_budget.PERIOD_S)


class SourceKind(StrEnum):
    """How the logs of containers are read."""

    DOCKER = "docker"
    CRI = "cri"
    DOCKER_FILES = "docker-files"


@dataclass(frozen=True, slots=True)
class AllowlistSettings:
    """The addresses that no jail bans. What the host names stand for is looked up while the daemon runs."""

    ignoreip: AllowlistEntries = NO_ENTRIES
    # Networks in canonical form.
    trusted_proxies: tuple[str, ...] = ()
    cdns: tuple[Cdn, ...] = field(default_factory=cdn.bundled)
    # Monitoring services.
    monitors: tuple[Cdn, ...] = ()
    ban_private: bool = False

    def networks_by_reason(self) -> dict[str, tuple[str, ...]]:
        """Return why an address must never be banned -> the networks for which that holds."""
        cdns = {of_cdn(each.name): each.networks for each in self.cdns}
        monitors = {of_monitor(each.name): each.networks for each in self.monitors}
        return {PROXY: self.trusted_proxies, IGNOREIP: self.ignoreip.networks, **cdns, **monitors}


@dataclass(frozen=True, slots=True)
class BudgetSettings:
    """How many bans are enforced at most; `math.inf` means no limit."""

    rate: BanRate = DEFAULT_RATE
    # The part, from 0 to 1, of the clients seen that may be banned.
    share: float = math.inf
    # The part of the rate, from 0 to 1, that one log may use while others need some.
    site_share: float = SHARE


@dataclass(frozen=True, slots=True)
class SourceSettings:
    """Where logs are read."""

    kind: SourceKind = SourceKind.DOCKER
    docker_host: str = "unix:///var/run/docker.sock"
    # `namespace/pod/container` globs; empty: pods that look like a WordPress.
    pods: tuple[str, ...] = ()
    # The folder with the log files of kubelet or Docker; None: the usual one.
    logs: Path | None = None
    # Whether the Kubernetes API may be asked about pods and nodes.
    kubernetes_api: bool = False
    # What the labels of containers may decide.
    labels: LabelTrust = LabelTrust.STRENGTHEN
    # Globs of the names of images whose labels count as their containers' own.
    image_labels: tuple[str, ...] = ()
    # The path of a datagram socket that containers use as their /dev/log.
    syslog: Path | None = None


@dataclass(frozen=True, slots=True)
class FleetSettings:
    """How this host shares bans with others; without a Redis it is alone."""

    redis: RedisUrl | None = None
    # The first part of all keys in Redis.
    prefix: str = "wp-sidecar"
    # The first seals the messages to other nodes, each is accepted; none: messages are not sealed.
    keys: tuple[bytes, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class PathSettings:
    """Files and sockets of the daemon itself; `geoip` are databases that `explain` alone reads."""

    state: Path = DEFAULT_STATE
    socket: Path = Path("/run/wp-sidecar/control.sock")
    geoip: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class LogSettings:
    """The daemon's own log, and the event log. `events` is where events go; "": nowhere."""

    level: str = "INFO"
    as_json: bool = False
    events: str = ""
    event_format: str = "fail2ban"


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a run needs to know."""

    jails: tuple[Jail, ...]
    # By the name of the jail.
    filters: Mapping[str, Filter]
    allowlist: AllowlistSettings = field(default_factory=AllowlistSettings)
    budget: BudgetSettings = field(default_factory=BudgetSettings)
    sources: SourceSettings = field(default_factory=SourceSettings)
    fleet: FleetSettings = field(default_factory=FleetSettings)
    paths: PathSettings = field(default_factory=PathSettings)
    log: LogSettings = field(default_factory=LogSettings)
    # What variables set for all alerts, by names. URLs and passwords are secrets and are never logged.
    alerts: Mapping[str, str] = field(default_factory=dict, repr=False)
    # What bans by hand are notified by.
    manual_actions: tuple[Action, ...] = field(default=(), repr=False)
    # The address and port of the HTTP server.
    listen: tuple[str, int] = ("127.0.0.1", 9734)
    # The names by which clients may ask the HTTP server, besides addresses and this host's own names.
    listen_names: tuple[str, ...] = ()
    # What a person who changes bans on the status page has to know; "": nobody may.
    web_token: str = field(default="", repr=False)
    # The name of this host in the fleet and in Kubernetes; "": the host's own.
    node: str = ""
    # Whether the cloud that this host is in may be asked for the host's public addresses.
    cloud_metadata: bool = True
    flush_on_exit: bool = False
    # Seconds after its end for which a ban is remembered.
    dbpurgeage: float = HISTORY_AGE_S
    # How many bans are in force at most.
    max_bans: int = MAX_BANS
    # Remarks about a configuration that is valid, but perhaps not what was meant.
    notes: tuple[str, ...] = ()
    # Why some jails are left out.
    errors: tuple[ConfigError, ...] = ()

    @classmethod
    def of(
        cls, jails: tuple[Jail, ...], filters: Mapping[str, Filter], values: Mapping[str, Any]
    ) -> Settings:
        """Return the settings with these values, by their paths; a path that is not in `values` has its default."""
        grouped: dict[str, dict[str, Any]] = {}
        plain: dict[str, Any] = {}
        for path, value in values.items():
            group, _, name = path.rpartition(".")
            if group:
                grouped.setdefault(group, {})[name] = value
            else:
                plain[name] = value
        defaults = {each.name: each.default_factory for each in fields(cls)}
        groups: dict[str, Any] = {group: defaults[group](**given) for group, given in grouped.items()}  # type: ignore[operator]
        return cls(jails, filters, **groups, **plain)

    def value(self, path: str) -> Any:  # noqa: ANN401 - the path decides
        """Return the value of the setting with this path."""
        found: Any = self
        for name in path.split("."):
            found = getattr(found, name)
        return found

    def replaced(self, values: Mapping[str, Any]) -> Settings:
        """Return these settings with other values, by their paths."""
        settings = self
        for path, value in values.items():
            group, _, name = path.rpartition(".")
            changed: Any = replace(getattr(settings, group), **{name: value}) if group else value
            settings = replace(settings, **{group or name: changed})
        return settings
