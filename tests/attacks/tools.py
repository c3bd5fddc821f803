"""The attacks: real tools where there are some, else requests over sockets of ours."""

from __future__ import annotations

import base64
import re
import socket
import subprocess
import threading
import urllib.parse
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from tests.attacks.wire import REQUEST
from tests.bed import Client, Site

NAMES: Final = [
    "admin", "administrator", "root", "user", "test", "info", "webmaster", "editor", "author", "support", "sales",
    "contact", "office", "shop", "blog", "wordpress", "wpadmin", "manager", "demo", "guest", "marketing", "anna", "peter",
    "john", "maria", "david", "laura", "thomas", "backup", "staff",
]  # fmt: skip
PASSWORDS: Final = [f"password{number}" for number in range(60)]
# Words for directories and files that dirb's authors collected.
WORDS: Final = Path("/usr/share/dirb/wordlists/common.txt")
FUZZED: Final = 200
SLOW_PAUSE_S: Final = 11.0

LOGIN: Final = re.compile(rb"POST (/wp-login\.php)\S* HTTP/1\.[01]\r\n")
XMLRPC: Final = re.compile(rb"POST (/xmlrpc\.php) HTTP/1\.[01]\r\n")


@dataclass
class Target:
    """Whom to attack, from where; `over` is set when the attack shall end, `folder` is for files of a tool."""

    client: Client
    site: Site
    source: str
    folder: Path
    over: threading.Event = field(default_factory=threading.Event)

    def file(self, name: str, lines: Iterable[str]) -> Path:
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def connect(self) -> socket.socket:
        def connected() -> socket.socket:
            return socket.create_connection((self.site.v4, self.site.port), 10, (self.source, 0))

        return self.client.within(connected)


Running: TypeAlias = "subprocess.Popen[str] | threading.Thread"


@dataclass(frozen=True)
class Attack:
    """A way to attack: what it is called, how many tries it would make, which requests are its tries, how it starts."""

    name: str
    planned: int
    start: Callable[[Target], Running]
    tries: re.Pattern[bytes] = LOGIN
    # The mu-plugin's site instead of the one with nothing but an access log.
    with_plugin: bool = False
    # How long it may take until the ban.
    patience_s: float = 180.0


