"""A Docker Engine's API over a real socket, with logs that a test writes, and faults that a test asks for."""

import json
import re
import socketserver
import struct
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from socket import SHUT_RDWR
from urllib.parse import parse_qs, unquote, urlsplit

from sidecar.sources.docker.wire import unix_seconds
from tests.sources.recorder import TIMEOUT_S
from tests.support.waiting import wait_until

NETWORK = {"Name": "bridge", "IPAM": {"Config": [{"Subnet": "172.17.0.0/16", "Gateway": "172.17.0.1"}]}}


def stamp(at=None):
    """Docker's, of this many nanoseconds, or of now."""
    at = time.time_ns() if at is None else at
    return datetime.fromtimestamp(at // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S").encode() + b".%09dZ" % (
        at % 10**9
    )


class Container:
    """What a test says of one."""

    def __init__(
        self,
        key,
        name,
        image="wordpress:6",
        *,
        tty=False,
        status=200,
        labels=None,
        ports=(),
        networks=(),
        mode="",
        image_labels=None,
    ):
        self.id, self.name, self.image, self.tty = key * 64, name, image, tty
        self.labels, self.ports, self.status = labels or {}, list(ports), status
        self.image_labels = image_labels
        self.networks, self.mode = networks, mode
        self.state = "running"
        self.started_at = self.finished_at = "0001-01-01T00:00:00Z"
        self.starting = False
        self.frames = []  # (stream, payload)
        self.early = False  # once, its log ends with it though more is there
        self.hole = 0  # so many lines do not come that are written after its log was opened
        self.driver, self.log_options = "json-file", {"max-size": "10m"}
        self.earlier_damage = None  # the same, and what is read from before ends there
        self.damage = None  # the log's file is damaged behind this many frames
        self.damage_ends = False  # reading it ends with an error (Docker 26), and not silently (20.10, 29)
        self.truncated = 0  # how often its file was truncated
        self.blind = False  # nothing comes that is written from now on (Docker 23 and later)
        self.deleted = False
        self.noise = []  # bytes that come after what is written while its log is followed, each over one connection
        self.noise_first = b""  # bytes that come instead of its log
        self.ends = False  # its log ends though it runs
        self.meanwhile = []  # lines and their times: each is written while a question about the last entries is answered
        self.stuck = 0  # this many times, what is written while its log is followed does not come

    def entry(self):
        return {
            "Id": self.id,
            "Names": ["/other/alias", f"/{self.name}"],
            "Image": self.image,
            "ImageID": self.image_id,
            "Labels": self.labels,
            "State": self.state,
            # Only of those that run.
            "Ports": [
                {"PrivatePort": 80, "PublicPort": port, "Type": "tcp"}
                for port in self.ports
                if self.state == "running"
            ],
            "HostConfig": {"NetworkMode": self.mode},
            "NetworkSettings": {"Networks": {name: {"NetworkID": name} for name in self.networks}},
        }

    @property
    def image_id(self):
        return f"sha256:{self.id}"

    def inspected(self):
        return {
            "Id": self.id,
            "Config": {"Tty": self.tty, "Image": "wordpress:old"},
            "HostConfig": {
                "LogConfig": {"Type": self.driver, "Config": self.log_options},
                "PortBindings": {"80/tcp": [{"HostPort": str(port)} for port in self.ports], "81/tcp": None},
            },
            "State": {
                "Running": self.state == "running",
                "StartedAt": self.started_at,
                "FinishedAt": self.finished_at,
            },
        }


