import contextlib
import os
import shutil
import socket
import stat
import subprocess
import threading
from datetime import UTC
from queue import Queue

import pytest

from sidecar.access.detect import AccessLog
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.framing import unwrapper
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.runtime.problems import Problems
from sidecar.sources.base import NullLogListener, Outputs
from sidecar.sources.syslog import SyslogSocket, SyslogSource, line
from tests.support import traffic
from tests.support.waiting import wait_until

NOW = 1_795_338_000.25
STAMP = b"1 2026-11-22T09:00:00.250000+00:00 "
SAID = b"Authentication failure for admin from 203.0.113.12"


NOWHERE = Outputs(lambda batch, cursor: None, NullLogListener(), Problems())


class Events(NullLogListener):
    """The events of the source: it listens, it lost messages."""

    def __init__(self):
        self.all = []

    def log_opened(self, name):
        self.all.append("up")

    def log_closed(self, name):
        self.all.append("down")

    def log_gap(self, name):
        self.all.append("gap")

    def lines_truncated(self, name, count=1):
        self.all.append("overlong")


class Running:
    """A source in its thread, and what it hands on."""

    def __init__(self, path, emit=None, problems=None, **more):
        self.path, self.events, self.batches = path, Events(), Queue()
        emit = emit or (lambda batch, cursor: self.batches.put((batch, cursor)))
        outputs = Outputs(emit, self.events, problems or Problems())
        self.source = SyslogSource(path, ("a",), outputs, clock=lambda: NOW, **more)
        self.thread = threading.Thread(target=self.source.run)
        self.thread.start()

    def send(self, *messages):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            for message in messages:
                sender.sendto(message, str(self.path))

    def lines(self, count):
        data = b""
        while data.count(b"\n") < count:
            data += self.batches.get(timeout=60)[0].data
        return data.split(b"\n")[:-1]

    def close(self):
        self.source.close()
        self.thread.join(timeout=60)
        assert not self.thread.is_alive()


@pytest.fixture
def running(tmp_path):
    running = Running(tmp_path / "shared" / "log")
    yield running
    running.close()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (b"<37>Nov 22 08:59:51 wordpress(h)[8]: x", b"wordpress(h)[8]: x"),  # PHP's syslog()
        (b"<13>Nov  2 08:59:51 web1 wp[8]: x\n", b"web1 wp[8]: x"),
        (b"<37>1 2026-11-22T08:59:51.003Z web1 wordpress 8 - - x", b"web1 wordpress 8 - - x"),
        (b"<37>1 - web1 wordpress 8 - - x", b"web1 wordpress 8 - - x"),
        (b"<37>wordpress: x\0", b"wordpress: x"),
        (b"wordpress: x", b"wordpress: x"),
        (b"", b""),
        (
            b"<37>Nov 22 08:59:51 wp: x\n<37>Nov 22 08:59:51 wp: \r\0y\x7f",
            b"wp: x <37>Nov 22 08:59:51 wp:   y ",
        ),
        ("<37>Nov 22 08:59:51 wp: Jörg\x85".encode(), "wp: Jörg\x85".encode()),
        (b"<37>Nov x", b"Nov x"),
    ],
)
def test_a_message_is_one_line_that_begins_with_its_time_of_arrival(message, expected):
    assert line(message, NOW) == STAMP + expected + b"\n"


def test_what_containers_send_is_handed_on(running):
    running.send(b"<37>Nov 22 08:59:51 wordpress(h)[8]: " + SAID)
    batch, cursor = running.batches.get(timeout=60)

    origin = Origin("syslog", str(running.path), "", ("a",))
    assert (batch, cursor) == (
        Batch(origin, STAMP + b"wordpress(h)[8]: " + SAID + b"\n", Framing.SYSLOG),
        None,
    )


@pytest.mark.parametrize("name", ["wordpress"])
@pytest.mark.parametrize(
    "header",
    [b"<37>Nov 22 03:59:51 wordpress(h)[8]: ", b"<37>1 2026-11-22T03:59:51+01:00 web1 wordpress(h) 8 - - "],
)
def test_a_hit_counts_at_the_moment_it_came_whatever_its_header_says(name, header):
    (hit,) = (
        Matcher({"a": load(name)})
        .scan(Batch(Origin("syslog", "x", "", ("a",)), line(header + SAID, NOW), Framing.SYSLOG), NOW + 5)
        .hits
    )

    assert (hit.address, hit.at) == ("203.0.113.12", NOW)


