"""Finds out what `doctor` judges: asks the daemon, Docker, the kernel and the network, and changes nothing."""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import requests
from requests.utils import DEFAULT_CA_BUNDLE_PATH, select_proxy

from sidecar.advice.facts import (
    ClockFacts,
    ConfigFacts,
    DaemonFacts,
    DaemonLog,
    EngineFacts,
    Facts,
    HostFacts,
    KernelFacts,
    SenderFacts,
    SocketFacts,
    StateFacts,
)
from sidecar.alerts.channels import Channel
from sidecar.alerts.mail import MailServer
from sidecar.app import host
from sidecar.app.reporting import channels
from sidecar.cli.doctor_sites import ContainerSites, FileSites
from sidecar.config import reader
from sidecar.config.errors import ConfigErrors
from sidecar.config.settings import Settings
from sidecar.config.state import state_directory
from sidecar.control.client import NoDaemon, ask
from sidecar.control.protocol import BansRequest, Refused, StatusRequest
from sidecar.core.actions import Action
from sidecar.core.text import redacted
from sidecar.firewall import FirewallError, NftTable
from sidecar.sources.docker.factory import DockerSourceFactory
from sidecar.sources.own_container import own_container_id

CONNECT_TIMEOUT_S: Final = 5.0
_PORTS: Final = {"http": 80, "https": 443}


def collect(environ: Mapping[str, str], jails: Path | None, filters: Path | None, control: Path) -> Facts:
    """Return the facts. What cannot be found out is an error among them, and never an exception."""
    config, settings = _config(environ, jails, filters)
    now = time.time()
    found = ContainerSites(settings, now) if settings and DockerSourceFactory().is_needed(settings) else None
    sites = (*(found.sites() if found else ()), *(FileSites(settings, now).sites() if settings else ()))
    return Facts(
        HostFacts(
            _daemon(control),
            config,
            _kernel(found.is_host_network(host.addresses()) if found else None),
            _clock(environ, now),
            _state(state_directory(environ)),
            _sockets(control, settings),
            EngineFacts(found.url, found.error, found.skew_s, found.stays_stopped) if found else None,
            tuple(_senders(settings)) if settings else (),
        ),
        sites,
        found.unwatched if found else (),
        found.labels if found else (),
    )


def _config(
    environ: Mapping[str, str], jails: Path | None, filters: Path | None
) -> tuple[ConfigFacts, Settings | None]:
    try:
        settings = reader.read(environ, jails=jails, filters=filters)
    except ConfigErrors as err:
        errors = tuple(map(str, err.errors))
    else:
        return ConfigFacts(tuple(map(str, settings.errors)), settings.notes, settings.jails), settings
    try:
        # If the errors are of log files, all else can be looked at.
        return ConfigFacts(errors), reader.read(environ, jails=jails, filters=filters, look=False)
    except ConfigErrors:
        return ConfigFacts(errors), None


def _daemon(control: Path) -> DaemonFacts:
    try:
        status = ask(control, StatusRequest())
        dry_runs = len(list(ask(control, BansRequest(evidence=False, observed=True))["bans"]))
    except (NoDaemon, PermissionError, Refused) as err:
        return DaemonFacts(str(err))
    return DaemonFacts(
        problems=tuple(status["health"]["why"]),
        bans=status["bans"],
        dry_runs=dry_runs,
        logs={log["container"]: DaemonLog(log["state"], log["format"]) for log in status["streams"]},
    )


def _kernel(is_host_network: bool | None) -> KernelFacts:  # noqa: FBT001 - it is a fact
    release = os.uname().release
    try:
        with closing(NftTable()) as table:
            return KernelFacts(release, has_table=table.is_in_force(), is_host_network=is_host_network)
    except (FirewallError, OSError) as err:
        return KernelFacts(release, str(err), is_host_network=is_host_network)


def _clock(environ: Mapping[str, str], now: float) -> ClockFacts:
    zone = environ.get("TZ", "")
    try:
        # A name that the system does not know is UTC for the C library, without a word.
        if zone and "/" in zone:
            ZoneInfo(zone.removeprefix(":"))
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return ClockFacts(now, zone, f"TZ={zone} is unknown here, so it stands for UTC")
    return ClockFacts(now, zone)


def _state(path: Path) -> StateFacts:
    """Look at the directory, or at the nearest one above it, in which it would be made."""
    there = next(each for each in (path, *path.parents) if each.exists())
    if not there.is_dir():
        return StateFacts(str(path), f"{there} is no directory")
    if not os.access(there, os.W_OK | os.X_OK):
        return StateFacts(str(path), f"{there} cannot be written")
    lasting = is_lasting(Path("/proc/self/mountinfo").read_text(), there) if own_container_id() else None
    return StateFacts(str(path), "", shutil.disk_usage(there).free, lasting)


