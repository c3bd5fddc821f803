"""One request over a connection of our own: what comes at once, in time, whole, and as a hostile peer sends it."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from sidecar.sources.docker import connection
from sidecar.sources.docker.connection import MAX_HEAD_BYTES, Connections, Endpoint, Interrupt
from sidecar.sources.docker.wire import ProtocolError, UnfinishedError

OK = b"HTTP/1.1 200 OK\r\n"


class Peer:
    """Answers each request with the same bytes, and may then repeat others for ever."""

    def __init__(self, path, answer, *, forever=b"", hold=False):
        self.requests = []
        self._answer, self._forever, self._hold = answer, forever, hold
        self._closed = threading.Event()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._socket.settimeout(0.05)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._closed.is_set():
            try:
                sock, _ = self._socket.accept()
            except TimeoutError:
                continue
            with sock:
                sock.settimeout(60)
                self._serve(sock)

    def _serve(self, sock):
        try:
            self.requests.append(sock.recv(65_536))
            sock.sendall(self._answer)
            while self._forever and not self._closed.is_set():
                sock.sendall(self._forever)
            if self._hold:
                sock.recv(1)
        except OSError:
            pass  # it hung up

    def close(self):
        self._closed.set()
        self._thread.join(60)
        self._socket.close()


@pytest.fixture
def ask(tmp_path):
    """Asks a peer that answers like this; returns the answer."""
    peers, opened = [], []

    def ask(answer, *, timeout_s=60.0, interrupt=None, **how):
        path = tmp_path / f"{len(peers)}.sock"
        peers.append(Peer(path, answer, **how))
        connections = Connections(Endpoint(f"unix://{path}"), interrupt or Interrupt())
        opened.append(connections.open("/a?b=c", timeout_s))
        return opened[-1]

    ask.peers = peers
    yield ask
    for each in opened:
        each.close()
    for peer in peers:
        peer.close()


def test_a_request_is_a_plain_get(ask):
    answer = ask(OK + b"Content-Length: 5\r\n\r\nhello")

    assert (answer.head.status, answer.read_all(5)) == (200, b"hello")
    assert ask.peers[0].requests == [
        b"GET /a?b=c HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n"
    ]


@pytest.mark.parametrize(
    ("framing", "body", "complete"),
    [
        (b"Content-Length: 5\r\n", b"hello", True),
        (b"Content-Length: 0\r\n", b"", True),
        (b"Content-Length: 9\r\n", b"hello", False),
        (b"Transfer-Encoding: chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", True),
        (b"Transfer-Encoding: Chunked\r\n", b"2\r\nhe\r\n3\r\nllo\r\n", False),
        (b"", b"hello", True),
    ],
)
def test_it_is_known_whether_all_of_a_body_came(ask, framing, body, complete):
    answer = ask(OK + framing + b"\r\n" + body)
    data = b"".join(iter(lambda: answer.read(5), b""))

    assert (data, answer.complete) == (b"hello" if body else b"", complete)


def test_a_body_that_is_cut_off_is_an_error_where_all_of_it_is_needed(ask):
    answer = ask(OK + b"Content-Length: 9\r\n\r\nhello")

    with pytest.raises(ConnectionError, match="in the middle of an answer"):
        answer.read_all(5)


def test_a_body_that_is_too_large_is_an_error_where_all_of_it_is_needed(ask, monkeypatch):
    monkeypatch.setattr(connection, "MAX_ANSWER_BYTES", 1000)
    answer = ask(OK + b"\r\n", forever=b"x" * 600)

    with pytest.raises(ProtocolError, match="over 1000 bytes"):
        answer.read_all(5)


@pytest.mark.parametrize(
    "answer",
    [
        b"what is this\r\n\r\n",
        b"HTTP/9.1 200 OK\r\n\r\n",
        b"HTTP/1.1 abc OK\r\n\r\n",
        OK + b"x" * 70_000,
        OK + b"A: b\r\n" * 200 + b"\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: many\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * (MAX_HEAD_BYTES // 25 + 1),
    ],
)
def test_what_is_no_answer_is_an_error(ask, answer):
    with pytest.raises(ProtocolError):
        ask(answer, hold=True)


@pytest.mark.parametrize(
    ("begin", "forever"),
    [
        (OK, b"A: b\r\n"),
        (OK, b"A: " + b"x" * 1000),
        (OK, b" folded\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"", b"x"),
    ],
)
def test_a_head_without_an_end_is_an_error(ask, begin, forever):
    with pytest.raises(ProtocolError):
        ask(begin, forever=forever)


@pytest.mark.parametrize("forever", [b"x", b"6;" + b"x" * 1000, b"\r\n", b"-6\r\n", b"1;a=b\r\n"])
def test_a_chunk_header_without_an_end_or_sense_is_an_error(ask, forever):
    answer = ask(OK + b"Transfer-Encoding: chunked\r\n\r\n", forever=forever)

    with pytest.raises(ProtocolError):
        answer.read(5)


def test_a_connection_that_ends_before_an_answer_is_a_connection_error(ask):
    with pytest.raises(ConnectionError):
        ask(b"")


def test_a_timeout_does_not_end_a_stream(ask):
    with pytest.raises(TimeoutError):
        ask(b"", hold=True, timeout_s=0.05)

    answer = ask(OK + b"\r\nhello", hold=True)
    assert answer.read(5) == b"hello"
    for _ in range(2):
        with pytest.raises(TimeoutError):
            answer.read(0.02)


def test_a_timeout_of_a_whole_answer_is_a_connection_error(tmp_path, monkeypatch):
    monkeypatch.setattr(connection, "ANSWER_TIMEOUT_S", 0.05)
    with closing(Peer(tmp_path / "silent", b"", hold=True)):
        connections = Connections(Endpoint(f"unix://{tmp_path}/silent"), Interrupt())
        with pytest.raises(ConnectionError, match="no answer within"):
            connections.fetch("/")


def test_a_timeout_while_connecting_is_a_connection_error(monkeypatch):
    monkeypatch.setattr(connection, "CONNECT_TIMEOUT_S", 0.1)
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(2):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(full.getsockname())
        with pytest.raises(ConnectionError, match="no connection within"):
            Endpoint("tcp://{}:{}".format(*full.getsockname())).connect()


def test_many_chunks_are_read_at_once(ask):
    """The Engine sends each line as a chunk; a call for each would be the limit."""
    chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
    answer = ask(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunk * 10_000 + b"0\r\n\r\n", hold=True)
    pieces = list(iter(lambda: answer.read(5), b""))

    assert b"".join(pieces) == b"x" * 1_000_000
    assert len(pieces) < 500


def test_a_cut_ends_what_is_being_asked_and_no_later_request(ask):
    interrupt = Interrupt()
    answer = ask(OK + b"\r\n", hold=True, interrupt=interrupt)
    thread = threading.Thread(target=lambda: (time.sleep(0.05), interrupt.cut()))
    thread.start()

    assert answer.read(10) == b""
    thread.join()
    assert ask(OK + b"\r\nhello", interrupt=interrupt).read(5) == b"hello"


def test_no_socket_is_left_open(tmp_path):
    """A warning of an unclosed socket would fail this test."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    for url in (f"unix://{tmp_path}/none", "tcp://127.0.0.1:9"):
        with pytest.raises(OSError):
            Connections(Endpoint(url), Interrupt()).open("/", 1)

    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize(
    ("url", "host", "port", "prefix"),
    [
        ("unix:///run/docker.sock", "localhost", 80, ""),
        ("http+unix:///run/docker.sock", "localhost", 80, ""),
        ("tcp://proxy:2375", "proxy", 2375, ""),
        ("http://[::1]:2375/", "::1", 2375, ""),
        ("https://proxy:2376/docker/", "proxy", 2376, "/docker"),
    ],
)
def test_where_an_engine_listens(url, host, port, prefix):
    endpoint = Endpoint(url)

    assert (endpoint.host, endpoint.port, endpoint.prefix) == (host, port, prefix)