def test_an_address_behind_a_newline_is_no_hit():
    forged = b"<37>Nov 22 08:59:51 php: hello\n<37>Nov 22 08:59:51 wordpress(h)[8]: " + SAID
    batch = Batch(Origin("syslog", "x", "", ("a",)), line(forged, NOW), Framing.SYSLOG)

    assert Matcher({"a": load("wordpress")}).scan(batch, NOW).hits == []


def test_anyone_may_write_and_the_order_stays(running):
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o666
    running.send(*(b"<13>Nov 22 08:59:51 x: %d" % n for n in range(3000)))

    assert running.lines(3000) == [STAMP + b"x: %d" % n for n in range(3000)]


def test_logger_is_understood(running):
    if not shutil.which("logger"):
        pytest.fail("this test needs logger: apt-get install bsdutils")
    for options in ([], ["--rfc5424"]):
        argv = [
            "logger",
            "--socket",
            running.path,
            "--tag",
            "wordpress(h)",
            "--id=8",
            "-p",
            "auth.notice",
            *options,
            SAID,
        ]
        subprocess.run(argv, check=True, timeout=60)
    batch = Batch(Origin("syslog", "x", "", ("a",)), b"\n".join([*running.lines(2), b""]), Framing.SYSLOG)

    assert [hit.address for hit in Matcher({"a": load("wordpress")}).scan(batch, NOW).hits] == [
        "203.0.113.12"
    ] * 2


def test_a_truncated_message_is_dropped_and_counted(running):
    running.send(b"x" * 65_536 + b"y", b"<13>Nov 22 08:59:51 x: next")

    assert running.lines(1) == [STAMP + b"x: next"]
    assert "overlong" in running.events.all


def test_no_writer_waits_while_the_loop_is_behind(tmp_path):
    """The oldest messages are dropped, and that is counted as a gap."""
    go, seen = threading.Event(), []

    def emit(batch, cursor):
        seen.append(batch.data)
        go.wait(100)

    running = Running(tmp_path / "log", emit, max_queued_bytes=1_000)
    running.send(*(b"<13>Nov 22 08:59:51 x: %d" % n for n in range(20_000)))
    still_behind = len(seen) == 1
    running.send(b"<13>Nov 22 08:59:51 x: last")
    go.set()
    running.close()

    assert still_behind
    assert "gap" in running.events.all
    assert b"".join(seen).endswith(b" x: last\n")


def test_it_ends_and_leaves_nothing_behind(tmp_path):
    running = Running(tmp_path / "log")
    running.close()

    assert list(tmp_path.iterdir()) == []
    assert running.events.all == ["up", "down"]


def test_a_socket_that_a_killed_run_left_is_replaced(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(tmp_path / "log"))
    running = Running(tmp_path / "log")
    running.send(b"<13>Nov 22 08:59:51 x: y")

    assert running.lines(1) == [STAMP + b"x: y"]
    running.close()


def put_file(path):
    path.write_text("mine")


def put_folder(path):
    path.mkdir()
    (path / "x").touch()


def put_link(path):
    (path.parent / "target").write_text("mine")
    path.symlink_to(path.parent / "target")


def put_link_to_nothing(path):
    path.symlink_to(path.parent / "nothing")


def put_pipe(path):
    os.mkfifo(path)


def put_socket(path):
    path.held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path.held.bind(str(path))


@pytest.fixture
def shared(tmp_path):
    """A path in a folder that containers may write to."""

    class Shared(type(tmp_path)):
        held = None

    path = Shared(tmp_path / "shared" / "log")
    path.parent.mkdir()
    yield path
    if path.held:
        path.held.close()


@pytest.mark.parametrize(
    "put",
    [put_file, put_folder, put_link, put_link_to_nothing, put_pipe, put_socket],
    ids=lambda put: put.__name__,
)
def test_whatever_stands_at_the_path_is_left_alone_reported_and_prevents_no_start(shared, put):
    put(shared)
    before = shared.lstat().st_ino
    problems = Problems()
    running = Running(shared, problems=problems)

    wait_until(lambda: problems.critical)
    (why,) = problems.sentences
    assert why.startswith(f"messages to syslog are not read: {shared}: no syslog socket can be there (")
    assert shared.lstat().st_ino == before
    running.close()
    assert shared.lstat().st_ino == before


def test_it_listens_as_soon_as_the_path_is_free(shared):
    put_file(shared)
    problems = Problems()
    running = Running(shared, problems=problems)
    wait_until(lambda: problems.critical)
    shared.unlink()

    wait_until(lambda: not problems.critical)
    running.send(b"<13>Nov 22 08:59:51 x: y")
    assert running.lines(1) == [STAMP + b"x: y"]
    running.close()


