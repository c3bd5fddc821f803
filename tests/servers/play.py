"""A network of its own, in which a server runs in front of the backend and clients send."""

from __future__ import annotations

import itertools
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.servers.backend import COOKIE, PAGE, Backend
from tests.servers.guesses import Guess, plain
from tests.servers.kinds import BACKEND, PORT, Log, Server
from tests.support.cable import inside, ip
from tests.support.waiting import wait_until

SERVER4, SERVER6 = "198.51.100.1", "2001:db8:5::1"
# `IP_FREEBIND`: an address that is this host's by its route alone may be a client's.
FREEBIND = {
    socket.AF_INET: (socket.IPPROTO_IP, 15),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 78),
}
ANSWER_TIMEOUT_S = 2.0
SENDERS = 16
# People who read, and people who log in.
READERS = tuple(f"203.0.113.{number}" for number in range(200, 230))
USERS = tuple(f"203.0.113.{number}" for number in range(230, 235))
LAST = "/this-is-the-last"
NAMES = (f"wpssrv-{os.getpid()}-{number}" for number in itertools.count())


@dataclass(frozen=True)
class Played:
    """What was sent to a server, what its backend received, and what its logs say."""

    sent: dict[str, Guess]
    backend: Backend
    logs: dict[Log, bytes]


def play(kind: Callable[[Path], Server], folder: Path, guesses: Iterable[Guess]) -> Played:
    """Start a server, send what people and attackers send, and end it when it has logged the last request."""
    server = kind(folder)
    sent = {each.number: each for each in guesses}
    with ExitStack() as stack:
        stack.enter_context(_network())
        backend = stack.enter_context(Backend(("127.0.0.1", BACKEND)))
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        stack.callback(backend.shutdown)
        process = stack.enter_context(_running(server.command, folder))

        def said() -> str:
            return "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.said"))

        def serves() -> bool:
            assert process.poll() is None, said()
            return PAGE in _send(plain("first", READERS[0], "GET", "/"))

        wait_until(serves, message=said)
        for each in _people():
            _send(each)
        with ThreadPoolExecutor(SENDERS) as senders:
            list(senders.map(lambda each: _send(each, server.http2_port), sent.values()))
        _send(plain("last", READERS[0], "GET", LAST))
        for log in server.logs:
            wait_until(lambda log=log: LAST.encode() in log.read(), message=said)
        return Played(sent, backend, {log: log.read() for log in server.logs})


@contextmanager
def _network() -> Iterator[None]:
    """Enter a network in which every client is at home."""
    assert os.geteuid() == 0, "these tests make network namespaces: run them as root"
    name = next(NAMES)
    ip(f"netns add {name}")
    try:
        ip(f"-n {name} link set lo up")
        ip(f"-n {name} address add {SERVER4}/32 dev lo")
        ip(f"-n {name} address add {SERVER6}/128 dev lo nodad")
        ip(f"-n {name} route add local 203.0.113.0/24 dev lo")
        ip(f"-n {name} -6 route add local 2001:db8:c::/48 dev lo")
        with inside(name):
            yield
    finally:
        ip(f"netns delete {name}")


@contextmanager
def _running(command: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server's program; what it prints is in `PROGRAM.said`."""
    with (folder / f"{Path(command[0]).name}.said").open("ab") as said:
        process = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", "--", *command],
            stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(folder), "TZ": "UTC"},
        )  # fmt: skip
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _people() -> Iterator[Guess]:
    for number, reader in enumerate(READERS):
        yield plain(f"reader {number}", reader, "GET", f"/{number}")
    for number, user in enumerate(USERS):
        yield plain(f"login {number}", user, "POST", "/wp-login.php", body=b"log=ann&pwd=right")
        yield plain(f"user {number}", user, "GET", "/wp-admin/index.php", cookie=COOKIE.decode())


def _connection(source: str, port: int) -> socket.socket:
    family, server = (socket.AF_INET6, SERVER6) if ":" in source else (socket.AF_INET, SERVER4)
    connection = socket.socket(family)
    connection.settimeout(ANSWER_TIMEOUT_S)
    connection.setsockopt(*FREEBIND[family], 1)
    try:
        connection.bind((source, 0))
        connection.connect((server, port))
    except BaseException:
        connection.close()
        raise
    return connection


def _send(guess: Guess, http2_port: int | None = None) -> bytes:
    """Send it and return the answer, whatever that is."""
    over_http2 = guess.http2 and http2_port is not None
    answer = b""
    # A server may close the connection, or wait for more.
    with suppress(OSError), _connection(guess.client, http2_port if over_http2 else PORT) as connection:
        connection.sendall(_http2(guess) if over_http2 else guess.head + guess.body)
        answers = guess.head.count(b"X-Number:")
        while (answer.count(PAGE) < answers) and (data := connection.recv(65_536)):
            answer += data
            if over_http2 and _is_answered(answer):
                break
    return answer


def _http2(guess: Guess) -> bytes:
    """Return all that a client sends on a new connection, with prior knowledge of HTTP/2 (RFC 9113)."""
    fields = [(":method", guess.method), (":scheme", "http"), (":path", guess.target)]
    body = f"log=admin&pwd=wrong{guess.number}".encode()
    for name, value in guess.headers:
        if name == "Host" and value:
            fields.append((":authority", value))
        elif name not in ("Host", "Connection", "Transfer-Encoding", "Content-Length"):
            fields.append((name.lower(), value))
    # Pseudo headers come first.
    fields.sort(key=lambda field: not field[0].startswith(":"))
    block = b"".join(
        b"\x00" + _string(name) + _string(value)
        for name, value in [*fields, ("content-length", str(len(body)))]
    )
    parts = [block[start : start + 16_000] for start in range(0, len(block), 16_000)]
    headers = b"".join(
        _frame(9 if number else 1, 4 if number == len(parts) - 1 else 0, part)
        for number, part in enumerate(parts)
    )
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, b"", stream=0) + headers + _frame(0, 1, body)


def _string(text: str) -> bytes:
    """Return a string as HPACK has it, without Huffman's code (RFC 7541, 5)."""
    data = text.encode("latin-1", "replace")
    if len(data) < 127:
        return bytes([len(data)]) + data
    length, rest = b"\x7f", len(data) - 127
    while rest >= 128:
        length += bytes([rest % 128 + 128])
        rest //= 128
    return length + bytes([rest]) + data


def _frame(kind: int, flags: int, payload: bytes, stream: int = 1) -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def _is_answered(data: bytes) -> bool:
    """Whether the stream has ended, or the connection will."""
    while len(data) >= 9:
        length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        stream = int.from_bytes(data[5:9], "big")
        if kind == 7 or (stream == 1 and (kind == 3 or (kind in (0, 1) and flags & 1))):
            return True
        data = data[9 + length :]
    return False
