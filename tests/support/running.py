"""`wp-sidecar run` as a process in a network namespace of its own: a real kernel's firewall, files for logs, no Docker."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sidecar.control.client import NoDaemon, send
from tests.support.paths import COMMAND, ROOT
from tests.support.waiting import wait_until

JAILS = """
[DEFAULT]
bantime = 1h
# Clients are lines in a file, and send no packets.
witness = off
[wordpress]
logpath = {log}
{more}
[wordpress-access]
logpath = {log}
port = 8080
"""

CLOCK_THAT_IS_SET = """
import pathlib, time
ahead, real_time = pathlib.Path("{folder}/ahead"), time.time
time.time = lambda: real_time() + float(ahead.read_text())
"""


class Running:
    """A daemon that can be started again and again, in a namespace that lives as long as this object is open."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log = folder, folder / "error.log"
        self.log.touch()
        self.configure()
        self._namespace = subprocess.Popen(
            ["unshare", "--net", "--", "sh", "-c", "ip link set lo up; echo up; exec sleep 3600"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._namespace.stdout.readline() == "up\n"
        # What enters the namespace: begins the arguments of a command.
        self.enter = ("nsenter", f"--target={self._namespace.pid}", "--net", "--")
        self._process: subprocess.Popen[str] | None = None
        self._ahead_s = 0.0
        # Python runs it before anything else. The clocks that nobody sets stay as they are.
        (folder / "sitecustomize.py").write_text(CLOCK_THAT_IS_SET.format(folder=folder))
        self.set_clock(0.0)

    @property
    def environ(self) -> dict[str, str]:
        """The environment of the daemon, and of its command line."""
        return {
            **os.environ,
            "WP_SIDECAR_JAILS": str(self.folder / "jails.conf"),
            "WP_SIDECAR_STATE": str(self.folder / "state"),
            "WP_SIDECAR_SOCKET": str(self.folder / "control.sock"),
            "PYTHONPATH": str(self.folder),
        }

    def configure(self, more: str = "") -> None:
        """Write a jails file with these lines in the jail `wordpress`, or with more jails."""
        (self.folder / "jails.conf").write_text(JAILS.format(log=self.log, more=more))

    def start(self, *options: str, ready: bool = True, through: Sequence[str] = ()) -> None:
        """Start it, and wait until it is ready, or else live. `through`: a command that runs it."""
        with (self.folder / "stderr").open("a") as stderr:
            argv = [*self.enter, *through, COMMAND, "run", *options]
            self._process = subprocess.Popen(argv, stderr=stderr, env=self.environ)
        wait_until(lambda: self.is_ready() if ready else self.is_live(), timeout=60, message=self.stderr)

    def wait_until_read(self, log: Path) -> None:
        """Wait until it has read this log for the first time: undated lines that are there before do not count."""
        wait_until(
            lambda: any(
                (stream["container"], stream["state"]) == (str(log), "open")
                for stream in self.ask("status")["streams"]
            ),
            timeout=60,
            message=self.stderr,
        )

    def end(self, number: int = signal.SIGTERM) -> int:
        """End it with this signal. Return its exit code."""
        self._process.send_signal(number)
        return self._process.wait(60)

    @property
    def now(self) -> float:
        """The time by the daemon's clock, and by that of the web server that logs."""
        return time.time() + self._ahead_s

    def set_clock(self, ahead_s: float) -> None:
        """Set the wall clock of the daemon, which runs or will be started, and of nothing else on this machine."""
        self._ahead_s = ahead_s
        fresh = self.folder / "ahead.new"
        fresh.write_text(str(ahead_s))
        fresh.rename(self.folder / "ahead")

    def hang_up(self) -> None:
        self._process.send_signal(signal.SIGHUP)

    def close(self) -> None:
        if self._process and self._process.poll() is None:
            self.end(signal.SIGKILL)
        self._namespace.kill()
        self._namespace.wait()
        self._namespace.stdout.close()

    def stderr(self) -> str:
        """Return everything that was logged, by every run."""
        return (self.folder / "stderr").read_text()

    def ask(self, what: str, **request: object) -> dict[str, object]:
        """Return the answer of the control socket. A refusal is an AssertionError with the sentence and the log."""
        try:
            return send(self.folder / "control.sock", {"do": what, **request}, timeout=60)
        except Exception as err:
            raise AssertionError(f"{err}: {self.stderr()}") from err

    def is_ready(self) -> bool:
        return self._health("ready")

    def is_live(self) -> bool:
        return self._health("live")

    def banned(self) -> list[str]:
        return [ban["ip"] for ban in self.ask("bans")["bans"]]

    def failures(self) -> dict[str, int]:
        return {jail["name"]: jail["failures"] for jail in self.ask("status")["jails"]}

    def metric(self, series: str) -> float:
        text = self.inside("curl", "-sS", "http://127.0.0.1:9734/metrics")
        return next(float(line.split()[-1]) for line in text.splitlines() if line.startswith(series + " "))

    def table(self) -> str:
        return self.inside("nft", "list", "ruleset")

    def fail(self, address: str, times: int) -> None:
        """Log this many failed logins, as PHP's error log has them."""
        stamp = datetime.fromtimestamp(self.now, UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
        with self.log.open("a") as log:
            log.write(
                f"[{stamp}] wordpress(blog)[7]: Authentication failure for admin from {address}\n" * times
            )

    def inside(self, *argv: str) -> str:
        """Return the output of a command in the namespace."""
        done = subprocess.run(
            [*self.enter, *argv], capture_output=True, text=True, check=True, timeout=60
        )  # fmt: skip
        return done.stdout

    @contextlib.contextmanager
    def table_of_another_program(self) -> Iterator[None]:
        """Our table belongs to another program, and the kernel lets nobody else change it."""
        with subprocess.Popen([*self.enter, "nft", "-i"], stdin=subprocess.PIPE, text=True) as nft:
            nft.stdin.write("delete table inet wp_sidecar; add table inet wp_sidecar { flags owner; }\n")
            nft.stdin.flush()
            yield

    @contextlib.contextmanager
    def web_server(self, port: int) -> Iterator[Path]:
        """A web server in the namespace refuses every request; yield the file with the requests."""
        requests = self.folder / "requests"
        argv = [*self.enter, sys.executable, "-m", "http.server", str(port)]
        with requests.open("w") as file, subprocess.Popen(argv, stderr=file) as server:
            yield requests
            server.kill()

    @contextlib.contextmanager
    def recorded(self, port: int) -> Iterator[Callable[[], list[dict[str, str]]]]:
        """A webhook in the namespace accepts every request; yield a function that returns the requests so far."""
        file = self.folder / "recorded"
        file.touch()
        argv = [*self.enter, sys.executable, "-m", "tests.support.recorder", str(port), str(file)]
        with subprocess.Popen(argv, cwd=ROOT) as server:
            try:
                yield lambda: [json.loads(line) for line in file.read_text().splitlines()]
            finally:
                server.kill()

    def _health(self, what: str) -> bool:
        try:
            return send(self.folder / "control.sock", {"do": "health"}, timeout=60)[what]
        except NoDaemon:
            # It does not listen yet, or this is the socket of one that was killed.
            assert self._process.poll() is None, self.stderr()
            return False


def run(
    folder: Path, *, enter: Sequence[str] = ("unshare", "--net", "--"), **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run `wp-sidecar run` where it cannot work, and return what came of it."""
    own = {"WP_SIDECAR_STATE": str(folder / "state"), "WP_SIDECAR_SOCKET": str(folder / "control.sock")}
    return subprocess.run(
        [*enter, COMMAND, "run"], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, **own, **environ},
    )  # fmt: skip