@pytest.mark.parametrize("put", [None, put_socket], ids=["removed", "replaced"])
def test_a_socket_that_a_container_takes_away_is_missed_within_seconds(shared, put):
    problems = Problems()
    running = Running(shared, problems=problems)
    running.send(b"first")
    running.lines(1)
    shared.unlink()
    if put:
        put(shared)
        wait_until(lambda: problems.critical)
        assert "another process listens there" in problems.sentences[0]
        shared.held.close()

    wait_until(lambda: running.events.all == ["up", "down", "up"])
    running.send(b"<13>Nov 22 08:59:51 x: second")
    assert running.lines(1) == [STAMP + b"x: second"]
    assert not problems.critical
    running.close()


def test_one_that_writes_without_pause_cannot_hide_that_the_socket_was_taken_away(shared):
    running = Running(shared)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as writer:
        writer.connect(str(shared))
        shared.unlink()

        def written():
            with contextlib.suppress(OSError):
                writer.send(b"x")
            return running.events.all == ["up", "down", "up"]

        wait_until(written)
    running.close()


def test_the_permissions_of_no_other_file_change(shared):
    """A container puts a link in the place of the socket whenever it can; there is no chmod() that follows it."""
    target = shared.parent / "target"
    target.write_text("mine")
    target.chmod(0o600)
    stop = threading.Event()

    def swap():
        while not stop.is_set():
            with contextlib.suppress(OSError):
                shared.unlink()
            with contextlib.suppress(OSError):
                shared.symlink_to(target)
            with contextlib.suppress(OSError):
                shared.unlink()

    swapper = threading.Thread(target=swap)
    swapper.start()
    made = SyslogSocket(shared)
    for _ in range(1_000):
        with contextlib.suppress(OSError):
            made.bind()
        made.close()
    stop.set()
    swapper.join()

    assert stat.S_IMODE(target.stat().st_mode) == 0o600


def test_after_a_failure_it_listens_again(tmp_path):
    """The supervisor runs it once more."""
    batches, events = Queue(), Events()

    def emit(batch, cursor):
        batches.put(batch.data)
        if b"bad" in batch.data:
            raise ValueError("the filter broke")

    source = SyslogSource(tmp_path / "log", (), Outputs(emit, events, Problems()), clock=lambda: NOW)

    def run():
        with pytest.raises(ValueError, match="broke"):
            source.run()
        source.run()

    supervised = threading.Thread(target=run)
    supervised.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"bad", str(tmp_path / "log"))
        wait_until(lambda: events.all == ["up", "down", "up"])
        sender.sendto(b"good", str(tmp_path / "log"))
    assert [batches.get(timeout=60) for _ in range(2)] == [STAMP + b"bad\n", STAMP + b"good\n"]
    source.close()
    supervised.join(60)

    assert not supervised.is_alive()


def test_new_jails_look_at_later_messages(running):
    running.send(b"x")
    first, _ = running.batches.get(timeout=60)
    running.source.reconfigure(("b", "c"))
    running.send(b"y")
    second, _ = running.batches.get(timeout=60)

    assert [first.origin.jails, second.origin.jails] == [("a",), ("b", "c")]


@pytest.mark.parametrize(
    "header",
    [
        b"<190>Nov 30 06:33:20 web nginx: ",
        b"<190>Nov  3 06:33:20 nginx: ",
        b"<190>Nov 30 06:33:20 web haproxy[7]: ",
        b"<190>1 2026-11-30T06:33:20.123456+01:00 web nginx 7 - - ",
        b'<190>1 2026-11-30T06:33:20Z web nginx 7 - [a b="c"] ',
    ],
)
@pytest.mark.parametrize("name", ["nginx combined", "nginx JSON", "HAProxy httplog", "Traefik JSON"])
def test_an_access_log_that_a_server_sends_is_read_at_the_time_it_came(header, name):
    """As nginx does with `access_log syslog:server=unix:/dev/log`."""
    sent = traffic.line(name, traffic.Visit(traffic.BEGIN, "203.0.113.7")).encode()
    at, text = unwrapper(Framing.SYSLOG)(line(header + sent, 1_796_100_000.0).decode().rstrip("\n"), 0, UTC)
    (request,) = AccessLog().requests(text)

    assert (request.canonical.partition(" ? ")[0], at) == (
        "203.0.113.7 POST /wp-login.php 200",
        1_796_100_000.0,
    )
