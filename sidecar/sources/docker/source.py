"""Follows the logs of the watched containers through the Docker Engine's API, every line exactly once."""

from __future__ import annotations

import contextlib
import logging
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from docker.errors import APIError

from sidecar.core.address import parse_network
from sidecar.core.containers import Container, choose
from sidecar.core.events import Batch, Cursor, Framing, Origin, Topology
from sidecar.core.jail import Jail
from sidecar.sources.base import Emit, LogListener, NullLogListener, ReopenReason, Report, untold
from sidecar.sources.docker import api as engine
from sidecar.sources.docker import wire as frames
from sidecar.sources.docker.api import AWAY, Body, Engine, reason
from sidecar.sources.docker.api import NoDocker as NoDocker  # noqa: PLC0414  what check() raises
from sidecar.sources.docker.wire import ERR, OUT, Bookmark, Broken, Reader

log = logging.getLogger(__name__)

SEARCH = 60.0  # seconds of reading anew after which the last line read is taken as rotated away
FIRST, LONGEST = 0.1, 2.0  # seconds between tries; a daemon that restarts is away for about one
PATIENCE = 5.0  # seconds of that until somebody is told
# Seconds without reading after which a log is opened anew: where it was rotated twice meanwhile, Docker goes on
# with what is left, and does not say so.
NAP = 2.0
SILENCE = 1.0  # seconds until an old Docker is asked whether there is more
RUNNING = ("running", "paused", "restarting")
STREAMS = {OUT: "stdout", ERR: "stderr"}
PAST = ("macvlan", "ipvlan")  # networks whose packets pass no hook of the host's


