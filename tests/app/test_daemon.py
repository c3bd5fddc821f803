"""The wired daemon as a process in a network namespace of its own: a real kernel's firewall, files for logs, no Docker."""

import contextlib
import math
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidecar.app.daemon import named
from sidecar.control.client import NoDaemon, send
from tests.support.disks import fill, in_own_mounts, mount_small_disk
from tests.support.paths import COMMAND
from tests.support.waiting import wait_until

ANN, BOB = "203.0.113.7", "203.0.113.8"
JAILS = """
[DEFAULT]
bantime = 1h
[wordpress]
logpath = {log}
{more}
[wordpress-access]
logpath = {log}
port = 8080
"""


class Running:
    """`wp-sidecar run` in a namespace that lives as long as we hold it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "error.log"
        self.log.touch()
        self.configure()
        self._namespace = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "ip link set lo up; echo up; exec sleep 600"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._namespace.stdout.readline() == "up\n"
        self._process: subprocess.Popen[str] | None = None

    def configure(self, more: str = "") -> None:
        (self.folder / "jails.conf").write_text(JAILS.format(log=self.log, more=more))

    def said(self) -> str:
        return (self.folder / "said").read_text()

    @contextlib.contextmanager
    def table_of_someone_else(self) -> Iterator[None]:
        """Our table belongs to another program, and the kernel lets nobody else change it."""
        enter = ["nsenter", f"--target={self._namespace.pid}", "--net", "--"]
        with subprocess.Popen([*enter, "nft", "-i"], stdin=subprocess.PIPE, text=True) as nft:
            nft.stdin.write("delete table inet wp_sidecar; add table inet wp_sidecar { flags owner; }\n")
            nft.stdin.flush()
            yield

    def inside(self, *argv: str) -> str:
        enter = ["nsenter", f"--target={self._namespace.pid}", "--net", "--"]
        return subprocess.run([*enter, *argv], capture_output=True, text=True, check=True, timeout=20).stdout

    def start(self, *options: str, well: bool = True, within: Sequence[str] = ()) -> None:
        enter = ["nsenter", f"--target={self._namespace.pid}", "--net", "--", *within]
        environ = {
            **os.environ,
            "WP_SIDECAR_JAILS": str(self.folder / "jails.conf"),
            "WP_SIDECAR_STATE": str(self.folder / "state"),
            "WP_SIDECAR_SOCKET": str(self.folder / "control.sock"),
        }
        with (self.folder / "said").open("a") as said:
            self._process = subprocess.Popen([*enter, COMMAND, "run", *options], stderr=said, env=environ)
        wait_until(lambda: self._is("ready" if well else "live"), timeout=15)

    def _is(self, what: str) -> bool:
        try:
            return send(self.folder / "control.sock", {"do": "health"})[what]
        except NoDaemon:  # not yet; or that of one who was killed
            assert self._process.poll() is None, (self.folder / "said").read_text()
            return False

    def ask(self, what: str, **request: object) -> dict[str, object]:
        try:
            return send(self.folder / "control.sock", {"do": what, **request})
        except Exception as err:
            said = (self.folder / "said").read_text()
            raise AssertionError(f"{err}: {said}") from err

    def fail(self, address: str, times: int) -> None:
        """So many failed logins, as PHP's error log has them."""
        stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
        with self.log.open("a") as log:
            log.write(
                f"[{stamp}] wordpress(blog)[7]: Authentication failure for admin from {address}\n" * times
            )

    def banned(self) -> list[str]:
        return [ban["ip"] for ban in self.ask("bans")["bans"]]

    def failures(self) -> dict[str, int]:
        return {jail["name"]: jail["failures"] for jail in self.ask("status")["jails"]}

    def metric(self, series: str) -> float:
        text = self.inside("curl", "-sS", "http://127.0.0.1:9734/metrics")
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series + " "))

    def hang_up(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    @contextlib.contextmanager
    def served(self, port: int) -> Iterator[Path]:
        """Someone in the namespace answers there, no to everything; the file has what was asked."""
        enter = ["nsenter", f"--target={self._namespace.pid}", "--net", "--"]
        asked = self.folder / "asked"
        with (
            asked.open("w") as file,
            subprocess.Popen([*enter, sys.executable, "-m", "http.server", str(port)], stderr=file) as server,
        ):
            yield asked
            server.kill()

    def table(self) -> str:
        return self.inside("nft", "list", "ruleset")

    def end(self, number: int = signal.SIGTERM) -> int:
        self._process.send_signal(number)
        return self._process.wait(15)

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self.end(signal.SIGKILL)
        self._namespace.kill()
        self._namespace.wait()
        self._namespace.stdout.close()


@pytest.fixture
def daemon(tmp_path):
    running = Running(tmp_path)
    yield running
    running.close()


def test_a_line_becomes_a_drop(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    (ban,) = daemon.ask("bans")["bans"]

    assert ban["jail"] == "wordpress"
    assert (ban["failures"], ban["site"], round(ban["until"] - ban["at"])) == (3, str(daemon.log), 3600)
    assert ban["evidence"][-1].endswith(f"wordpress(blog)[7]: Authentication failure for admin from {ANN}")
    assert re.search(rf"elements = {{ {ANN} timeout (1h|59m)", daemon.table())


def test_what_a_container_says_to_its_dev_log_counts(daemon, monkeypatch):
    path = daemon.folder / "shared" / "log"
    monkeypatch.setenv("WP_SIDECAR_SYSLOG", str(path))
    daemon.start()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as container:
        container.connect(str(path))
        for _ in range(3):
            container.send(
                f"<37>Nov 22 03:59:51 wordpress(blog)[7]: Authentication failure for admin from {ANN}".encode()
            )
    wait_until(lambda: ANN in daemon.banned())
    (ban,) = daemon.ask("bans")["bans"]

    assert (ban["jail"], ban["site"], ban["failures"]) == ("wordpress", str(path), 3)
    assert abs(ban["at"] - time.time()) < 60


def test_bans_and_half_full_windows_outlive_a_kill(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    daemon.fail(BOB, 2)
    wait_until(lambda: ANN in daemon.banned())
    time.sleep(1.5)  # what was counted is stored within a second
    daemon.end(signal.SIGKILL)
    daemon.fail(BOB, 1)
    assert ANN in daemon.table()
    daemon.start()

    wait_until(lambda: daemon.banned() == [ANN, BOB])


def test_whoever_is_forgiven_before_a_ban_stays_forgiven(daemon):
    daemon.start()
    daemon.fail(ANN, 2)
    daemon.fail(BOB, 2)
    wait_until(lambda: daemon.failures()["wordpress"] == 4)
    assert daemon.ask("unban", who=ANN)["unbanned"] == []
    daemon.end(signal.SIGKILL)
    daemon.start()
    daemon.fail(ANN, 1)
    daemon.fail(BOB, 1)

    wait_until(lambda: daemon.banned() == [BOB])
    assert daemon.ask("explain", who=ANN)["jails"][0]["failures"] == 1


def test_a_restart_that_spares_the_banned_lets_them_in(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN, jail="wordpress")
    daemon.ask("ban", who=BOB, jail="wordpress")
    daemon.end()
    daemon.configure(f"ignoreip = {ANN}")
    daemon.start()

    assert daemon.banned() == [BOB]
    assert ANN not in daemon.table()
    daemon.end(signal.SIGKILL)
    daemon.configure()
    daemon.start()
    assert daemon.banned() == [BOB]  # the store has heard of it as well


def test_a_restart_with_a_lower_maxretry_bans_in_the_open(daemon):
    daemon.start()
    daemon.fail(ANN, 2)
    wait_until(lambda: daemon.ask("status")["jails"][0]["failures"] == 2)
    daemon.end()
    daemon.configure("maxretry = 2")
    daemon.start()

    assert daemon.banned() == [ANN]
    assert daemon.ask("status")["jails"][0]["bans"] == 1
    wait_until(lambda: f"[wordpress] Ban {ANN} until" in daemon.said())
    daemon.end(signal.SIGKILL)
    daemon.configure()
    daemon.start()
    assert daemon.banned() == [ANN]


def test_failures_of_the_spared_are_counted_and_not_kept(daemon):
    daemon.start()
    daemon.fail("10.1.2.3", 7)
    wait_until(lambda: daemon.ask("status")["jails"][0]["failures"] == 7)
    daemon.end()

    with contextlib.closing(sqlite3.connect(daemon.folder / "state/state.db")) as db:
        assert db.execute("SELECT count(*) FROM hits").fetchone() == (0,)


def test_it_is_unwell_for_as_long_as_the_firewall_is(daemon):
    daemon.start()
    with daemon.table_of_someone_else():
        wait_until(lambda: not daemon.ask("health")["ready"])
        daemon.fail(ANN, 3)
        wait_until(lambda: ANN in daemon.banned())
        for _ in range(30):  # lines that are read, and cursors that are stored, do not make it well
            daemon.fail("10.1.2.3", 1)
            assert not daemon.ask("health")["ready"]
            time.sleep(0.1)

    wait_until(lambda: ANN in daemon.table(), timeout=5)
    wait_until(lambda: daemon.ask("health")["ready"], timeout=5)


def test_at_its_end_bans_stay_unless_they_are_to_go(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN)
    assert daemon.end() == 0
    assert ANN in daemon.table()

    daemon.start("--flush-on-exit")
    assert daemon.banned() == [ANN]
    assert daemon.end() == 0
    assert daemon.table() == ""


def test_bans_by_hand(daemon):
    daemon.start()
    daemon.ask("ban", who="198.51.100.77/24", **{"for": -1, "reason": "spam"})
    daemon.ask("ban", who="2001:db8:1:2::3", jail="wordpress-access")
    daemon.ask("ban", who=ANN, **{"for": 60})

    assert {(ban["ip"], ban["jail"], ban["until"] is None) for ban in daemon.ask("bans")["bans"]} == {
        ("198.51.100.0/24", "manual", True),
        ("2001:db8:1:2::/64", "wordpress-access", False),
        (ANN, "manual", False),
    }
    assert daemon.ask("unban", who="198.51.100.0/24")["unbanned"] == [
        {"ip": "198.51.100.0/24", "jail": "manual"}
    ]
    assert len(daemon.ask("unban")["unbanned"]) == 2


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"do": "ban", "who": "127.0.0.1"}, "127.0.0.1 is never banned: it is this host's own address"),
        ({"do": "ban", "who": "10.1.2.3"}, "10.1.2.3 is never banned: it is a private address"),
        (
            {"do": "ban", "who": ANN, "jail": "x"},
            "no jail is named x; there are wordpress, wordpress-access, manual",
        ),
        (
            {"do": "ban", "who": ANN, "for": "soon"},
            "a ban lasts for a number of seconds, or -1 for good: not soon",
        ),
        (
            {"do": "ban", "who": ANN, "for": math.nan},
            "a ban lasts for a number of seconds, or -1 for good: not nan",
        ),
        ({"do": "unban", "who": 7}, "'7' is neither an address nor a network"),
        ({"do": "dance"}, "there is no command dance"),
    ],
)
def test_refusals(daemon, request_, sentence):
    daemon.start()

    with pytest.raises(AssertionError, match=f"^{sentence}"):
        daemon.ask(request_.pop("do"), **request_)
    assert daemon.banned() == []


