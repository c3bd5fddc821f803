"""What `wp-sidecar doctor` found on this host, as values. `doctor.py` decides what is wrong with it.

An error is a sentence, and "" where there is none. None says that something could not be found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.jail import Jail


@dataclass(frozen=True, slots=True)
class DaemonLog:
    """How the daemon reads a log: `open`, `closed` or `unreadable`, and the format of its requests, if any."""

    state: str
    format: str = ""


@dataclass(frozen=True, slots=True)
class DaemonFacts:
    """What the daemon at the control socket answered. `error`: why it did not."""

    error: str = ""
    # Its problems, in sentences that say what to change.
    problems: tuple[str, ...] = ()
    # Bans in force, and dry runs.
    bans: int = 0
    dry_runs: int = 0
    # By the log's name.
    logs: Mapping[str, DaemonLog] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """The configuration of this environment."""

    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    jails: tuple[Jail, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """The container engine. `skew_s`: by how many seconds its clock is ahead of ours.

    `stays_stopped`: our own container is not started again after the engine was killed; None: that is not known.
    """

    url: str
    error: str = ""
    skew_s: float | None = None
    stays_stopped: bool | None = None


@dataclass(frozen=True, slots=True)
class KernelFacts:
    """The firewall, as this process may use it.

    `has_table`: our table is there and drops packets. `is_host_network`: the gateway of a container network is an
    address of this network namespace, as it is on the host; None: there is no such network.
    """

    release: str
    error: str = ""
    has_table: bool = False
    is_host_network: bool | None = None


@dataclass(frozen=True, slots=True)
class ClockFacts:
    """`zone` is what TZ names; "" where it is not set."""

    now: float
    zone: str = ""
    zone_error: str = ""


@dataclass(frozen=True, slots=True)
class SenderFacts:
    """An alert sender, and whether its server can be reached. `server`: without path or password; "": unknown."""

    name: str
    server: str = ""
    error: str = ""
    # The variable, or the place in the jails file, that names the server.
    source: str = ""


@dataclass(frozen=True, slots=True)
class StateFacts:
    """The state directory. `is_lasting`: it outlives this container; None: this is not a container."""

    path: str
    error: str = ""
    free_bytes: int | None = None
    is_lasting: bool | None = None


@dataclass(frozen=True, slots=True)
class SocketFacts:
    """What others can reach. `mode`: the permissions of the control socket; None: there is none."""

    control: str
    mode: int | None = None
    listen: str = ""
    docker: str = ""


# The driver of a container that the engine says nothing about.
UNKNOWN_DRIVER: Final = "unknown"


@dataclass(frozen=True, slots=True)
class LogFacts:
    """The newest part of a log. `driver`: of the container; "": it is a file.

    `understood` are lines that are requests or messages of a plugin. `clients`: why the clients of requests are never
    banned ("": they may be) -> how many requests.
    """

    name: str
    driver: str = ""
    error: str = ""
    lines: int = 0
    understood: int = 0
    format: str = ""
    examples: tuple[str, ...] = ()
    clients: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """One site: a watched container with its front ends, or a log file (`container` None).

    `would_ban`: addresses that would be banned by the lines that were read, each with its jail.
    """

    log: LogFacts
    front_ends: tuple[LogFacts, ...] = ()
    container: Container | None = None
    jails: tuple[Jail, ...] = ()
    would_ban: tuple[tuple[Address, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HostFacts:
    """All of the host but its sites."""

    daemon: DaemonFacts
    config: ConfigFacts
    kernel: KernelFacts
    clock: ClockFacts
    state: StateFacts
    sockets: SocketFacts
    # None: logs are not read through Docker.
    engine: EngineFacts | None = None
    senders: tuple[SenderFacts, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything. `unwatched` are the names of WordPress containers that no jail looks at.

    `labels` says, in a sentence for each container, which labels of watched ones do not count, and why.
    """

    host: HostFacts
    sites: tuple[SiteFacts, ...] = ()
    unwatched: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