class Docker:
    """All watched containers of one Engine, a thread each. A Service."""

    name = "docker"

    def __init__(
        self,
        base_url: str,
        jails: Sequence[Jail],
        emit: Emit,
        surroundings: Callable[[Topology], None],
        *,
        cursors: Mapping[str, bytes],
        since: float,
        listener: LogListener | None = None,
        problem: Report = untold,
        idle: float = 240.0,
        every: float = 30.0,
    ) -> None:
        """`since`: where to start in a log that has no cursor (unix time).

        `idle`: seconds without a byte until a log is opened anew: socket proxies cut at 10 minutes, and a log
        file that was truncated under the daemon stays silent for ever. `every`: seconds between looking for
        what no event told of.
        """
        self._shared = _Shared(base_url, emit, listener or NullLogListener(), problem, idle)
        self._jails, self._since, self._every = tuple(jails), int(since), every
        self._surroundings = surroundings
        self._told: Topology | None = None
        self._cursors = dict(cursors)
        self._streams: dict[str, _Stream] = {}
        self._images: dict[str, str] = {}
        self._own = own_id(Path("/proc/self/mountinfo").read_text())
        self._api: Engine | None = None
        self._closed, self._anew = threading.Event(), threading.Event()
        self._away: float | None = time.monotonic()  # since when
        self._why, self._pause = "not asked yet", FIRST

    def check(self) -> None:
        """Raises NoDocker, with the reason and the remedy, if the Engine does not answer."""
        engine.check(self._shared.url)

    def run(self) -> None:
        """Block until closed. That the Engine goes away and comes back is part of the work."""
        threading.Thread(target=self._beat, name="docker pulse", daemon=True).start()
        try:
            while not self._closed.is_set():
                self._anew.clear()
                self._connected()
                if not self._closed.is_set() and not self._anew.is_set():
                    self._come_back()
        finally:
            for stream in self._streams.values():
                stream.leave()
            deadline = time.monotonic() + LONGEST
            for stream in self._streams.values():
                stream.join(max(0.0, deadline - time.monotonic()))

    def _beat(self) -> None:
        while not self._closed.wait(NAP / 4):
            self._shared.pulse.beat(time.monotonic())

    def reconfigure(self, jails: Sequence[Jail], since: float) -> None:
        """These choose the containers from now on, by a new look. Any thread may call this.

        Whoever is watched still is read on; a log that has no cursor is read from `since` on (unix time).
        """
        self._jails, self._since = tuple(jails), int(since)
        self._anew.set()
        if api := self._api:
            api.stop()

    def close(self) -> None:
        self._closed.set()
        if api := self._api:
            api.stop()

    def _connected(self) -> None:
        """Follow what runs until the Engine goes away."""
        try:
            with contextlib.closing(Engine(self._shared.url)) as self._api:
                self._shared.version = self._api.version
                self._watch(self._api)
        except (*AWAY, Broken) as err:
            self._why = reason(err)
        else:
            self._why = "it ended the connection"

    def _watch(self, api: Engine) -> None:
        """Events first, then the list: so nothing falls between."""
        with contextlib.closing(api.events()) as body:
            event = b"the first look"
            while event and not self._closed.is_set():
                self._look(api)
                self._is_back()
                with contextlib.suppress(TimeoutError):
                    event = body.read(self._every)

    def _come_back(self) -> None:
        """Wait a little until it is asked again, and tell if that has been so for long."""
        now = time.monotonic()
        if self._away is None:
            self._away, self._pause = now, FIRST
            log.info("Docker is away (%s); asking until it is back", self._why)
        elif now - self._away > PATIENCE:
            sentence = f"Docker at {self._shared.url} is away ({self._why}); no log is read until it is back"
            self._shared.problem(self.name, sentence)
        self._closed.wait(self._pause)
        self._pause = min(self._pause * 2, LONGEST)

    def _is_back(self) -> None:
        if self._away is not None:
            log.info("connected to Docker at %s", self._shared.url)
            self._away = None
            self._shared.problem(self.name, None)

    def _look(self, api: Engine) -> None:
        """Follow the containers that are to be watched now, leave the others, tell of the networks."""
        listed = [entry for entry in api.containers() if entry["Id"] != self._own]
        running = [entry for entry in listed if entry["State"] in RUNNING]
        containers = [self._container(api, entry) for entry in running]
        chosen = choose(containers, self._jails)
        found = api.networks()
        past = going_past(found, running)
        watched = tuple(replace(each, past=each.id in past) for each in containers if each.id in chosen)
        around = Topology(networks(found), watched)
        if around != self._told:  # before any line is read that could have a gateway banned
            self._surroundings(around)
            self._told = around
        self._forget({entry["Id"] for entry in listed})
        for entry in listed:
            if entry["State"] not in RUNNING and entry["Id"] in self._streams:
                self._streams[entry["Id"]].renamed(_name(entry))
        for container in containers:
            if container.id in chosen:
                self._follow(container, chosen[container.id])
            elif container.id in self._streams:
                self._streams[container.id].forget()
        self._finish(api, [entry for entry in listed if entry["State"] not in RUNNING])

    def _finish(self, api: Engine, stopped: Sequence[Mapping[str, Any]]) -> None:
        """Read to their ends the logs of those that stopped while we were away."""
        known = [entry for entry in stopped if f"docker:{entry['Id']}" in self._cursors]
        containers = [self._container(api, entry) for entry in known]
        chosen = choose(containers, self._jails)
        for container in containers:
            if container.id in chosen:
                self._follow(container, chosen[container.id])

    def _container(self, api: Engine, entry: Mapping[str, Any]) -> Container:
        key, image = entry["Id"], entry["Image"]
        if image.startswith("sha256:"):  # the name that it was started by now means a newer image
            image = self._images.get(key) or api.inspect(key)["Config"]["Image"]
        self._images[key] = image
        return described(entry, image)

    def _follow(self, container: Container, jails: tuple[str, ...]) -> None:
        stream = self._streams.get(container.id)
        if stream is None:
            bookmark = _bookmark(self._cursors.pop(f"docker:{container.id}", b""), self._since)
            stream = self._streams[container.id] = _Stream(self._shared, container.id, bookmark)
        stream.call(container.name, jails)

    def _forget(self, known: set[str]) -> None:
        """Containers that were removed. One that only stopped keeps its bookmark."""
        for key in self._streams.keys() - known:
            self._streams[key].forget()
            del self._streams[key]
        for key in self._images.keys() - known:
            del self._images[key]


