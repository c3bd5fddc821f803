"""Short memory is reported, and relieved before the kernel ends the process."""

import contextlib
import time
from datetime import UTC, datetime

import pytest

from sidecar.app.memory_watch import CALM_CHECKS, MIN_RELIEF_INTERVAL_CHECKS, MemoryWatch
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Hit, Origin, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.memory import MemoryUse
from sidecar.stores import turns
from sidecar.stores.database import Database
from sidecar.stores.sqlite import SqliteStore
from tests.app.world import Changes
from tests.support.cgroups import memory_limit
from tests.support.running import Running
from tests.support.waiting import wait_until

LIMIT = 100_000_000


class Cgroup:
    """Uses what the test says."""

    def __init__(self):
        self.used = 0

    def use(self):
        return MemoryUse(self.used, LIMIT) if self.used is not None else None


class Loop:
    """Runs each command at once, and keeps count."""

    def __init__(self):
        self.guard, self.commands = Guard([Jail("login")], Allowlist()), 0

    def submit(self, command):
        self.commands += 1
        assert command(self.guard, 0.0) == ()


@pytest.fixture
def world():
    changes, cgroup, loop = Changes(), Cgroup(), Loop()
    problem = changes.problems().problem("memory", critical=False)
    return changes, cgroup, loop, MemoryWatch(loop, cgroup, problem)


def test_short_memory_is_relieved_and_reported(world):
    changes, cgroup, loop, watch = world
    watch.check()
    assert (changes, loop.commands) == ([], 0)

    cgroup.used = 86_000_000
    watch.check()
    [(name, sentence)] = changes
    assert name == "memory"
    assert sentence.startswith("86 of the 100 MB that this container may use are used")
    assert loop.commands == 1

    cgroup.used = 75_000_000
    watch.check()
    assert len(changes) == 1
    cgroup.used = 60_000_000
    watch.check()
    assert changes[1:] == [("memory", None)]
    assert loop.commands == 2


def test_what_was_freed_has_time_to_be_used_again(world):
    _, cgroup, loop, watch = world
    cgroup.used = 90_000_000
    for _ in range(MIN_RELIEF_INTERVAL_CHECKS):
        watch.check()
    assert loop.commands == 1
    watch.check()
    assert loop.commands == 2


def test_what_a_flood_leaves_in_pieces_is_used_again_once_it_is_over(world):
    """Else one flood would keep failures from being counted until the next start."""
    changes, cgroup, loop, watch = world
    cgroup.used = 85_000_000
    watch.check()
    cgroup.used = 79_000_000
    for _ in range(CALM_CHECKS - 1):
        watch.check()
    assert (len(changes), loop.commands) == (1, 1)
    watch.check()
    assert (changes[1:], loop.commands) == ([("memory", None)], 2)


def test_a_cgroup_that_cannot_be_read_is_no_reason_to_forget(world):
    changes, cgroup, loop, watch = world
    cgroup.used = None
    watch.check()

    assert (changes, loop.commands) == ([], 0)


def test_without_a_limit_nothing_is_watched():
    MemoryWatch(Loop(), None, Changes().problems().problem("memory")).check()


def test_half_a_million_attackers_do_not_end_a_daemon_with_128_mb(tmp_path):
    """The kernel's limit is a real one: without the watch it ends the process."""
    running = Running(tmp_path)
    running.configure("aggregate = off\n")
    attackers = tmp_path / "attackers"
    stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
    with attackers.open("w") as lines:
        for n in range(600_000):
            address = f"{11 + n // 65_536}.{n % 256}.{n // 256 % 256}.7"
            lines.write(f"[{stamp}] wordpress(blog)[7]: Authentication failure for admin from {address}\n")
    with memory_limit(128 << 20) as limited, contextlib.closing(running):
        running.start(through=limited)
        running.wait_until_read(running.log)
        running.inside("sh", "-c", f"cat {attackers} >> {running.log}")
        wait_until(lambda: "forgotten" in running.stderr(), timeout=250, message=running.stderr)
        running.fail("203.0.113.7", 3)
        wait_until(lambda: "Ban 203.0.113.7" in running.stderr(), timeout=250, message=running.stderr)
        assert running.end() == 0


# One group of ports, as without any configuration; two; and lines as long as attackers make them.
@pytest.mark.parametrize(
    ("ports", "banned", "line"), [("80, 443", 100_000, 100), ("8080", 100_000, 100), ("80, 443", 0, 2_000)]
)
def test_a_daemon_with_100_000_bans_and_as_many_failures_starts_within_128_mb(tmp_path, ports, banned, line):
    """Without a bound on what is loaded the kernel ends the start, and the next one, for ever."""
    running = Running(tmp_path)
    (tmp_path / "jails.conf").write_text(
        f"[wordpress]\nlogpath = {running.log}\nwitness = off\n[other]\nfilter = wordpress\n"
        f"logpath = {running.log}\nwitness = off\nport = {ports}\n"
    )
    (tmp_path / "state").mkdir()
    now = time.time()
    path = tmp_path / "state" / "state.db"
    SqliteStore(path).close()
    with contextlib.closing(Database(path)) as database, database.transaction() as db:
        addresses = [f"{11 + n // 65_536}.{n % 256}.{n // 256 % 256}.7" for n in range(200_000)]
        bans = [
            Ban(("wordpress", "other")[n % 2], each, now, now + 3600, "failures", 3)
            for n, each in enumerate(addresses[:banned])
        ]
        origin = Origin("file", str(running.log), "")
        failures = [Hit("wordpress", each, now, origin, "x" * line) for each in addresses[100_000:]]
        turns.write(db, Turn(now, tuple(bans), hits=tuple(failures)))
    with memory_limit(128 << 20) as limited, contextlib.closing(running):
        running.start(through=limited)
        wait_until(lambda: "failures before this start" in running.stderr(), message=running.stderr)
        running.wait_until_read(running.log)
        running.fail("203.0.113.7", 3)
        wait_until(lambda: "Ban 203.0.113.7" in running.stderr(), timeout=100, message=running.stderr)
        assert running.end() == 0