def test_who_lies_in_a_banned_network_is_not_let_in_alone(daemon):
    daemon.start()
    daemon.ask("ban", who="203.0.113.0/24")

    with pytest.raises(AssertionError, match=f"^{ANN} is not banned by itself: it lies in 203.0.113.0/24"):
        daemon.ask("unban", who=ANN)
    assert daemon.banned() == ["203.0.113.0/24"]


def test_a_host_name_is_not_looked_up(daemon):
    daemon.start()

    with pytest.raises(AssertionError, match="is neither an address nor a network"):
        daemon.ask("ban", who="localhost")


def test_what_others_remove_comes_back(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN)
    daemon.inside("nft", "flush", "ruleset")
    wait_until(lambda: ANN in daemon.table(), timeout=5)
    daemon.inside("nft", "delete", "element", "inet", "wp_sidecar", "ban4", f"{{ {ANN} }}")

    wait_until(lambda: ANN in daemon.table(), timeout=5)


def test_status_and_pages(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    status = daemon.ask("status")
    metrics = daemon.inside("curl", "-sS", "http://127.0.0.1:9734/metrics")

    assert {jail["name"]: (jail["failures"], jail["bans"], jail["active"]) for jail in status["jails"]} == {
        "wordpress": (3, 1, 1),
        "wordpress-access": (0, 0, 0),
        "manual": (0, 0, 0),
    }
    assert status["streams"] == [{"container": str(daemon.log), "state": "open"}]
    assert (status["bans"], status["firewall"]["ok"]) == (1, True)
    assert 'wp_sidecar_bans_total{cause="failures",family="ipv4",jail="wordpress"} 1.0' in metrics
    assert ANN not in metrics
    assert daemon.inside("curl", "-sS", "http://127.0.0.1:9734/healthz") == "ok\n"


def test_a_jail_with_a_mistake_is_left_out_and_the_others_protect(daemon):
    daemon.configure(f"[mail]\nlogpath = {daemon.log}\nfilter = wordpress\nmaxretry = five")
    daemon.start(well=False)
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])

    sentence = 'mail.maxretry: expected a whole number from 1 up, got "five"'
    (why,) = daemon.ask("health")["why"]
    assert why.startswith("a jail is left out: ") and why.endswith(sentence)
    assert sentence in daemon.said()
    assert [jail["name"] for jail in daemon.ask("status")["jails"]] == [
        "wordpress",
        "wordpress-access",
        "manual",
    ]