class StandIn:
    """The daemon. `modern`: it says in its headers what a log is made of, and sends them at once."""

    def __init__(self, path=None, *, modern=True):
        """At this path; without, over TCP."""
        self.path, self.modern = path, modern
        self.api = "1.47" if modern else "1.41"  # the one version that it speaks
        self.url = f"unix://{path}"
        self.containers, self.networks = {}, [NETWORK]
        self.opened = []  # the requests for logs
        self.tails = []  # how many entries were asked for at each opening
        self.whole_readings = 0  # how often all of a log was read without following it
        self.endless = []  # names of logs whose `tail` never ended
        self.paths = []  # of all requests
        self.refused = {}  # path -> status
        self.silent = set()  # paths of questions that are accepted and not answered
        self.changed = threading.Condition()
        self._server = None
        # The lines of the stream of events, and how often the next one comes.
        self._said, self._flood = [], 1
        self._connections = set()
        self.start()

    def start(self):
        if self.path:
            self.path.unlink(missing_ok=True)
            self._server = _Server(str(self.path), _Handler)
        else:
            self._server = _TcpServer(("127.0.0.1", 0), _Handler)
            self.url = "tcp://{}:{}".format(*self._server.server_address)
        self._server.engine = self
        threading.Thread(target=self._server.serve_forever, args=(0.01,), name="stand-in").start()

    def stop(self):
        """The daemon goes, in the middle of whatever it says."""
        self._server.shutdown()
        server, self._server = self._server, None
        self.cut()
        server.server_close()
        if self.path:
            self.path.unlink()

    def close(self):
        if self._server:
            self.stop()

    def cut(self):
        """Ends all connections where they are."""
        with self.changed:
            for connection in list(self._connections):
                with suppress(OSError):
                    connection.shutdown(SHUT_RDWR)
            self.changed.notify_all()

    def run(self, container):
        """Starts a container, or tells of what the test changed in it."""
        with self.changed:
            self.containers[container.id] = container
            self._happened()
        return container

    def create(self, container):
        with self.changed:
            self.containers[container.id], container.state = container, "created"
            self._happened("create", container)

    def connect(self, container):
        """It is being started: whoever asks for its log waits until it runs."""
        with self.changed:
            container.starting = True
            self._happened("connect", container)

    def start_container(self, container, *, then_remove=False):
        """`then_remove`: its log is no longer there for those who did not ask for it by now."""
        with self.changed:
            container.starting, container.state = False, "running"
            self._happened("start", container)
            if then_remove:
                container.state = "exited"
                del self.containers[container.id]
                self._happened("destroy", container)

    def stop_container(self, container):
        with self.changed:
            container.state, container.finished_at = "exited", stamp().decode()
            container.blind = container.deleted = False
            self._happened()

    def truncate(self, container):
        """As logrotate does with `copytruncate` (moby#45728)."""
        with self.changed:
            container.frames.clear()
            container.truncated += 1
            container.blind = self.modern
            self.changed.notify_all()

    def rename(self, container, name):
        with self.changed:
            container.name = name
            self._happened()

    def remove(self, container):
        with self.changed:
            container.state = "removed"
            del self.containers[container.id]
            self._happened()

    def write(self, container, text, stream=1, at=None):
        """A line, or with a list the parts of one."""
        parts = text if isinstance(text, list) else [text]
        at = stamp(at)
        with self.changed:
            for part in parts[:-1]:
                container.frames.append((stream, at + b" " + part))
            container.frames.append((stream, at + b" " + parts[-1] + b"\n"))
            self.changed.notify_all()

    def wait_asked(self, path):
        """Until somebody has asked for this."""
        self.wait(lambda: path in self.paths)

    def wait(self, ready):
        with self.changed:
            assert self.changed.wait_for(ready, TIMEOUT_S)

    def flood(self, events):
        """So many events in which nothing happened that matters."""
        with self.changed:
            self._flood = events
            self._happened()

    def _happened(self, action="", container=None):
        """Without an action: something, which the lists say better."""
        event = {"Type": "container"}
        if action == "connect":
            attributes = {"container": container.id, "name": "bridge"}
            event = {"Type": "network", "Action": action, "Actor": {"ID": "n", "Attributes": attributes}}
        elif action:
            attributes = {**container.labels, "image": container.image, "name": container.name}
            event |= {"Action": action, "Actor": {"ID": container.id, "Attributes": attributes}}
        self._said.append(json.dumps(event).encode() + b"\n")
        self.changed.notify_all()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = False
    block_on_close = True
    request_queue_size = 64


