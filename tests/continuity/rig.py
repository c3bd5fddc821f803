"""Containers that write numbered lines, the real daemon that counts them, and every fault that may come between."""

import itertools
import os
import random
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import closing, contextmanager
from pathlib import Path

from sidecar.stores.sqlite import SqliteStore
from tests.bed import Bed
from tests.continuity.files import LogFiles, append_zeros, cut_record, zero_end
from tests.continuity.proxy import Proxy
from tests.support.waiting import wait_until

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[2]
IMAGE = "debian:trixie-slim"
# Each life of a container has a number, and each of its lines. Every line is a failure of an address of its own, so
# that nobody is banned, and odd ones go to stderr. A life begins late enough to have a number of its own.
WRITER = r"""
$life = shift; $rate = shift; $n = 0; $| = 1;
while (1) {
    for (1 .. $rate / 50) {
        $n++;
        $line = sprintf("%013d %07d failed from 2001:db8:%x:%x::1 end\n", $life, $n, $n / 65536, $n % 65536);
        $n % 2 ? syswrite(STDERR, $line) : syswrite(STDOUT, $line);
    }
    do { select(undef, undef, undef, 0.02) } while -e "/hold";
}
"""
FILTER = r"""[Definition]
failregex = ^\d{13} \d{7} failed from <HOST> end$
"""
JAILS = """[numbered]
containers = writer-*
maxretry = 1000
findtime = 1d
"""
# Counted in the transaction in which the store itself takes a line, so a kill cannot come between.
LEDGER = """
CREATE TABLE ledger (line INTEGER PRIMARY KEY, times INTEGER);
CREATE TRIGGER counted AFTER INSERT ON hits BEGIN
    INSERT INTO ledger VALUES (CAST(substr(new.line, 4, 10) || substr(new.line, 15, 7) AS INTEGER), 1)
    ON CONFLICT (line) DO UPDATE SET times = times + 1;
END;
"""
KEPT = ("--log-opt=max-file=1000",)  # what Docker throws away cannot be read: see the stories of gaps
JSON = ("--log-driver=json-file", "--log-opt=max-size=2m", *KEPT)
LOCAL = ("--log-driver=local", "--log-opt=max-size=1m", "--log-opt=compress=false", *KEPT)
CONTAINERS = {"writer-1": JSON, "writer-2": JSON, "writer-3": LOCAL}
FORGETFUL = ("--log-driver=json-file", "--log-opt=max-size=100k", "--log-opt=max-file=2")  # some 1,500 lines