def test_lines_that_are_slow_in_one_filter_hold_up_no_other(daemon):
    slow = f"[slow]\nlogpath = {daemon.log}\nfilter = wordpress\nfailregex = ^(?:a+)+ <HOST>$"
    daemon.configure(slow)
    daemon.start()
    with daemon.log.open("a") as log:
        log.write(f"{'a' * 60}!a {BOB}\n" * 8)
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])

    (why,) = daemon.ask("health")["why"]
    assert why.startswith("filter wordpress took more than 1 s of a minute for single lines")


def test_a_reload_takes_over_what_the_jails_file_says_and_lifts_no_ban(daemon):
    daemon.start()
    daemon.fail(ANN, 2)
    daemon.ask("ban", who=BOB, jail="wordpress-access")
    wait_until(lambda: daemon.ask("status")["jails"][0]["failures"] == 2)
    before = daemon.ask("bans")
    daemon.configure(f"findtime = 1h\n[third]\nfilter = wordpress\nlogpath = {daemon.log}\nport = 8443")
    reloaded = daemon.ask("reload")

    assert (reloaded["ok"], reloaded["jails"]) == (True, ["wordpress", "third", "wordpress-access"])
    assert daemon.ask("bans") == before
    daemon.fail(ANN, 1)  # the third in the jail that was there; in the new one, the first
    wait_until(lambda: ANN in daemon.banned())
    assert daemon.failures() == {"wordpress": 3, "third": 1, "wordpress-access": 0, "manual": 0}
    daemon.fail("203.0.113.9", 5)
    wait_until(lambda: {ban["jail"] for ban in daemon.ask("bans")["bans"]} >= {"wordpress", "third"})
    assert "203.0.113.9" in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4_8443")
    assert daemon.metric("wp_sidecar_config_last_reload_successful") == 1


