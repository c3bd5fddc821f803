"""Reads the newest part of each site's log, and finds out what it says: for `doctor`. Nothing is followed."""

from __future__ import annotations

import contextlib
import glob
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, NamedTuple, TypeAlias

from sidecar.access.logs import AccessLogs
from sidecar.access.sample import LogSample
from sidecar.advice.facts import UNKNOWN_DRIVER, LogFacts, SiteFacts
from sidecar.advice.log_checks import LOOPBACK
from sidecar.app import host
from sidecar.cli.log_lines import with_framing
from sidecar.config import labels, log_formats
from sidecar.config.settings import Settings
from sidecar.core.address import Address, parse_address
from sidecar.core.allowlist import ALWAYS, CONTAINERS, Allowlist, of_cdn
from sidecar.core.containers import Container, is_host_network
from sidecar.core.events import Batch, Framing, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.watched import choose
from sidecar.filters.framing import unwrapper
from sidecar.filters.matcher import Matcher
from sidecar.sources.base import SourceUnavailable
from sidecar.sources.docker import api
from sidecar.sources.docker.api import DockerHost, Engine, reason
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.inventory import Inventory, Listing
from sidecar.sources.docker.line_joiner import is_terminals
from sidecar.sources.docker.wire import EngineError, FrameDecoder
from sidecar.sources.own_container import own_container_id

# Of each log the newest lines are kept. The daemon may share a memory limit of 128 MB with this process.
MAX_BYTES: Final = 1024 * 1024
# How much of a container's log is read, from how long ago on, and for how long.
MAX_AGE_S: Final = 3 * 3600.0
MAX_READ_BYTES: Final = 64 * 1024 * 1024
MAX_READ_S: Final = 5.0
# The newest lines in which requests are looked for.
MAX_LINES: Final = 2_000
MAX_FILES: Final = 50
# WordPress asks itself for this page, by the container's or the gateway's address.
CRON: Final = "/wp-cron.php"

Bans: TypeAlias = tuple[tuple[Address, str], ...]
"""Addresses, each with the name of the jail."""


class RawLog(NamedTuple):
    """The newest whole lines of a log."""

    origin: Origin
    data: bytes
    framing: Framing
    driver: str = ""


class LogExcerpt:
    """What logs say under these settings."""

    def __init__(
        self,
        settings: Settings,
        now: float,
        networks: Iterable[str] = (),
        containers: Iterable[Container] = (),
    ) -> None:
        """`networks` are those of containers, and `containers` are watched: their labels count."""
        self._settings, self._now = settings, now
        self._overrides = labels.read(containers, settings.jails, settings.sources.labels).overrides
        own = host.own_networks()
        # Loopback first: this host's own requests, such as health checks, are not clients.
        reasons = {LOOPBACK: ALWAYS[LOOPBACK], **own, CONTAINERS: (*own.get(CONTAINERS, ()), *networks)}
        reasons |= settings.allowlist.networks_by_reason()
        self._allowlist = Allowlist(reasons, ban_private=settings.allowlist.ban_private)
        declared = log_formats.declared(settings.jails, self._overrides, settings.allowlist)
        self._access_logs = AccessLogs(declared)
        self._matcher = Matcher(settings.filters, access_logs=self._access_logs)

    def facts(self, raw: RawLog) -> LogFacts:
        """Return what the lines say about their log."""
        unwrap, log = unwrapper(raw.framing), self._access_logs.of(raw.origin).log
        sample, understood, clients = LogSample(log), 0, Counter[str]()
        lines = raw.data.splitlines()[-MAX_LINES:]
        for line in lines:
            _, text = unwrap(line.decode(errors="replace"), self._now, None)
            requests = log.learn(text)
            sample.add([text], self._now)
            understood += bool(requests)
            if not requests or requests[0].path.endswith(CRON):
                continue
            if address := parse_address(requests[0].client):
                clients[self._why_never(address, requests[0].peer)] += 1
        if not understood and sample.is_understood:
            understood = 1
        name = raw.origin.name
        return LogFacts(name, raw.driver, "", len(lines), understood, sample.format, sample.examples, clients)

    def bans(self, raw: RawLog) -> Bans:
        """Return the addresses that the lines would have banned until now, if each had been seen to send packets."""
        names = set(raw.origin.jails)
        jails = [replace(jail, witness=False) for jail in self._settings.jails if jail.name in names]
        guard = Guard(jails, self._allowlist)
        guard.set_overrides(self._overrides)
        for hit in self._matcher.scan(Batch(raw.origin, raw.data, raw.framing), self._now).hits:
            guard.tick(hit.at)
            guard.hits([hit], hit.at)
        guard.tick(self._now)
        return tuple((ban.address, ban.jail) for ban in guard.view.bans)

    def _why_never(self, client: Address, peer: str) -> str:
        if why := self._allowlist.reason(client):
            return why
        behind = parse_address(peer) if peer else None
        why = self._allowlist.reason(behind) if behind else None
        # Packets of clients behind one of our own front ends are seen before it.
        return why if why and why.startswith(of_cdn("")) else ""