def command(argv: Callable[[Target], Sequence[str]]) -> Callable[[Target], Running]:
    """Return what starts this program where the attacker is. Its packets have the target's source address."""

    def start(target: Target) -> Running:
        return target.client.popen(
            list(argv(target)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            cwd=target.folder,
        )  # fmt: skip

    return start


def requests(*groups: Sequence[bytes], pause_s: float = 0.0) -> Callable[[Target], Running]:
    """Return what sends each group of requests over a connection of its own, one request after the other's answer."""

    def run(target: Target) -> None:
        for group in groups:
            if target.over.is_set():
                return
            try:
                with target.connect() as connection:
                    for request in group:
                        connection.sendall(request)
                        if not _answer(connection):
                            break
            except OSError:
                continue
            target.over.wait(pause_s)

    return lambda target: _thread(run, target)


def at_once(*groups: Sequence[bytes]) -> Callable[[Target], Running]:
    """Return what opens a connection for each group, then sends each whole group, then waits."""

    def run(target: Target) -> None:
        connections = [target.connect() for _ in groups]
        for connection, group in zip(connections, groups, strict=True):
            connection.sendall(b"".join(group))
        target.over.wait()
        for connection in connections:
            connection.close()

    return lambda target: _thread(run, target)


def _thread(run: Callable[[Target], None], target: Target) -> threading.Thread:
    thread = threading.Thread(target=run, args=(target,), name="attack")
    thread.start()
    return thread


def _answer(connection: socket.socket) -> bytes:
    """Return the head of an answer after it has arrived whole; nothing where the connection ends."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(1 << 16)):
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    if length := re.search(rb"(?i)content-length: (\d+)", head):
        missing = int(length[1]) - len(body)
        while missing > 0 and (more := connection.recv(1 << 16)):
            missing -= len(more)
    else:
        while not body.endswith(b"0\r\n\r\n") and (more := connection.recv(1 << 16)):
            body += more
    return head


def _http(method: str, target: str, body: bytes = b"", **headers: str) -> bytes:
    lines = {"Host": "198.51.100.10", "User-Agent": "Mozilla/5.0 (attack)", **headers}
    if body:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + body


def guess(user: str, password: str) -> bytes:
    form = urllib.parse.urlencode({"log": user, "pwd": password, "wp-submit": "Log In", "testcookie": "1"})
    return _http(
        "POST", "/wp-login.php", form.encode(), Content_Type="application/x-www-form-urlencoded",
        Cookie="wordpress_test_cookie=WP%20Cookie%20check",
    )  # fmt: skip


def rest_guess(user: str, password: str, target: str = "/?rest_route=/wp/v2/users/me") -> bytes:
    credentials = base64.b64encode(f"{user}:{password}".encode()).decode()
    return _http("GET", target, Authorization=f"Basic {credentials}")


def multicall(user: str, passwords: Sequence[str]) -> bytes:
    """One call of XML-RPC with this many guesses."""
    calls = "".join(
        "<value><struct><member><name>methodName</name><value><string>wp.getUsersBlogs</string></value></member>"
        "<member><name>params</name><value><array><data><value><array><data>"
        f"<value><string>{user}</string></value><value><string>{password}</string></value>"
        "</data></array></value></data></array></value></member></struct></value>"
        for password in passwords
    )
    body = (
        '<?xml version="1.0"?><methodCall><methodName>system.multicall</methodName><params><param><value><array><data>'
        f"{calls}</data></array></value></param></params></methodCall>"
    )
    return _http("POST", "/xmlrpc.php", body.encode(), Content_Type="text/xml")


def _hydra(names: Sequence[str], passwords: Sequence[str], tasks: int) -> Callable[[Target], Sequence[str]]:
    form = "/wp-login.php:log=^USER^&pwd=^PASS^&wp-submit=Log+In&testcookie=1:S=Location"
    return lambda target: [
        "hydra", "-I", "-L", str(target.file("names", names)), "-P", str(target.file("passwords", passwords)),
        "-t", str(tasks), "-s", str(target.site.port), target.site.v4, "http-post-form", form,
    ]  # fmt: skip


def _ncrack(target: Target) -> Sequence[str]:
    return [
        "ncrack", "-T5", "--user", "admin", "-P", str(target.file("passwords", PASSWORDS)),
        f"wordpress://{target.site.v4}:{target.site.port}",
    ]  # fmt: skip


def _medusa(target: Target) -> Sequence[str]:
    return [
        "medusa", "-h", target.site.v4, "-n", str(target.site.port), "-u", "admin",
        "-P", str(target.file("passwords", PASSWORDS)), "-t", "4", "-M", "web-form", "-m", "FORM:wp-login.php",
        "-m", "DENY-SIGNAL:login_error", "-m", "FORM-DATA:post?log=&pwd=&wp-submit=Log+In&testcookie=1",
    ]  # fmt: skip


def _nmap(script: str, *arguments: str) -> Callable[[Target], Sequence[str]]:
    def argv(target: Target) -> Sequence[str]:
        users, passwords = target.file("users", ["admin", "editor"]), target.file("passwords", PASSWORDS)
        return [
            "nmap", "-n", "-Pn", "-p", str(target.site.port), "--script", f"+{script}",
            "--script-args", ",".join([f"userdb={users}", f"passdb={passwords}", *arguments]), target.site.v4,
        ]  # fmt: skip

    return argv


def _dirb(target: Target) -> Sequence[str]:
    words = WORDS.read_text().split()[:FUZZED]
    return ["dirb", f"{target.site.url}/", str(target.file("words", words)), "-S", "-r", "-w"]


GUESSES: Final = [guess("admin", password) for password in PASSWORDS]
REST_GUESSES: Final = [rest_guess("admin", password) for password in PASSWORDS]
MULTICALLS: Final = [multicall("admin", PASSWORDS)] * 40
MANY: Final = [guess("admin", f"burst{number}") for number in range(100)]

HYDRA: Final = Attack("hydra http-post-form, 4 at a time", 60, command(_hydra(["admin"], PASSWORDS, 4)))
NCRACK: Final = Attack("ncrack wordpress", 60, command(_ncrack))
MEDUSA: Final = Attack("medusa web-form, 4 at a time", 60, command(_medusa))
NMAP_BRUTE: Final = Attack("nmap http-wordpress-brute", 120, command(_nmap("http-wordpress-brute")))
NMAP_USERS: Final = Attack(
    "nmap http-wordpress-users",
    25,
    command(_nmap("http-wordpress-users")),
    re.compile(rb"GET (/\?author=\d+) HTTP/1"),
)
NMAP_ENUM: Final = Attack(
    "nmap http-wordpress-enum", 200, command(_nmap("http-wordpress-enum")),
    re.compile(rb"GET (/wp-content/(?:plugins|themes)/\S+) HTTP/1"),
)  # fmt: skip
SPRAYING: Final = Attack("hydra, one password for 30 names", 30, command(_hydra(NAMES, ["Winter2026"], 1)))
SLOW: Final = Attack(
    "one try every 11 s",
    8,
    requests(*([each] for each in GUESSES[:8]), pause_s=SLOW_PAUSE_S),
    patience_s=100.0,
)
FUZZING: Final = Attack("dirb, 200 paths", FUZZED, command(_dirb), REQUEST)
PIPELINING: Final = Attack("60 guesses pipelined on one connection", 60, at_once(GUESSES))
BURST_30: Final = Attack(
    "30 connections at once", 30, at_once(*([each] for each in MANY[:30])), patience_s=180.0
)
BURST_100: Final = Attack(
    "100 connections at once", 100, at_once(*([each] for each in MANY)), patience_s=180.0
)
MULTICALL: Final = Attack(
    "XML-RPC system.multicall, 60 guesses each",
    40,
    requests(*([each] for each in MULTICALLS)),
    XMLRPC,
    patience_s=180.0,
)
MULTICALL_PLUGIN: Final = Attack(
    "the same, mu-plugin", 40, requests(*([each] for each in MULTICALLS)), XMLRPC, with_plugin=True
)
REST: Final = Attack("REST, Basic auth", 60, requests(REST_GUESSES), REQUEST)
REST_PLUGIN: Final = Attack("the same, mu-plugin", 60, requests(REST_GUESSES), REQUEST, with_plugin=True)

ATTACKS: Final = (
    HYDRA, NCRACK, MEDUSA, NMAP_BRUTE, NMAP_USERS, NMAP_ENUM, SPRAYING, SLOW, FUZZING, PIPELINING, BURST_30, BURST_100,
    MULTICALL, MULTICALL_PLUGIN, REST, REST_PLUGIN,
)  # fmt: skip