def test_a_reload_with_a_mistake_changes_nothing_at_all(daemon):
    daemon.start()
    read = daemon.metric("wp_sidecar_config_last_reload_success_timestamp_seconds")
    daemon.configure(f"maxretry = 2\n[mail]\nlogpath = {daemon.log}\nfilter = wordpress\nmaxretry = five")
    reloaded = daemon.ask("reload")
    daemon.fail(ANN, 2)
    wait_until(lambda: daemon.failures()["wordpress"] == 2)

    sentence = 'mail.maxretry: expected a whole number from 1 up, got "five"'
    assert not reloaded["ok"]
    assert [error["message"] for error in reloaded["mistakes"]] == [sentence.removeprefix("mail.maxretry: ")]
    assert sentence in daemon.said()
    assert daemon.banned() == []
    assert [jail["maxretry"] for jail in daemon.ask("status")["jails"]] == [3, 5, 5]
    health = daemon.ask("health")
    assert health["ready"] and len(health["why"]) == 1  # it does what it did; but somebody should look
    assert daemon.metric("wp_sidecar_config_last_reload_successful") == 0
    assert daemon.metric("wp_sidecar_config_last_reload_success_timestamp_seconds") == read

    daemon.configure("maxretry = 2")
    assert daemon.ask("reload")["ok"]
    assert daemon.ask("health") == {"live": True, "ready": True, "why": []}
    daemon.fail(ANN, 1)
    wait_until(lambda: daemon.banned() == [ANN])


