"""The peer: apt's fail2ban in the same host, with its own nftables action and our filter.

It reads a plain file instead of Docker's JSON, which spares it a layer, and runs on the machine itself instead of in
a container. Its action is the distribution's, read where it lies.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from subprocess import STDOUT, TimeoutExpired
from typing import Self

from bench.lines import MAXRETRY
from tests.bed import Place

ETC = Path("/etc/fail2ban")
# The filter that fail2ban is given, as its users write one.
FILTERS = Path(__file__).parent / "filter.d"
PEER_FILTER = "wordpress-login"
PATIENCE = 30.0  # seconds
HASTE = 0.5  # seconds; told to stop in the moment of its start, it may hang for ever


class Fail2ban:
    """A running fail2ban-server that follows `log`; started by `with`."""

    def __init__(self, host: Place) -> None:
        self._host = host
        self._folder = Path(tempfile.mkdtemp(prefix="wps-f2b-"))
        self.log = self._folder / "access.log"
        self.log.touch()
        _configure(self._folder, self.log)
        self._log = os.open(self.log, os.O_WRONLY | os.O_APPEND)

    def __enter__(self) -> Self:
        server = shutil.which("fail2ban-server")
        if not server:
            raise RuntimeError("fail2ban is missing: run tests/bed/setup.sh as root")
        self.began = self.ready = time.perf_counter()
        with (self._folder / "output").open("w") as output:
            self._process = self._host.popen(
                [
                    server,
                    "-f",
                    "-c",
                    str(self._folder),
                    "-s",
                    f"{self._folder}/sock",
                    "-p",
                    f"{self._folder}/pid",
                ],
                stdout=output,
                stderr=STDOUT,
            )
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        self.ready = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        time.sleep(max(0.0, self.ready + HASTE - time.perf_counter()))
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)
        os.close(self._log)
        shutil.rmtree(self._folder)

    @property
    def process(self) -> Path:
        """Its folder in /proc."""
        return Path(f"/proc/{self._process.pid}")

    @property
    def backend(self) -> str:
        """How it follows the file: pyinotify where that is installed, else polling."""
        found = re.findall(r"Jail '\w+' uses (\w+)", self.said())
        return str(found[-1]) if found else "?"

    def write(self, data: bytes) -> None:
        os.write(self._log, data)

    def said(self) -> str:
        return "".join((self._folder / name).read_text() for name in ("output", "fail2ban.log"))

    def _wait(self) -> None:
        """Until its jail runs."""
        end = time.perf_counter() + PATIENCE
        while "Jail 'wordpress' started" not in self.said():
            if time.perf_counter() > end or self._process.poll() is not None:
                raise RuntimeError(f"fail2ban did not start: {self.said()[-2000:]}")
            time.sleep(0.005)


def _configure(folder: Path, log: Path) -> None:
    (folder / "action.d").symlink_to(ETC / "action.d")
    (folder / "filter.d").symlink_to(FILTERS)
    (folder / "fail2ban.log").touch()
    (folder / "fail2ban.conf").write_text(f"""\
[Definition]
loglevel = INFO
logtarget = {folder}/fail2ban.log
syslogsocket = auto
socket = {folder}/sock
pidfile = {folder}/pid
dbfile = {folder}/db.sqlite3
dbpurgeage = 1d
dbmaxmatches = 10
""")
    (folder / "jail.conf").write_text(f"""\
[wordpress]
enabled = true
filter = {PEER_FILTER}
logpath = {log}
backend = auto
usedns = no
maxretry = {MAXRETRY}
findtime = 10800
bantime = 86400
action = nftables[type=multiport, name=wordpress, port="http,https", protocol=tcp]
""")