class FileSites:
    """The log files of `logpath`."""

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings, self._reading = settings, LogExcerpt(settings, now)

    def sites(self) -> Iterator[SiteFacts]:
        """Yield each file, up to `MAX_FILES`."""
        by_path: dict[str, list[Jail]] = {}
        for jail in self._settings.jails:
            for pattern in jail.logpath:
                for path in sorted(glob.glob(pattern)) or ([] if jail.absent else [pattern]):  # noqa: PTH207
                    by_path.setdefault(path, []).append(jail)
        for path, jails in list(by_path.items())[:MAX_FILES]:
            yield self._site(path, tuple(jails))

    def _site(self, path: str, jails: tuple[Jail, ...]) -> SiteFacts:
        try:
            data = _newest(path)
        except OSError as err:
            return SiteFacts(LogFacts(path, error=err.strerror or str(err)), jails=jails)
        chunks = list(with_framing(iter([data]), None)) if data else []
        origin = Origin("file", path, jails=tuple(jail.name for jail in jails))
        raw = RawLog(origin, *(chunks[0] if chunks else (data, Framing.NONE)))
        return SiteFacts(self._reading.facts(raw), jails=jails, would_ban=self._reading.bans(raw))


class ContainerSites:
    """The containers that the settings choose. `error`: why Docker did not answer; then nothing is known of them."""

    def __init__(self, settings: Settings, now: float) -> None:
        self._settings, self._now = settings, now
        self._host = DockerHost(settings.sources.docker_host)
        self.url, self.error = str(self._host.endpoint), ""
        self.skew_s: float | None = None
        self.stays_stopped: bool | None = None
        self._listing = Listing((), (), ())
        try:
            api.check(self._host)
            with contextlib.closing(self._open()) as engine:
                self.skew_s = engine.now() - time.time()
                own = own_container_id()
                self._listing = Inventory(own, settings.sources.image_labels).listing(engine)
                self.stays_stopped = _stays_stopped(engine, own)
        except SourceUnavailable as err:
            self.error = str(err)
        except (OSError, EngineError) as err:
            self.error = reason(err)
        self._watched = choose(self._listing.running, settings.jails, labels=settings.sources.labels)

    @property
    def unwatched(self) -> tuple[str, ...]:
        return self._watched.unwatched

    @property
    def labels(self) -> tuple[str, ...]:
        """What is wrong with the labels of watched containers, as the daemon would report it."""
        read = labels.read(self._watched.containers, self._settings.jails, self._settings.sources.labels)
        return tuple(read.problems.values())

    def is_host_network(self, own: Iterable[str]) -> bool | None:
        """Return whether our own addresses are those of the host, as the daemon judges it; None: nothing shows it."""
        return is_host_network(own, self._listing.networks, self._listing.running)

    def sites(self) -> Iterator[SiteFacts]:
        """Yield each watched container that is not a mere front end, with the front ends of it that are watched."""
        watched = self._watched
        reading = LogExcerpt(self._settings, self._now, self._listing.networks, watched.containers)
        read: dict[str, tuple[LogFacts, Bans]] = {}
        for site in watched.containers:
            if site.id in watched.front_ends:
                continue
            chain = [site, *(each for each in site.front_ends if each.id in watched.front_ends)]
            for each in chain:
                if each.id not in read:
                    read[each.id] = self._read(reading, each)
            logs = [read[each.id][0] for each in chain]
            bans = dict.fromkeys(ban for each in chain for ban in read[each.id][1])
            jails = tuple(jail for jail in self._settings.jails if jail.name in watched.jails[site.id])
            yield SiteFacts(logs[0], tuple(logs[1:]), site, jails, tuple(bans))

    def _read(self, reading: LogExcerpt, container: Container) -> tuple[LogFacts, Bans]:
        driver = ""
        try:
            with contextlib.closing(self._open()) as engine:
                driver = engine.log_driver(container.id)
                data = _newest_of(engine, container.id, self._now)
        except (OSError, EngineError) as err:
            return LogFacts(container.name, driver or UNKNOWN_DRIVER, reason(err)), ()
        origin = Origin("docker", container.name, jails=self._watched.jails[container.id])
        raw = RawLog(origin, data, Framing.DOCKER, driver)
        return reading.facts(raw), reading.bans(raw)

    def _open(self) -> Engine:
        return self._host.open(Interrupt())