def test_the_command_that_asks_for_a_reload_tells_what_check_config_would(daemon, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_JAILS", str(daemon.folder / "jails.conf"))
    monkeypatch.setenv("WP_SIDECAR_SOCKET", str(daemon.folder / "control.sock"))
    daemon.start()

    def command(name: str) -> tuple[int, str, str]:
        done = subprocess.run([COMMAND, name], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    assert command("reload") == (0, "in force now: wordpress, wordpress-access\n", "")
    daemon.configure("maxretry = five\n[mail]\nfilter = mial")
    code, _, errors = command("check-config")
    unchanged = "wp-sidecar: nothing was changed, the old configuration stays in force\n"
    assert len(errors.splitlines()) == 2
    assert command("reload") == (code, "", errors + unchanged) == (78, "", errors + unchanged)


def test_a_hangup_is_a_reload(daemon):
    daemon.start()
    daemon.configure("maxretry = five")
    daemon.hang_up()
    wait_until(lambda: 'wordpress.maxretry: expected a whole number from 1 up, got "five"' in daemon.said())
    daemon.configure("maxretry = 1")
    for _ in range(20):
        daemon.hang_up()
    wait_until(lambda: daemon.ask("status")["jails"][0]["maxretry"] == 1)
    daemon.fail(ANN, 1)
    wait_until(lambda: daemon.banned() == [ANN])

    assert daemon.end() == 0


def test_a_jail_that_is_gone_counts_no_more_and_its_bans_stay(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    daemon.configure("enabled = false")
    assert daemon.ask("reload")["jails"] == ["wordpress-access"]
    daemon.fail(BOB, 3)
    daemon.ask("ban", who="203.0.113.9", jail="wordpress-access")

    assert daemon.banned() == [ANN, "203.0.113.9"]
    assert ANN in daemon.table()
    assert daemon.ask("unban", who=ANN)["unbanned"] == [{"ip": ANN, "jail": "wordpress"}]
    daemon.configure()
    assert daemon.ask("reload")["jails"] == ["wordpress", "wordpress-access"]
    daemon.fail(BOB, 3)
    wait_until(lambda: BOB in daemon.banned())


def test_whoever_a_reload_spares_is_let_in_and_nobody_else(daemon):
    daemon.start()
    for address in (ANN, BOB):
        daemon.ask("ban", who=address, jail="wordpress")
    daemon.configure(f"ignoreip = {ANN}")
    daemon.ask("reload")

    assert daemon.banned() == [BOB]
    assert ANN not in daemon.table()
    assert f"[wordpress] Unban {ANN} (allowed)" in daemon.said()


def test_a_reload_mends_a_jail_that_the_start_left_out(daemon):
    mail = f"[mail]\nlogpath = {daemon.log}\nfilter = wordpress\nmaxretry = %s"
    daemon.configure(mail % "five")
    daemon.start(well=False)
    daemon.configure(mail % "1")
    assert daemon.ask("reload")["ok"]
    daemon.fail(ANN, 1)
    wait_until(lambda: daemon.banned() == [ANN])

    assert daemon.ask("health") == {"live": True, "ready": True, "why": []}


def test_a_reload_follows_other_files(daemon):
    daemon.start()
    first, daemon.log = daemon.log, daemon.folder / "other.log"
    daemon.log.touch()
    daemon.configure()
    daemon.ask("reload")
    wait_until(lambda: [each["container"] for each in daemon.ask("status")["streams"]] == [str(daemon.log)])
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    daemon.log = first
    daemon.configure()
    daemon.fail(BOB, 2)  # nobody reads it now: it is read once somebody does again
    daemon.ask("reload")
    daemon.fail(BOB, 1)

    wait_until(lambda: daemon.banned() == [ANN, BOB])


def test_a_filter_that_is_edited_is_another_filter(daemon, monkeypatch):
    (daemon.folder / "filters").mkdir()
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(daemon.folder / "filters"))
    mine = daemon.folder / "filters" / "wordpress.conf"
    mine.write_text("[Definition]\nfailregex = ^one <HOST>$\n")
    daemon.start()
    mine.write_text("[Definition]\nfailregex = ^two <HOST>$\n")
    daemon.ask("reload")
    with daemon.log.open("a") as log:
        log.write(f"one {ANN}\ntwo {BOB}\n" * 3)

    wait_until(lambda: daemon.banned() == [BOB])
    mine.write_text("[Definition]\nfailregex = ^(two <HOST>$\n")
    (error,) = daemon.ask("reload")["mistakes"]
    assert (error["file"], error["line"]) == (str(mine), 2)


def test_a_filter_that_is_prone_to_redos_is_found_in_a_reload_too(daemon):
    """In the thread of whoever asks, while the loop goes on."""
    daemon.start()
    daemon.configure(f"[slow]\nlogpath = {daemon.log}\nfilter = wordpress\nfailregex = ^(?:a+)+ <HOST>$")
    began = time.monotonic()
    (note,) = daemon.ask("reload")["notes"]

    assert "may take for ever on" in note
    assert time.monotonic() - began < 30
    with daemon.log.open("a") as log:
        log.write(f"{'a' * 60}!a {BOB}\n" * 8)
    # The filter is suspended.
    wait_until(lambda: len(daemon.ask("health")["why"]) == 1)
    daemon.configure()
    daemon.ask("reload")
    assert daemon.ask("health") == {"live": True, "ready": True, "why": []}


def test_a_secret_is_read_anew(daemon, monkeypatch):
    """Someone who listens inside the namespace, and writes down where posts go."""
    (daemon.folder / "url").write_text("http://127.0.0.1:9999/old")
    monkeypatch.setenv("SLACK_WEBHOOK_URL_FILE", str(daemon.folder / "url"))
    with daemon.served(9999) as posts:
        daemon.start()
        wait_until(lambda: "POST /old " in posts.read_text())
        (daemon.folder / "url").write_text("no address")
        (error,) = daemon.ask("reload")["mistakes"]
        assert error["key"] == "SLACK_WEBHOOK_URL_FILE" and "no address" not in str(error)
        (daemon.folder / "url").write_text("http://127.0.0.1:9999/new")
        daemon.ask("reload")
        daemon.ask("ban", who=ANN)
        wait_until(lambda: "POST /new " in posts.read_text())


def test_while_it_is_reloaded_every_line_counts_exactly_once(daemon, monkeypatch):
    """A writer at speed, and ten reloads that each change its filter, and other jails and files beside it."""
    (daemon.folder / "filters").mkdir()
    monkeypatch.setenv("WP_SIDECAR_FILTERS", str(daemon.folder / "filters"))
    stop, written = threading.Event(), []

    def configure(turn: int) -> None:
        never = f"  ^never {turn} <HOST>$"  # makes it another filter, and so the matcher another
        numbered = f"[Definition]\nfailregex = ^number \\d+ from <HOST>$\n{never}\n"
        (daemon.folder / "filters" / "numbered.conf").write_text(numbered)
        other = daemon.folder / f"other-{turn}.log"
        other.touch()
        daemon.configure(
            f"[numbered]\nlogpath = {daemon.log}\nmaxretry = {1000 + turn}\n"
            f"[more-{turn}]\nfilter = wordpress\nlogpath = {other}"
        )

    def write() -> None:
        with daemon.log.open("a", buffering=1) as log:
            while not stop.wait(0.0005):
                log.write(f"number {len(written)} from 203.0.113.{len(written) % 250}\n")
                written.append(len(written))

    configure(0)
    daemon.start()
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for turn in range(1, 11):
            configure(turn)
            assert daemon.ask("reload")["jails"] == [
                "wordpress",
                "numbered",
                f"more-{turn}",
                "wordpress-access",
            ]
    finally:
        stop.set()
        writer.join()
    wait_until(lambda: daemon.failures()["numbered"] >= len(written))
    time.sleep(1.5)  # what was counted is stored within a second

    with contextlib.closing(sqlite3.connect(daemon.folder / "state/state.db")) as db:
        lines = [line for (line,) in db.execute("SELECT line FROM hits WHERE jail = 'numbered'")]
    assert len(written) > 500
    assert sorted(int(line.split()[1]) for line in lines) == written


def test_a_jail_closes_its_own_ports(daemon):
    daemon.start()
    daemon.ask("ban", who=ANN, jail="wordpress-access")

    assert ANN in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4_8080")
    assert ANN not in daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "ban4")


def test_a_second_one_is_told_that_it_is_the_second(daemon):
    daemon.start()
    done = run(daemon.folder, inside=daemon)

    assert (done.returncode, "another wp-sidecar is running" in done.stderr) == (69, True)


def run(folder, inside=None, argv=("run",), prefix=(), **environ):
    """`wp-sidecar run` where it cannot: its exit code and what it says."""
    enter = (
        ["nsenter", f"--target={inside._namespace.pid}", "--net", "--"]
        if inside
        else ["unshare", "--net", "--"]
    )
    own = {"WP_SIDECAR_STATE": str(folder / "state"), "WP_SIDECAR_SOCKET": str(folder / "control.sock")}
    return subprocess.run(
        [*prefix, *enter, COMMAND, *argv],
        capture_output=True,
        text=True,
        env={**os.environ, **own, **environ},
        timeout=30,
        check=False,
    )


def jails(folder, text):
    (folder / "jails.conf").write_text(text)
    return {"WP_SIDECAR_JAILS": str(folder / "jails.conf")}


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("[wordpress]\nmaxrety = 3\n", 78, "maxrety: unknown. Did you mean maxretry?"),
        ("[wordpress]\nmaxretry = five\nfindtime = soon\n", 78, "five"),
        ("[wordpress]\nfilter = wordpres\n", 78, "wordpres"),
        ("not a stanza\n", 78, "jails.conf"),
    ],
)
def test_a_mistake_in_the_jails_file_is_said(tmp_path, text, code, sentence):
    done = run(tmp_path, **jails(tmp_path, text))

    assert done.returncode == code
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_all_mistakes_are_said_at_once(tmp_path):
    text = "[wordpress]\nmaxretry = five\nfindtime = soon\nbantme = 3\n"
    done = run(tmp_path, **jails(tmp_path, text), WP_SIDECAR_LISTEN="everywhere")

    assert (done.returncode, len(done.stderr.splitlines())) == (78, 4)