# TLS


@pytest.fixture
def certificate(tmp_path):
    """A certificate for localhost, and its key."""
    if not shutil.which("openssl"):
        pytest.fail("this test needs openssl: apt-get install openssl")
    paths = tmp_path / "cert.pem", tmp_path / "key.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", str(paths[1])]
    argv = ["openssl", "req", "-x509", "-days", "2", *names, *key, "-out", str(paths[0])]
    subprocess.run(argv, check=True, capture_output=True)
    return paths


@contextmanager
def tls_peer(certificate, body):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listening = socket.create_server(("127.0.0.1", 0))

    def serve():
        sock, _ = listening.accept()
        with sock:
            try:
                with context.wrap_socket(sock, server_side=True) as secure:
                    secure.recv(65_536)
                    secure.sendall(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            except OSError:
                pass  # it does not trust us

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        thread.join(60)
        listening.close()


def test_tls_with_a_trusted_authority(certificate, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificate[0]))
    with tls_peer(certificate, b"x" * 200_000) as port:
        _, body = Connections(Endpoint(f"https://localhost:{port}"), Interrupt()).fetch("/")

    assert body == b"x" * 200_000


def test_tls_with_an_unknown_authority_is_refused(certificate, monkeypatch):
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    with (
        tls_peer(certificate, b"x") as port,
        pytest.raises(ssl.SSLCertVerificationError),
    ):
        Connections(Endpoint(f"https://localhost:{port}"), Interrupt()).fetch("/")


def test_messages_name_an_engine_without_its_password():
    assert str(Endpoint("tcp://root:hunter2@engine.example:2375")) == "tcp://…@engine.example:2375"
    assert str(Endpoint("unix:///var/run/docker.sock")) == "unix:///var/run/docker.sock"


def test_a_chunk_that_began_ends_within_seconds(ask, monkeypatch):
    monkeypatch.setattr(connection, "MAX_CHUNK_S", 0.3)
    answer = ask(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n400000\r\nrandom", hold=True)
    assert answer.read(60) == b"one"

    with pytest.raises(UnfinishedError, match="began and did not end"):
        answer.read(60)


def test_a_chunk_is_waited_for_over_several_calls(ask, monkeypatch):
    monkeypatch.setattr(connection, "MAX_CHUNK_S", 0.5)
    answer = ask(OK + b"Transfer-Encoding: chunked\r\n\r\n400000\r\nrandom", hold=True)
    for _ in range(2):
        with pytest.raises(TimeoutError):
            answer.read(0.15)

    with pytest.raises(UnfinishedError):
        answer.read(60)