class Pulse:
    """Whether we were frozen: paused, stopped, or in a virtual machine that was moved. Times are of any one clock."""

    def __init__(self, now: float) -> None:
        self._last = 0, now  # naps so far, and when that was known: one value, for other threads

    def beat(self, now: float) -> None:
        """Call this several times in NAP seconds."""
        self._last = self.naps(now), now

    def naps(self, now: float) -> int:
        """How often so far. Whoever asks may be the first to wake up."""
        naps, at = self._last
        return naps + (now - at > NAP)


@dataclass(slots=True)
class _Shared:
    """What all streams need."""

    url: str
    emit: Emit
    listener: LogListener
    problem: Report
    idle: float
    version: str = ""  # of the API, once known
    named: dict[str, _Stream] = field(default_factory=dict)  # who has the name now
    naming: threading.RLock = field(default_factory=threading.RLock)
    pulse: Pulse = field(default_factory=lambda: Pulse(time.monotonic()))


class _Stream:
    """The log of one container: a thread for as long as it runs, and the bookmark for longer.

    Listeners and people know it by its name, and a name goes from one container to the next. So whatever is told
    is told in `naming`, and only by who has the name: a thread that ends late says nothing of its successor.
    """

    def __init__(self, shared: _Shared, key: str, bookmark: Bookmark) -> None:
        self._shared, self._id, self._bookmark = shared, key, bookmark
        self._name = key[:12]
        self._jails: tuple[str, ...] = ()
        self._origins: dict[int, Origin] = {}
        self._state = ""  # "open", "closed", "unreadable"
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._wanted = self._again = False
        self._readable = True
        self._sound = True  # Docker sends what there is; false: that is not known yet
        self._why = ""  # it was lost
        self._refused_by_docker = self._told = False
        self._left = threading.Event()
        self._api: Engine | None = None

    def call(self, name: str, jails: tuple[str, ...]) -> None:
        """It runs, this is its name, and these look at it."""
        with self._lock:
            self._jails = jails
            self._take(name)
            self._wanted = self._again = True
            self._left.clear()
            if self._thread is None and self._readable:
                self._thread = threading.Thread(target=self._run, name=f"docker {name}", daemon=True)
                self._thread.start()

    def renamed(self, name: str) -> None:
        """It does not run, and this is its name."""
        if self._heard:
            self._take(name)

    def leave(self) -> None:
        """Read no further."""
        with self._lock:
            self._wanted = False
            self._left.set()
            if self._api:
                self._api.stop()

    def forget(self) -> None:
        """It was removed, or nobody looks at it any more."""
        self.leave()
        self._give_up_name()

    @property
    def _heard(self) -> bool:
        return self._shared.named.get(self._name) is self

    def _take(self, name: str) -> None:
        """Be known by this name from now on; whoever had it before no longer is."""
        with self._shared.naming:
            if name != self._name or not self._heard:
                self._give_up_name()
                if before := self._shared.named.get(name):
                    before._give_up_name()  # noqa: SLF001  one of us
                self._name, self._shared.named[name] = name, self
                self._show(self._state)
            self._origins = {
                number: Origin("docker", name, stream, self._jails) for number, stream in STREAMS.items()
            }

    def _give_up_name(self) -> None:
        with self._shared.naming:
            if self._heard:
                self._trouble(None)
                self._shared.listener.log_removed(self._name)
                del self._shared.named[self._name]
                self._readable = True  # so that it is told again under another name

    def _say(self, tell: Callable[..., None], *what: object) -> None:
        with self._shared.naming:
            if self._heard:
                tell(self._name, *what)

    def _show(self, state: str) -> None:
        """Whether it is being read."""
        with self._shared.naming:
            self._state = state
            if state == "unreadable":
                self._say(self._shared.listener.log_unreadable)
            elif state == "open":
                self._say(self._shared.listener.log_opened)
            elif state:
                self._say(self._shared.listener.log_closed)

    def _trouble(self, sentence: str | None, *, critical: bool = True) -> None:
        """What is wrong with it; None: nothing (any more). Call it in `naming`."""
        if self._heard and (sentence or self._told):
            self._told = bool(sentence)
            self._shared.problem(f"container {self._name}", sentence, critical=critical)

    def join(self, timeout: float) -> None:
        if thread := self._thread:
            thread.join(timeout)

    def _run(self) -> None:
        """Read until the container stops; whatever else ends a reading, begin another."""
        pause = FIRST
        while True:
            began = time.monotonic()
            self._again = False
            ended = self._reading()
            with self._lock:
                if not self._wanted or not self._readable or (ended == "stopped" and not self._again):
                    self._thread = None
                    break
            self._say(self._shared.listener.log_reopened, ReopenReason(ended))
            if ended == "lost":
                self._tell(again=pause != FIRST)
            elif ended in ("frozen", "stuck"):
                log.info("the log of %s is opened anew (%s)", self._name, ended)
            if time.monotonic() - began > LONGEST:
                pause = FIRST  # it went well for a while: try again at once
            else:
                self._left.wait(pause)
                pause = min(pause * 2, LONGEST)

    def _tell(self, *, again: bool) -> None:
        """That it was lost; and if Docker is there and yet it is lost again, to people as well."""
        if not again:
            log.warning("the log of %s was lost (%s); trying again", self._name, self._why)
        elif self._refused_by_docker and not self._told:
            with self._shared.naming:
                self._trouble(f"the log of container {self._name} cannot be read ({self._why})")

    def _reading(self) -> str:
        """Read once; why it ended: "stopped" (the container did), "ended", "idle" or "lost"."""
        version = self._shared.version
        try:
            with contextlib.closing(Engine(self._shared.url, version)) as api:
                with self._lock:
                    self._api = api
                return self._idle_or_over(api) if self._wanted else "ended"
        except APIError as err:
            self._refused_by_docker = err.status_code != 400 or not version
            if not self._refused_by_docker:
                self._shared.version = ""  # another Docker, which does not speak ours: ask for its own
            return self._refused(err)
        except (*AWAY, Broken) as err:
            self._refused_by_docker = isinstance(err, Broken)
            self._why = reason(err)
        except Exception as err:  # whatever a batch did to those it was handed to, the next must be read
            self._why = repr(err)
            if not self._left.wait(FIRST):  # a loop that stops takes no more, and then so do we
                log.exception("a batch of %s failed", self._name)
        finally:
            self._show("closed" if self._readable else "unreadable")
        return "lost"

    def _idle_or_over(self, api: Engine) -> str:
        before = self._bookmark
        try:
            cut = self._read(api)
        except TimeoutError:
            return "idle"
        # Who was cut off has not read what a container said last, and Docker before 23 leaves some of it out where the
        # container stops while it is followed. So it is over when there is nothing new in the log of a stopped one.
        over = not cut and self._bookmark == before and not api.runs(self._id)
        return "stopped" if over else cut or "ended"

    def _refused(self, err: APIError) -> str:
        if err.status_code in (404, 409):  # gone, or going
            return "stopped"
        if err.status_code != 501:
            self._why = reason(err)
            return "lost"
        driver = self._driver()
        with self._shared.naming:
            if self._heard:
                self._readable = False
                sentence = (
                    f"container {self._name} is not watched: its log driver {driver} cannot be read. "
                    "Use json-file, local or journald, or leave Docker's own cache on (cache-disabled=false)"
                )
                log.warning(sentence)
                self._trouble(sentence, critical=False)  # it was made so, and the others are watched
        return "unreadable"

    def _driver(self) -> str:
        with (
            contextlib.suppress(*AWAY),
            contextlib.closing(Engine(self._shared.url, self._shared.version)) as api,
        ):
            return str(api.inspect(self._id)["HostConfig"]["LogConfig"]["Type"])
        return "unknown"

    def _read(self, api: Engine) -> str:
        """Read to the end; if that is not Docker's own, why: "ended", "frozen". Raises TimeoutError when it is idle."""
        pulse, naps = self._shared.pulse, self._shared.pulse.naps(time.monotonic())
        body, terminal = api.logs(self._id, self._start(api), self._shared.idle)
        with contextlib.closing(body):
            self._show("open")
            reader = Reader(self._bookmark, terminal=terminal, repeats=api.repeats)
            deadline = time.monotonic() + SEARCH
            self._sound, data, heard, caught_up = True, None, False, False
            opened = self._now() if api.repeats else b""
            while self._wanted and (data := self._next(body, terminal)):
                if pulse.naps(time.monotonic()) != naps:
                    return "frozen"
                if not reader.position.found and time.monotonic() > deadline:
                    reader.position.give_up()
                began = time.monotonic()
                lines = reader.whole(data)
                if opened and any(text[: len(opened)] > opened for _, text in lines):
                    if not self._catch_up(terminal):
                        return "ended"
                    reader.resume(self._bookmark)
                    opened, caught_up = b"", True
                fresh = reader.fresh(lines)
                if caught_up and reader.position.gap:
                    return "stuck"
                self._hand_on(reader, fresh)
                if time.monotonic() - began > NAP:
                    return "frozen"
                self._sound, heard = self._sound and (heard or not api.repeats), True
            return "stuck" if data is None else "" if body.whole else "ended"

    def _next(self, body: Body, terminal: bool) -> bytes | None:  # noqa: FBT001
        """What comes next; None: there is more in the log, and it does not come. Raises TimeoutError when it is idle.

        Docker before 23 sends nothing more from a log that was rotated just when we opened it, until it is rotated
        again, and then leaves a whole file out. So at the first silence it is asked for the last line.
        """
        if not self._sound:
            with contextlib.suppress(TimeoutError):
                return body.read(SILENCE)
            self._sound = self._last(terminal) <= self._bookmark.stamp
        if not self._sound:
            return None  # even if more comes now: it may be from behind the hole
        return body.read(self._shared.idle)

    def _catch_up(self, terminal: bool) -> bool:  # noqa: FBT001
        """Read all that is in the log by now, without following it. Did it come to its end?

        Docker before 23 may leave out a whole file between what was there when a log was opened and what it follows;
        so the first line that it can only have followed is not trusted.
        """
        with contextlib.closing(Engine(self._shared.url, self._shared.version)) as api:
            body, _ = api.logs(self._id, self._start(api), self._shared.idle, follow=False)
            with contextlib.closing(body):
                reader = Reader(self._bookmark, terminal=terminal)
                while self._wanted and (data := body.read(self._shared.idle)):
                    self._hand_on(reader, reader.feed(data))
                return body.whole

    def _now(self) -> bytes:
        """The Engine's time, as the beginning of a line's stamp; a line that is later was written after this."""
        with contextlib.closing(Engine(self._shared.url, self._shared.version)) as api:
            return datetime.fromtimestamp(api.now() + 1, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode()

    def _last(self, terminal: bool) -> bytes:  # noqa: FBT001
        with (
            contextlib.suppress(*AWAY),
            contextlib.closing(Engine(self._shared.url, self._shared.version)) as api,
        ):
            return api.last(self._id, terminal=terminal)
        return b""

    def _start(self, api: Engine) -> int:
        """From when on to ask for lines; where that is still to come, the clock was set back, and it is from the first.

        Docker before 24 would leave out whatever is older, until that time comes again.
        """
        start = self._bookmark.start()
        return 0 if start > time.time() and start > api.now() else start

    def _hand_on(self, reader: Reader, fresh: list[tuple[int, list[bytes], Bookmark]]) -> None:
        """Each stream's new lines as one batch, with a bookmark that holds once that batch counts."""
        listener, emit = self._shared.listener, self._shared.emit
        if reader.position.gap:
            reader.position.gap = False
            self._tell_gap()  # first: once these lines count, nobody would find it again
        for stream, lines, bookmark in fresh:
            if not self._wanted:
                return
            self._bookmark = bookmark  # before handing on: what a batch breaks must not be read for ever
            text = frames.joined(lines)
            if text:
                with self._shared.naming:
                    origin = self._origins[stream]
                    if self._heard:
                        listener.batch_read(origin, len(lines), len(text), frames.seconds(lines[-1]))
                emit(Batch(origin, text, Framing.DOCKER), Cursor(f"docker:{self._id}", bookmark.encode()))
            if cut := reader.take_cut():
                self._say(listener.lines_truncated, cut)
        with self._shared.naming:
            self._trouble(None)

    def _tell_gap(self) -> None:
        sentence = (
            f"the log of container {self._name} no longer has what was read last: lines were rotated away unread, "
            "and do not count. Give its log more files (max-file) or larger ones (max-size)"
        )
        log.warning(sentence)
        with self._shared.naming:
            self._say(self._shared.listener.log_gap)
            self._trouble(sentence, critical=False)
            self._trouble(None)


def _name(entry: Mapping[str, Any]) -> str:
    """By an entry of `GET /containers/json`. A legacy link gives a container more names: `/other/alias`."""
    names: list[str] = entry["Names"] or []
    name = next((name for name in names if name.count("/") == 1), str(entry["Id"])[:12])
    return name.removeprefix("/")


def networks(listed: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """The subnets and gateways of `GET /networks`, as canonical networks, in order."""
    pools = [pool for entry in listed for pool in (entry.get("IPAM") or {}).get("Config") or ()]
    gateways = (pool.get("Gateway") or "" for pool in pools)
    # Old Engines give an IPv6 gateway the prefix of its network.
    texts = [*(pool.get("Subnet") or "" for pool in pools), *(text.partition("/")[0] for text in gateways)]
    return tuple(sorted({str(found) for text in texts if (found := parse_network(text))}))


def going_past(
    listed: Iterable[Mapping[str, Any]], containers: Iterable[Mapping[str, Any]]
) -> frozenset[str]:
    """The ids of those containers that have a network past the host's firewall: `GET /networks` says which do."""
    past = {entry["Id"] for entry in listed if entry.get("Driver") in PAST}
    return frozenset(
        entry["Id"]
        for entry in containers
        for net in ((entry.get("NetworkSettings") or {}).get("Networks") or {}).values()
        if net.get("NetworkID") in past
    )


def described(entry: Mapping[str, Any], image: str) -> Container:
    """What an entry of `GET /containers/json` says of a container."""
    ports = [port for port in entry.get("Ports") or () if port.get("PublicPort")]
    attached = list(((entry.get("NetworkSettings") or {}).get("Networks") or {}).values())
    gateways = (net.get(key) for net in attached for key in ("Gateway", "IPv6Gateway"))
    return Container(
        entry["Id"], _name(entry), image, entry["Labels"] or {},
        published=frozenset(int(port["PublicPort"]) for port in ports),
        gateways=tuple(dict.fromkeys(text for text in gateways if text)),
        proxied=any(":" in (port.get("IP") or "") for port in ports)
        and not any(net.get("GlobalIPv6Address") for net in attached),
    )  # fmt: skip


def own_id(mountinfo: str) -> str:
    """The id of the container we are in, by what Docker mounts into each; "" outside of one.

    The host name says nothing in the host's network, and cgroups hide it in a namespace of their own.
    """
    found = _OWN.search(mountinfo)
    return found[1] if found else ""


_OWN = re.compile(r"/containers/([0-9a-f]{64})/\S+ /etc/(?:hostname|hosts|resolv\.conf) ")


def _bookmark(state: bytes, since: int) -> Bookmark:
    """The one that was kept, or a new one where there is none that we can read."""
    try:
        return Bookmark.decode(state) if state else Bookmark(since)
    except ValueError as err:
        log.warning("a cursor is not understood (%s); reading from %s on", err, since)
        return Bookmark(since)