def test_a_secret_that_cannot_be_read_is_said(tmp_path):
    done = run(tmp_path, SLACK_WEBHOOK_URL_FILE=str(tmp_path / "none"))

    assert done.returncode == 78
    assert done.stderr == (
        f"wp-sidecar: environment: SLACK_WEBHOOK_URL_FILE: {tmp_path}/none cannot be read: No such file or directory\n"
    )


def test_no_docker_socket_is_said(tmp_path):
    done = run(tmp_path, DOCKER_HOST=f"unix://{tmp_path}/none.sock")

    assert done.returncode == 69
    assert done.stderr == (
        f"wp-sidecar: no Docker socket at unix://{tmp_path}/none.sock: mount it into this container, or set DOCKER_HOST\n"
    )


def test_no_net_admin_is_said(tmp_path):
    log = tmp_path / "x.log"
    log.touch()
    dropped = ("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--")
    enter = ["unshare", "--net", "--", *dropped]
    environ = {
        **os.environ,
        **jails(tmp_path, f"[wordpress]\nlogpath = {log}\n"),
        "WP_SIDECAR_STATE": str(tmp_path / "state"),
        "WP_SIDECAR_SOCKET": str(tmp_path / "control.sock"),
    }
    done = subprocess.run(
        [*enter, COMMAND, "run"], capture_output=True, text=True, env=environ, timeout=30, check=False
    )

    assert done.returncode == 77
    assert "NET_ADMIN" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_store_that_cannot_be_opened_keeps_nobody_from_being_banned_and_is_opened_once_it_can(daemon):
    state = daemon.folder / "state"
    daemon.start()
    daemon.ask("ban", who=ANN, jail="wordpress")
    daemon.end()
    state.rename(daemon.folder / "elsewhere")
    state.touch()  # no folder
    daemon.start(well=False)
    daemon.fail(BOB, 3)
    wait_until(lambda: {*daemon.banned()} == {ANN, BOB})  # the one of before is in the kernel's table
    (why,) = daemon.ask("health")["why"]
    assert f"{state / 'state.db'} cannot be opened" in why
    assert not daemon._is("ready")
    assert "bans are not remembered: " in daemon.said()

    state.unlink()
    (daemon.folder / "elsewhere").rename(state)
    wait_until(lambda: daemon._is("ready"), timeout=60)  # it looks every half minute
    daemon.end(signal.SIGKILL)
    daemon.start()
    assert {*daemon.banned()} == {ANN, BOB}


