"""Spellings are sent to a real site; what its log and the probe say comes back, request by request."""

import queue
import re
import socket
import threading
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.bed import ADMIN, EDITOR, Bed, Site
from tests.spellings.generate import Spelling
from tests.spellings.proxies import Proxy

PROBE = Path(__file__).with_name("probe.php")
SENDERS = 4
PORTS = {"apache": 8080, "nginx-fpm": 8081, "caddy": 8082, "traefik-json": 8083, "traefik-common": 8084}
ANSWER_TIMEOUT_S = 20
NUMBER = re.compile(r"spelling/(\d+)")


@dataclass
class Played:
    """One request: what was sent, the lines of log that name it, what WordPress did."""

    spelling: Spelling
    lines: list[str] = field(default_factory=list)
    probed: list[str] = field(default_factory=list)

    @property
    def checked_wrong(self) -> bool:
        """Whether WordPress checked a password that was wrong."""
        return any(word.startswith("wrong") for word in self.probed)

    @property
    def served_admin(self) -> bool:
        """Whether a logged-in user was served a page of wp-admin."""
        return "admin" in self.probed


def site(bed: Bed, *, fpm: bool, folder: Path, name: str) -> Site:
    """Start a WordPress with the probe; it writes into `folder`, which every user may write to."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)
    mounts = (f"{PROBE}:/var/www/html/wp-content/mu-plugins/probe.php:ro", f"{folder}:/probe")
    return bed.wordpress(
        fpm=fpm,
        name=name,
        port=PORTS[name],
        options=[*(f"--volume={mount}" for mount in mounts), "--env=WP_ENVIRONMENT_TYPE=local"],
    )


def login_cookie(bed: Bed, site: Site) -> str:
    """Log all users in, and return the Cookie header of the administrator's session.

    At a login WordPress stores the password anew, as the probe has it hashed.
    """
    return [_login(bed, site, *user) for user in (EDITOR, ADMIN)][-1]


def _login(bed: Bed, site: Site, name: str, password: str) -> str:
    form = urllib.parse.urlencode({"log": name, "pwd": password, "testcookie": "1"})
    done = bed.visitor.run(
        [
            "curl", "--silent", "--include", "--cookie", "wordpress_test_cookie=WP%20Cookie%20check",
            "--data", form, "--header", f"Host: {site.v4}", f"{site.url}/wp-login.php",
        ]
    )  # fmt: skip
    pairs = re.findall(r"(?im)^set-cookie: ([^;]+)", done.stdout)
    return "; ".join(dict.fromkeys(pair for pair in pairs if not pair.startswith("wordpress_test_cookie")))


def play(
    bed: Bed, site: Site, folder: Path, spellings: Iterable[Spelling], proxy: Proxy | None = None
) -> dict[int, Played]:
    """Send all, wait until the log has them, and sort what was written by request.

    With a proxy they are sent to it, and the lines are its own.
    """
    played = {each.number: Played(each) for each in spellings}
    bed.attacker.within(lambda: _send_all(proxy or site, played.values()))
    _settle(site, folder)
    for line in proxy.lines() if proxy else "".join(site.logs()).splitlines():
        for number in map(int, NUMBER.findall(line)[-1:]):
            if number in played:
                played[number].lines.append(line)
    for number, what in _probed(folder):
        if number in played:
            played[number].probed.append(what)
    return played


def _send_all(site: Site | Proxy, todo: Iterable[Played]) -> None:
    """Threads begin in the namespace of the thread that starts them."""
    waiting: queue.SimpleQueue[Played] = queue.SimpleQueue()
    for each in todo:
        waiting.put(each)

    def work() -> None:
        with suppress(queue.Empty):
            while True:
                _send(site, waiting.get_nowait().spelling.data)

    threads = [threading.Thread(target=work) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _send(site: Site | Proxy, data: bytes) -> None:
    with (
        suppress(OSError),
        socket.create_connection((site.v4, site.port), timeout=ANSWER_TIMEOUT_S) as connection,
    ):
        connection.sendall(data)
        while connection.recv(65_536):
            pass


def _settle(site: Site, folder: Path, quiet_s: float = 1.0) -> None:
    """Wait until nothing more is written."""
    before, since = None, time.monotonic()
    while time.monotonic() - since < quiet_s:
        now = sum(len(stream) for stream in site.logs("--tail=100")), (folder / "probe.log").stat().st_size
        if now != before:
            before, since = now, time.monotonic()
        time.sleep(0.1)


def _probed(folder: Path) -> Iterator[tuple[int, str]]:
    for line in (folder / "probe.log").read_text().splitlines():
        number, _, what = line.partition(" ")
        if number.isdecimal():
            yield int(number), what


def by_line(played: Iterable[Played]) -> dict[str, list[str]]:
    """Return request line -> all that the probe said of requests with it, for people who look for a gap."""
    found: dict[str, list[str]] = defaultdict(list)
    for each in played:
        found[each.spelling.line] += each.probed
    return found