class Rig:
    """One host, three writers, one sidecar behind a proxy. `said` tells what was done to them, and when."""

    def __init__(
        self,
        bed: Bed,
        folder: Path,
        seed: int,
        *,
        rate: int = 3000,
        containers: Mapping[str, Sequence[str]] = CONTAINERS,
        tcp: bool = False,
        slack: str = "",
        files: bool = False,
    ) -> None:
        """`files`: log files are damaged, truncated and deleted as well. `rate`: lines a second of all writers together. `containers`: docker run's options, by their names.

        `tcp`: the sidecar reaches Docker over TCP, as through a socket proxy.
        """
        self._bed, self._engine, self._folder, self._rate = bed, bed.engine, folder, rate
        self._containers, self._slack = dict(containers), slack
        self._random, self._seed = random.Random(seed), seed
        self._truth: Counter[int] = Counter()  # what removed containers had in their logs
        self._files = LogFiles(bed.engine)
        # By the name of a container whose file was truncated: the lines that were counted by then.
        self._truncated: dict[str, set[int]] = {}
        # Of how many truncations the sidecar could not know, because it was ended before it read a line that followed.
        self.unnoticed: Counter[str] = Counter()
        # Lines that Docker does not show, and that the sidecar had not found when it was ended.
        self.hidden: set[int] = set()
        self._began = time.monotonic()
        self._process: subprocess.Popen[str] | None = None
        self.done: list[str] = []
        self.faults: dict[str, Callable[[], None]] = {
            "the sidecar is killed": self.kill,
            "the sidecar is stopped and started": self.restart_sidecar,
            "the sidecar is frozen": self.freeze,
            "its clock is set": self.step_clock,
            "the proxy cuts": self.cut,
            "a container restarts": self.restart_container,
            "a container is recreated": self.recreate,
            "a container is paused": self.pause,
            "Docker restarts": self.restart_docker,
            "Docker is killed": self.kill_docker,
        }
        file_faults: dict[str, Callable[[], None]] = {
            "zeros are at the end of a log": lambda: self.damage(append_zeros),
            "the end of a log is zeros": lambda: self.damage(zero_end),
            "the last record of a log is cut": lambda: self.damage(cut_record),
            "a log is truncated": self.truncate,
            "a log is deleted": self.delete,
        }
        if files:
            self.faults |= file_faults
        folder.mkdir(exist_ok=True)
        (folder / "numbered.conf").write_text(FILTER)
        (folder / "jails.conf").write_text(JAILS)
        (folder / "clock").write_text("0")
        SqliteStore(self._state).close()
        with closing(sqlite3.connect(self._state)) as db:
            db.executescript(LEDGER)
        listening, self._docker = over_tcp(bed) if tcp else over_unix(folder / "proxy")
        self._proxy = Proxy(listening, bed.engine.socket, idle=5.0, seed=seed)
        for name in self._containers:
            self._run(name)

    @property
    def _state(self) -> Path:
        (self._folder / "state").mkdir(exist_ok=True)
        return self._folder / "state" / "state.db"

    # The sidecar

    def start(self) -> None:
        environ = {name: text for name, text in os.environ.items() if not name.startswith("WP_SIDECAR_")}
        environ |= {
            "DOCKER_HOST": self._docker,
            "WP_SIDECAR_JAILS": str(self._folder / "jails.conf"),
            "WP_SIDECAR_FILTERS": str(self._folder),
            "WP_SIDECAR_STATE": str(self._folder / "state"),
            "WP_SIDECAR_SOCKET": str(self._folder / "control.sock"),
            "PYTHONPATH": str(ROOT),
            "SLACK_WEBHOOK_URL": self._slack,
        }
        argv = [sys.executable, "-m", "tests.continuity.stepped", str(self._folder / "clock")]
        with (self._folder / "said").open("a") as said:
            self._process = self._bed.host.popen(argv, stderr=said, env=environ, cwd=ROOT)

    def alive(self) -> None:
        """As Docker's restart policy: one that found no Engine and ended is started again."""
        if self._process and self._process.poll() is not None:
            self._tell(f"the sidecar ended ({self._process.returncode}) and is started again")
            self.start()

    def kill(self) -> None:
        self._end(signal.SIGKILL)
        self._wait(0, 2)
        self.start()

    def away(self, seconds: float) -> None:
        """It is killed, and comes back so much later; then it reads what is there."""
        self._end(signal.SIGKILL)
        time.sleep(seconds)
        before = self.count()
        self.start()
        wait_until(lambda: self.alive() or self.count() > before + self._rate, 300, self.why, interval=0.2)

    def restart_sidecar(self) -> None:
        self._end(signal.SIGTERM)
        self._wait(0, 3)
        self.start()

    def freeze(self) -> None:
        """It does not read for a while, as in a virtual machine that is moved."""
        self._signal(signal.SIGSTOP)
        self._wait(0.5, 4)
        self._signal(signal.SIGCONT)

    def step_clock(self) -> None:
        ahead = self._random.choice([0, -0.7, 0.7, 5, -5, 3600, -3600, 2 * 86_400])
        (self._folder / "clock").write_text(str(ahead))
        self._tell(f"by {ahead} s")
        self._signal(signal.SIGUSR2)

    def _noticed(self, name: str) -> bool:
        """Was a line counted that was written after the file was truncated?"""
        return not (self._files.lines(name).keys() - self._truncated[name]).isdisjoint(self.counted())

    def _hidden(self, name: str) -> AbstractSet[int]:
        """Lines right behind zeros that Docker's own command leaves out, and so the sidecar has read later ones."""
        if self._engine.daemon.version >= 23:
            return set()
        counted = self.counted()
        behind = self._files.behind_zeros(name)
        read = [at for at, line in enumerate(behind) if line in counted]
        passed = set(behind[: read[-1]] if read else ()) - counted.keys()
        return passed - self._shown(name).keys() if passed else passed

    def _end(self, number: int) -> None:
        self._signal(number)
        if self._process:
            self._process.wait(60)
            self.unnoticed.update(name for name in self._truncated if not self._noticed(name))
            for name in self._truncated:
                self.hidden |= self._hidden(name)
            self._truncated.clear()

    def _signal(self, number: int) -> None:
        if self._process and self._process.poll() is None and (number != signal.SIGUSR2 or self._listens()):
            self._process.send_signal(number)

    def _listens(self) -> bool:
        """Does it take this signal for what it is meant? Before, it would end it."""
        caught = re.search(r"SigCgt:\s*(\w+)", Path(f"/proc/{self._process.pid}/status").read_text())
        return bool(caught and int(caught[1], 16) >> (signal.SIGUSR2 - 1) & 1)

    # What is around it

    def cut(self) -> None:
        self._proxy.cut()

    def restart_container(self) -> None:
        self._engine.cli("restart", "--time", str(self._random.choice([0, 1])), self._one())

    def recreate(self) -> None:
        """As an update does it. With it goes what was not read, so the sidecar is well and has caught up."""
        name = self._one()
        self._stop(name)
        lines = self._log(name)
        self._truth |= lines
        wait_until(self._settled, 300, self.why, interval=0.2)
        self._engine.cli("rm", name)
        self._files.sound(name)
        self._run(name)

    def damage(self, damage: Callable[[Path], None]) -> None:
        """As a power loss or a full disk do it. What is not destroyed is read, before anything else happens."""
        name = self._one_with_json()
        with self._held(name):
            self._stop(name)
            self._files.damage(name, damage)
            left = self._files.lines(name).keys()
            # It writes some lines, and holds again: what is written in these moments may begin in the damage.
            self._engine.cli("start", name)
            wait_until(lambda: self._files.lines(name).keys() - left)
            self._wait_for(self._files.lines(name).keys())

    def truncate(self) -> None:
        """As logrotate does with copytruncate, when all is read.

        If the log is damaged as well, Docker from 23 on can read nothing of it until the container is restarted.
        """
        name = self._one_with_json()
        with self._held(name):
            self._truth |= self._files.truncate(name)
            self._truncated[name] = {*self.counted()}
        if self._files.is_damaged(name):
            self._wait(0.5, 2)
            self._engine.cli("restart", "--time", "1", name)

    def delete(self) -> None:
        """The log's file is removed, and the container goes on for a while; it is read as long as it runs."""
        name = self._one_with_json()
        if self._files.is_spoilt(name):
            return
        with self._held(name):
            file = self._files.delete(name)
        self._wait(0.5, 2)
        with file, self._held(name, lambda: self._files.lines_of(file)):
            self._truth |= self._files.lines_of(file)
            self._engine.cli("stop", "--time", "0", name)
            self._engine.cli("start", name)

    @contextmanager
    def _held(self, name: str, lines: Callable[[], Counter[int]] | None = None) -> Iterator[None]:
        """Has the container write nothing, as soon as all was read that it wrote."""
        lines = lines or (lambda: self._files.lines(name))
        self._engine.cli("exec", name, "touch", "/hold")
        before: Counter[int] = Counter()
        while (written := lines()) != before:
            before = written
            time.sleep(0.3)
        self._wait_for(written.keys())
        yield
        self._engine.cli("exec", name, "rm", "-f", "/hold")

    def _wait_for(self, lines: AbstractSet[int]) -> None:
        def missing() -> str:
            left = sorted(lines - self.counted().keys())
            return f"{len(left)} of {len(lines)} lines missing ({left[:1]} to {left[-1:]}); {self.why()}"

        wait_until(lambda: self.alive() or not lines - self.counted().keys(), 300, missing, interval=0.2)

    def _one_with_json(self) -> str:
        return self._random.choice(
            [name for name, options in self._containers.items() if options[0] == JSON[0]]
        )

    def _stop(self, *names: str) -> None:
        """Ends them, once the sidecar has begun to read them: what it first sees stopped is history, and is not read."""
        wait_until(lambda: self.alive() or all(map(self._begun, names)), 300, self.why, interval=0.2)
        self._engine.cli("stop", "--time", "1", *names)

    def _begun(self, name: str) -> bool:
        return not self._log(name).keys().isdisjoint(self.counted())

    def pause(self) -> None:
        name = self._one()
        self._engine.cli("pause", name, check=False)  # the kernel may fail to freeze one, on a busy machine
        self._wait(0.5, 8)
        self._engine.cli("unpause", name, check=False)

    def restart_docker(self) -> None:
        self._engine.stop()
        self._wait(0, 1)
        self._engine.start()

    def kill_docker(self) -> None:
        if self._engine.process:
            os.kill(self._engine.process.pid, signal.SIGKILL)
        self.restart_docker()

    def _one(self) -> str:
        return self._random.choice([*self._containers])

    def _run(self, name: str) -> None:
        number = [*self._containers].index(name)  # no two lives have the same
        script = f"exec perl -e '{WRITER}' $(date +%s%2N){number} {self._rate // len(self._containers)}"
        self._engine.cli(
            "run", "--detach", "--init", f"--name={name}", "--restart=always", "--network=none",
            *self._containers[name], IMAGE, "sh", "-c", script,
        )  # fmt: skip

    # The story

    def play(self, lines: int, patience: float) -> None:
        """Inject faults, each kind as often as any other, until this many lines were counted; then let it all settle."""
        deadline = time.monotonic() + patience
        self.start()
        rounds = itertools.chain.from_iterable(iter(self._shuffled, None))
        while (counted := self.count()) < lines or len(self.done) < len(self.faults):
            assert time.monotonic() < deadline, f"{counted} lines in {patience} s; {self.why()}"
            self._wait(0, 3)
            self.alive()
            fault = next(rounds)
            self._tell(fault)
            self.done.append(fault)
            self.faults[fault]()
        self._tell("no more faults")
        self._stop(*self._containers)
        for name in self._containers:
            self._truth |= self._log(name)
        wait_until(self._settled, 300, self.why, interval=0.2)
        self._end(signal.SIGTERM)

    def _settled(self) -> bool:
        """Was everything counted that is known to have been written?"""
        self.alive()
        return not self.missing

    def _shuffled(self) -> list[str]:
        return self._random.sample([*self.faults], len(self.faults))

    def close(self) -> None:
        self._end(signal.SIGKILL)
        self._proxy.close()
        self._engine.clear()

    # The books

    @property
    def truth(self) -> Counter[int]:
        return self._truth

    @property
    def destroyed(self) -> AbstractSet[int]:
        """Lines that were written, and that no log has any more."""
        return self._files.destroyed

    @property
    def missing(self) -> AbstractSet[int]:
        """Lines that are known to have been written, and that could be read, and were not counted."""
        return self._truth.keys() - self.counted().keys() - self.hidden

    def unreported(self) -> list[str]:
        """Containers whose log was damaged, and nothing was reported."""
        log = "\n".join(self.log())
        return [
            name
            for name in self._files.damaged
            if f"cannot read a part of the log of container {name}" not in log
        ]

    def counted(self) -> Counter[int]:
        """Each line's number, and how often the store took it."""
        with closing(self._reading()) as db:
            return Counter(dict(db.execute("SELECT line, times FROM ledger")))

    def count(self) -> int:
        with closing(self._reading()) as db:
            (found,) = db.execute("SELECT count(*) FROM ledger").fetchone()
            return int(found)

    def holes(self) -> int:
        """How often lines are missing between those that were counted; two streams' lines are a little out of order."""
        lines = sorted(self.counted())
        return sum(100 < after - line < 10**7 for line, after in itertools.pairwise(lines))

    def unexplained_gaps(self) -> list[str]:
        """Gaps that were reported, without one for each truncation that the sidecar could not know of."""
        unnoticed, found = self.unnoticed.copy(), []
        for gap in self.gaps():
            name = next(name for name in self._containers if f"container {name} " in gap)
            unnoticed[name] -= 1
            if unnoticed[name] < 0:
                found.append(gap)
        return found

    def gaps(self) -> list[str]:
        return [line for line in self.log() if "no longer has what was read last" in line]

    def log(self) -> list[str]:
        """What the sidecar wrote, and what was done to it."""
        return (self._folder / "said").read_text().splitlines()

    def why(self) -> str:
        missing = sorted(self.missing)
        return f"seed {self._seed}: {len(missing)} lines missing {missing[:3]}; {'; '.join(self.done[-5:])}"

    def _reading(self) -> sqlite3.Connection:
        return sqlite3.connect(f"{self._state.as_uri()}?mode=ro", uri=True, timeout=60)

    def _log(self, name: str) -> Counter[int]:
        """What the container wrote and Docker kept, by Docker's own command: the truth. It may fail on a spoilt file."""
        if self._files.is_spoilt(name):
            return self._files.lines(name)
        return self._shown(name)

    def _shown(self, name: str) -> Counter[int]:
        found = self._engine.cli("logs", name)
        lines = [*found.stdout.splitlines(), *found.stderr.splitlines()]
        return Counter(int(line[3:13] + line[14:21]) for line in lines if _whole(line))

    def _wait(self, least: float, most: float) -> None:
        time.sleep(self._random.uniform(least, most))

    def _tell(self, what: str) -> None:
        with (self._folder / "said").open("a") as said:
            said.write(f"--- {time.monotonic() - self._began:.1f} s: {what}\n")


def _whole(line: str) -> bool:
    """Docker itself may have cut a line in two where it was stopped."""
    return line[13:14] == " " and line[21:34] == " failed from " and line.endswith(" end")


def over_unix(path: Path) -> tuple[socket.socket, str]:
    """A listening socket, and what DOCKER_HOST is then."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(64)
    return listening, f"unix://{path}"


def over_tcp(bed: Bed) -> tuple[socket.socket, str]:
    listening = bed.host.within(lambda: socket.create_server(("127.0.0.1", 0)))
    return listening, f"tcp://127.0.0.1:{listening.getsockname()[1]}"