def test_a_store_that_is_deleted_while_we_run_is_written_anew(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    for path in (daemon.folder / "state").iterdir():
        path.unlink()
    wait_until((daemon.folder / "state" / "state.db").exists, timeout=60)  # it looks every half minute
    wait_until(lambda: "it was taken away" in daemon.said())
    daemon.end(signal.SIGKILL)
    daemon.start()

    assert daemon.banned() == [ANN]


def test_the_port_of_the_pages_is_taken(daemon):
    script = "import socket, time; s = socket.create_server(('127.0.0.1', 9734)); print('up', flush=True); time.sleep(60)"
    enter = ["nsenter", f"--target={daemon._namespace.pid}", "--net", "--"]
    other = subprocess.Popen([*enter, sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "up\n"
    done = run(daemon.folder, inside=daemon, **jails(daemon.folder, f"[wordpress]\nlogpath = {daemon.log}\n"))
    other.kill()
    other.wait()
    other.stdout.close()

    assert done.returncode == 78
    assert done.stderr.startswith("wp-sidecar: WP_SIDECAR_LISTEN: cannot listen on 127.0.0.1, port 9734")


def test_a_second_one_with_everything_of_its_own_is_told_as_well(daemon, tmp_path):
    """A container of its own, that is: another folder, another socket. The firewall's table is one."""
    daemon.start()
    other = tmp_path / "other"
    other.mkdir()
    done = run(
        other,
        inside=daemon,
        WP_SIDECAR_LISTEN="127.0.0.1:9735",
        **jails(other, f"[wordpress]\nlogpath = {daemon.log}\n"),
    )

    assert (done.returncode, done.stderr) == (
        69,
        "wp-sidecar: another wp-sidecar is running on this host; stop it first\n",
    )


def test_a_name_that_nobody_answers_for_holds_up_nothing(daemon, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_IGNOREIP", "office.example.org 203.0.113.9")
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    sentence = (
        "office.example.org in ignoreip does not resolve, so whoever it stands for may be banned; correct it"
    )
    wait_until(lambda: sentence in daemon.ask("health")["why"])

    assert daemon.ask("health")["ready"]


def test_more_bans_than_the_budget_are_told_and_not_enforced(daemon, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_BANBUDGET", "2/1h")
    daemon.start()
    for address in (ANN, BOB, "203.0.113.9"):
        daemon.fail(address, 3)
        wait_until(lambda address=address: address in daemon.said())
    wait_until(lambda: any("more than 2 bans within 3600 s" in why for why in daemon.ask("health")["why"]))

    table = daemon.table()
    assert [address in table for address in (ANN, BOB, "203.0.113.9 ")] == [True, True, False]
    assert daemon.ask("health")["ready"]


def test_an_address_or_a_container_network_that_the_host_gets_later_is_let_in(daemon):
    """Without a container engine that would tell: the kernel is asked every 30 s."""
    daemon.start()
    for address in (ANN, "198.51.100.7"):
        daemon.ask("ban", who=address)
    daemon.inside("ip", "address", "add", f"{ANN}/32", "dev", "lo")
    daemon.inside("ip", "link", "add", "docker9", "type", "veth", "peer", "name", "inside")
    daemon.inside("ip", "link", "set", "docker9", "up")
    daemon.inside("ip", "address", "add", "198.51.100.1/24", "dev", "docker9")
    wait_until(lambda: daemon.banned() == [], timeout=45)

    allowed = daemon.inside("nft", "list", "set", "inet", "wp_sidecar", "allow4")
    assert ANN in allowed and "198.51.100.0/24" in allowed
    with pytest.raises(AssertionError, match=r"198\.51\.100\.7 is never banned: it is a container network"):
        daemon.ask("ban", who="198.51.100.7")


def test_a_cdn_is_not_banned_unless_one_says_so(daemon, monkeypatch):
    node = "198.51.100.7"
    (daemon.folder / "cdn.conf").write_text("[example]\nas-of = 2026-11-22\n198.51.100.0/24\n")
    monkeypatch.setenv("WP_SIDECAR_CDN_FILE", str(daemon.folder / "cdn.conf"))
    daemon.start()
    with pytest.raises(AssertionError, match=f"{node} is never banned: it is an address of the CDN example"):
        daemon.ask("ban", who=node)
    daemon.fail(node, 3)
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    daemon.end()

    monkeypatch.setenv("WP_SIDECAR_ALLOW_CDN", "none")
    daemon.start()
    daemon.fail(node, 3)
    wait_until(lambda: node in daemon.banned())


def test_bans_in_the_kernel_go_on_where_the_store_is_lost(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    daemon.end(signal.SIGKILL)
    daemon.log.write_text("")  # else it is read again, and bans again
    for path in (daemon.folder / "state").iterdir():
        path.unlink()

    for cause in ("adopted", "adopted"):  # the second time from the store
        daemon.start()
        (ban,) = daemon.ask("bans")["bans"]
        assert (ban["ip"], ban["jail"], ban["cause"]) == (ANN, "manual", cause)
        assert 3500 < ban["until"] - time.time() <= 3601
        assert ANN in daemon.table()
        daemon.end()
    assert daemon.said().count("the store knows of no ban: the 1 in the kernel go on") == 1


def test_a_store_that_is_damaged_while_it_is_used_is_made_anew_with_all_that_is_in_force(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: daemon.banned() == [ANN])
    path = daemon.folder / "state" / "state.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(
            "INSERT INTO cursors VALUES ('other', '', 0)"
        )  # so that nothing is remembered of its pages
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))
    daemon.fail(BOB, 3)
    wait_until(lambda: daemon.banned() == [ANN, BOB])
    wait_until(lambda: daemon._is("ready"))
    daemon.end(signal.SIGKILL)
    daemon.start()

    assert daemon.banned() == [ANN, BOB]
    assert not any(daemon.failures().values())  # no line is read again
    assert "was damaged (database disk image is malformed): bans, history and log positions" in daemon.said()


def test_more_logs_than_files_that_a_shell_lets_one_open(daemon):
    logs = [daemon.folder / f"{number}.log" for number in range(200)]
    for log in logs:
        log.touch()
    stanza = (daemon.folder / "jails.conf").read_text().replace(str(daemon.log), f"{daemon.folder}/*.log")
    (daemon.folder / "jails.conf").write_text(stanza)
    daemon.start(within=["prlimit", "--nofile=128:"])
    for daemon.log, address in ((logs[0], ANN), (logs[-1], BOB)):
        daemon.fail(address, 3)

    wait_until(lambda: sorted(daemon.banned()) == [ANN, BOB])
    assert daemon._is("ready")


def test_a_store_that_is_damaged_at_the_start_is_told_in_the_log(daemon):
    (daemon.folder / "state").mkdir()
    (daemon.folder / "state" / "state.db").write_bytes(b"damaged" * 1000)
    daemon.start()

    assert "state.db was damaged (file is not a database): bans and log positions are lost" in daemon.said()


def test_a_full_disk_keeps_nobody_from_being_banned_and_is_forgotten_once_there_is_room(daemon):
    state = daemon.folder / "state"

    def story():
        state.mkdir()
        mount_small_disk(state)
        daemon.start()
        fill(state / "rest")
        for address in (ANN, BOB):
            daemon.fail(address, 3)
            wait_until(lambda address=address: address in daemon.banned() and address in daemon.table())
        wait_until(lambda: not daemon._is("ready"))
        (why,) = daemon.ask("health")["why"]
        (state / "rest").unlink()
        wait_until(
            lambda: daemon._is("ready"), timeout=60
        )  # it looks every half minute, if nothing else comes
        daemon.end(signal.SIGKILL)
        daemon.start()

        assert daemon.banned() == [ANN, BOB]
        assert why.endswith(
            "cannot be written (database or disk is full): its directory has to be writable, with room on the disk"
        )
        daemon.end()

    in_own_mounts(story)


def test_the_ratio_dips_when_someone_breaks_the_table(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    wait_until(lambda: daemon.metric("wp_sidecar_firewall_enforcement_ratio") == 1)
    daemon.inside("nft", "delete", "element", "inet", "wp_sidecar", "ban4", f"{{ {ANN} }}")
    wait_until(lambda: daemon.metric("wp_sidecar_firewall_enforcement_ratio") == 0)
    assert re.search(rf"elements = {{ {ANN} timeout", daemon.table())  # and is put right at once


def test_a_hosts_name_becomes_a_nodes():
    assert [named(host) for host in ("web-1.example", "_my host!", "", "x" * 300)] == [
        "web-1.example",
        "my-host-",
        "node",
        "x" * 253,
    ]


def test_who_is_banned_and_logged_all_the_same_is_told_of_with_the_reason(daemon):
    daemon.start()
    daemon.fail(ANN, 3)
    wait_until(lambda: ANN in daemon.banned())
    daemon.inside("nft", "delete", "element", "inet", "wp_sidecar", "missed", "{ ipv4, ipv6 }")  # not new
    later = (datetime.now(UTC) + timedelta(minutes=1)).strftime("%d-%b-%Y %H:%M:%S UTC")
    with daemon.log.open("a") as log:
        log.write(f"[{later}] wordpress(blog)[7]: Authentication failure for admin from {ANN}\n")
    wait_until(lambda: daemon.metric('wp_sidecar_bypassed_bans_total{kind="hook"}') == 1)

    assert (
        f"the ban of {ANN} has no effect at {daemon.log}: no packet of any client passes through this firewall"
        in daemon.said()
    )