def is_lasting(mountinfo: str, path: Path) -> bool:
    """Return whether a path is on a mount that outlives its container: neither memory nor a volume without a name.

    `mountinfo` is as in proc(5): the fourth field is what is mounted, the fifth where, and behind ` - ` is the type.
    """
    mounts = {}
    for line in mountinfo.splitlines():
        mount, _, kind = line.partition(" - ")
        _, _, _, root, point, *_ = mount.split(" ")
        # A later mount covers an earlier one.
        mounts[point] = (root, kind.partition(" ")[0])
    at = next(str(each) for each in (path, *path.parents) if str(each) in mounts)
    root, kind = mounts[at]
    return at != "/" and kind != "tmpfs" and not _NAMELESS_VOLUME.search(root)


# Docker names a volume that nobody named.
_NAMELESS_VOLUME: Final = re.compile(r"/volumes/[0-9a-f]{64}/_data$")


def _sockets(control: Path, settings: Settings | None) -> SocketFacts:
    if settings is None:
        return SocketFacts(str(control), _mode(control))
    address, port = settings.listen
    return SocketFacts(
        str(control), _mode(control), f"{address}:{port}", redacted(settings.sources.docker_host)
    )


def _mode(control: Path) -> int | None:
    try:
        return stat.S_IMODE(control.lstat().st_mode)
    except OSError:
        return None


def _senders(settings: Settings) -> Iterator[SenderFacts]:
    for channel in channels(settings):
        action = _action_of(channel)
        url = _url_of(action)
        if not url:
            yield SenderFacts(channel.sender.name, source=action.source)
            continue
        try:
            server = server_of(url)
        except ValueError as err:
            yield SenderFacts(channel.sender.name, "", redacted(str(err)), action.source)
            continue
        yield SenderFacts(channel.sender.name, str(server), unreachable(server), action.source)


def _action_of(channel: Channel) -> Action:
    return channel.others or next(iter(channel.actions.values()))


def _url_of(action: Action) -> str:
    """Return the URL of an action's server; "": it has none that we connect to ourselves."""
    if action.kind == "http" and action.requests:
        return action.requests[0][1].url
    return action.option(_URLS.get(action.kind, ""))


# Kind of action -> its option with a URL. Apprise has schemes of its own, and a command is run.
_URLS: Final = {"slack": "url", "webhook": "url", "mail": "server"}


class Server(NamedTuple):
    """What is connected to. `authorities`: the file with the authorities of certificates; None: the system's."""

    host: str
    port: int
    # Whether it speaks TLS from the first byte.
    is_tls: bool
    authorities: str | None = None
    # The server's name, where the connection goes to a proxy (HTTPS_PROXY), which would have to be asked for it.
    behind: str = ""

    def __str__(self) -> str:
        place = f"{self.host}:{self.port}"
        return f"the proxy {place} before {self.behind}" if self.behind else place


def server_of(url: str) -> Server:
    """Return what a sender with this URL connects to, by the rules of what sends. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme.startswith("smtp"):
        mail = MailServer.of_url(url)
        return Server(mail.host, mail.port, parts.scheme == "smtps")
    if parts.scheme not in _PORTS or not parts.hostname:
        raise ValueError("its URL does not begin with https://")
    with requests.Session() as session:
        rules = session.merge_environment_settings(url, {}, None, None, None)
    if proxy := select_proxy(url, rules["proxies"]):
        at = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
        # What requests takes as the port.
        return Server(
            at.hostname or "", at.port or _PORTS.get(at.scheme, 80), is_tls=False, behind=parts.hostname
        )
    authorities = rules["verify"] if isinstance(rules["verify"], str) else DEFAULT_CA_BUNDLE_PATH
    return Server(parts.hostname, parts.port or _PORTS[parts.scheme], parts.scheme == "https", authorities)


def unreachable(server: Server) -> str:
    """Connect, and say nothing. Return why that is not possible; "": it is."""
    try:
        with socket.create_connection((server.host, server.port), CONNECT_TIMEOUT_S) as plain:
            if server.is_tls:
                context = ssl.create_default_context(cafile=server.authorities)
                with context.wrap_socket(plain, server_hostname=server.host):
                    pass
    except (OSError, UnicodeError) as err:
        what = next((what for kind, what in _FAILURES if isinstance(err, kind)), "its name is not valid")
        return f"{what} ({getattr(err, 'strerror', None) or err})"
    return ""


# The narrower ones first.
_FAILURES: Final[tuple[tuple[type[Exception], str], ...]] = (
    (ssl.SSLCertVerificationError, "its certificate is not valid"),
    (ssl.SSLError, "it does not speak TLS"),
    (socket.gaierror, "its name is unknown here"),
    (TimeoutError, f"no connection within {CONNECT_TIMEOUT_S:.0f} s"),
    (OSError, "no connection"),
)