def _stays_stopped(engine: Engine, own: str) -> bool | None:
    """Return whether our own container is not started again after dockerd was killed.

    Without live-restore, dockerd stops at its next start what it finds running, and notes that as if somebody had done
    it by hand: `unless-stopped` does not start it again (Docker 20.10 and 26.1). A proxy may refuse these questions.
    """
    if not own:
        return None
    try:
        return engine.restart_policy(own) == "unless-stopped" and not engine.has_live_restore()
    except (OSError, EngineError):
        return None


def _newest(path: str) -> bytes:
    """Return the whole lines at the end of a file. Raises OSError."""
    with open(path, "rb") as file:  # noqa: PTH123 - the name may be any text
        size = file.seek(0, 2)
        file.seek(max(0, size - MAX_BYTES))
        data = file.read(MAX_BYTES)
    begin = data.find(b"\n") + 1 if size > MAX_BYTES else 0
    return data[begin : data.rfind(b"\n") + 1]


def _newest_of(engine: Engine, container: str, now: float) -> bytes:
    """Return the lines of a container's log that are new, each with its stamp. Raises OSError and EngineError.

    Not by `tail`, which is not safe on every Engine (docs/architecture.md).
    """
    newest, decoder, size = Newest(), FrameDecoder(), 0
    is_terminal: bool | None = None
    deadline = time.monotonic() + MAX_READ_S
    with contextlib.closing(
        engine.logs(container, int(now - MAX_AGE_S), follow=False, timeout_s=MAX_READ_S)
    ) as stream:
        while size < MAX_READ_BYTES and time.monotonic() < deadline:
            try:
                data = stream.read(MAX_READ_S)
            except TimeoutError:
                break
            if not data:
                break
            size += len(data)
            is_terminal = is_terminals(data) if is_terminal is None else is_terminal
            newest.add([data] if is_terminal else [line for _, line in decoder.feed(data)])
    return newest.lines()


class Newest:
    """Keeps the last `MAX_BYTES` of what is added."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size, self._is_cut = 0, False

    def add(self, parts: Iterable[bytes]) -> None:
        for part in parts:
            self._parts.append(part)
            self._size += len(part)
            while self._size > MAX_BYTES and len(self._parts) > 1:
                self._size -= len(self._parts.popleft())
                self._is_cut = True

    def lines(self) -> bytes:
        """Return the whole lines."""
        whole = b"".join(self._parts).replace(b"\r\n", b"\n")
        begin = whole.find(b"\n") + 1 if self._is_cut else 0
        return whole[begin : whole.rfind(b"\n") + 1]