class _TcpServer(socketserver.ThreadingTCPServer):
    daemon_threads = False
    block_on_close = True


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.engine = self.server.engine
        self.engine._connections.add(self.connection)

    def finish(self):
        self.engine._connections.discard(self.connection)
        with suppress(OSError):
            super().finish()

    def handle(self):
        with suppress(OSError):
            super().handle()

    def address_string(self):
        return "unix"

    def log_message(self, *_):
        """The test says enough."""

    def do_GET(self):
        url = urlsplit(self.path)
        path, query = re.sub(r"^/v[\d.]+", "", url.path), {k: v[0] for k, v in parse_qs(url.query).items()}
        with self.engine.changed:
            self.engine.paths.append(path)
            self.engine.changed.notify_all()
        engine, asked = self.engine, re.match(r"/v([\d.]+)", url.path)
        if asked and asked[1] != engine.api:
            self._answer({"message": f"client version {asked[1]} is too old"}, 400)
        elif status := engine.refused.get(path):
            self._answer({"message": "refused"}, status)
        elif path in engine.silent:
            wait_until(lambda: path not in engine.silent or not self._open(), timeout=60)
            self.close_connection = True
        elif path == "/version":
            self._answer({"ApiVersion": engine.api, "Version": "0"})
        elif path == "/containers/json":
            self._answer(
                [each.entry() for each in list(engine.containers.values()) if self._listed(each, query)]
            )
        elif image := re.fullmatch(r"/images/(.+)/json", path):
            self._image(unquote(image[1]))
        elif path == "/networks":
            self._answer(engine.networks)
        elif path == "/events":
            self._events()
        else:
            self._container(*re.fullmatch(r"/containers/(\w+)/(\w+)", path).groups(), query)

    def _listed(self, container, query):
        wanted = json.loads(query.get("filters", "{}")).get("id", [container.id])
        return container.id in wanted and (query.get("all") == "1" or container.state == "running")

    def _image(self, key):
        found = next((each for each in self.engine.containers.values() if each.image_id == key), None)
        if found:
            self._answer({"Id": key, "Config": {"Labels": found.image_labels}})
        else:
            self._answer({"message": f"No such image: {key}"}, 404)

    def _container(self, key, what, query):
        container = self.engine.containers.get(key)
        if container is None:
            self._answer({"message": f"No such container: {key}"}, 404)
        elif what == "json":
            self._answer(container.inspected())
        elif container.status != 200:
            self._answer({"message": "configured logging driver does not support reading"}, container.status)
        elif "since" not in query:
            self._tail(container)
        else:
            self._log_query(container, query)

    def _log_query(self, container, query):
        tail = int(query["tail"]) if "tail" in query else None
        if container.deleted:
            self._fail(container, b"open /var/lib/docker/x-json.log: no such file or directory")
        elif tail is not None and container.blind:
            self.engine.endless.append(container.name)
            while self._open():
                time.sleep(0.05)
        else:
            self._logs(container, int(query["since"]), follow=query["follow"] == "1", tail=tail)

    def _fail(self, container, message):
        if not self._headers_sent():
            self._head(container)
        self._chunk(self._framed(container, 3, b"Error grabbing logs: " + message))
        self._chunk(b"")
        self.close_connection = True

    def _answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, kind):
        self.send_response(200)
        if self.engine.modern:
            self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _chunk(self, body):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(body), body))

    def _events(self):
        engine = self.engine
        # Before the head: whoever has that must not miss an event.
        seen = len(engine._said)
        self._stream("application/json")
        while self._open():
            with engine.changed:
                engine.changed.wait_for(lambda last=seen: len(engine._said) > last or not self._open(), 0.05)
                fresh, seen = engine._said[seen:], len(engine._said)
                count, engine._flood = engine._flood, 1
            for event in fresh * count:
                self._chunk(event)

    def _logs(self, container, since, *, follow, tail):  # noqa: C901, PLR0912, PLR0915  faults more than a function may have
        engine = self.engine
        with engine.changed:
            engine.changed.wait_for(lambda: not container.starting)
            if follow:
                engine.opened.append((container.name, since))
                engine.tails.append(tail)
                engine.changed.notify_all()
            stuck, container.stuck = follow and container.stuck > 0, max(0, container.stuck - follow)
            end, truncated, blind = len(container.frames), container.truncated, container.blind
        if container.meanwhile and tail and not follow:
            text, at = container.meanwhile.pop(0)
            engine.write(container, text, at=at)
        at = 0 if tail is None else max(0, end - tail)
        damaged = (
            range(0) if container.damage is None or at > container.damage else range(container.damage, end)
        )
        if container.earlier_damage is not None and at <= container.earlier_damage:
            damaged = range(container.earlier_damage, end)
        if not container.frames and container.state != "running":
            self.send_response(200)  # a handler that wrote nothing: Go's server then says so
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if engine.modern:
            self._head(container)
        if follow and container.noise_first:
            if not self._headers_sent():
                self._head(container)
            self.wfile.write(container.noise_first)
            wait_until(self._hung_up, timeout=60)
            return
        first, begun = at, False
        while True:
            if truncated != container.truncated and not engine.modern:
                at, truncated = 0, container.truncated
            gone = truncated != container.truncated or (blind and at >= end)
            frames, over = (
                ([], container.state != "running" or not follow)
                if gone
                else self._more(container, at, wait=follow, stuck=stuck)
            )
            if gone:
                time.sleep(0.02)
            if not self._open():
                return
            at, came = at + len(frames), len(frames)
            if at - came > first:
                frames = self._without_faults(container, frames, over, stuck)
            if damaged:
                frames = [each for number, each in enumerate(frames, at - came) if number not in damaged]
            for stream, payload in frames:
                begun = (engine.modern and begun) or unix_seconds(payload) >= since
                if begun:
                    if not engine.modern and not self._headers_sent():
                        self._head(container)
                    self._chunk(self._framed(container, stream, payload))
            if follow and came and at > end and container.noise:
                self.wfile.write(container.noise.pop())
            if damaged and container.damage_ends and at >= end:
                self._fail(container, b"invalid character '\\x00' looking for beginning of value")
                return
            if (over or container.ends) and not came:
                if not self._headers_sent():
                    self._head(container)
                engine.whole_readings += not follow and tail is None
                self._chunk(b"")
                self.close_connection = True
                return

    def _more(self, container, at, *, wait, stuck):
        """What was written since, and whether that is all."""
        with self.engine.changed:
            if wait:
                self.engine.changed.wait_for(
                    lambda: (
                        (len(container.frames) > at and not (stuck and at))
                        or container.state != "running"
                        or not self._open()
                    ),
                    0.05,
                )
            return container.frames[at:], container.state != "running" or not wait

    def _without_faults(self, container, frames, over, stuck):
        """What an old Engine sends of what was written after a log was opened."""
        if stuck or (over and container.early):
            container.early = False
            return []
        left_out, container.hole = frames[: container.hole], max(0, container.hole - len(frames))
        return frames[len(left_out) :]

    def _tail(self, container):
        """The last line alone."""
        self._head(container)
        for stream, payload in container.frames[-1:]:
            self._chunk(self._framed(container, stream, payload))
        self._chunk(b"")

    def _head(self, container):
        kind = "raw" if container.tty else "multiplexed"
        self._sent = True
        self._stream(f"application/vnd.docker.{kind}-stream")

    def _headers_sent(self):
        return getattr(self, "_sent", False)

    def _framed(self, container, stream, payload):
        if container.tty:
            return payload.replace(b"\n", b"\r\n")
        return struct.pack(">BxxxL", stream, len(payload)) + payload

    def _open(self):
        return self.engine._server is not None and self.connection.fileno() >= 0 and not self._hung_up()

    def _hung_up(self):
        with suppress(BlockingIOError, OSError):
            self.connection.settimeout(0)
            try:
                return self.connection.recv(1, 2) == b""  # MSG_PEEK
            finally:
                self.connection.settimeout(None)
        return False
