"""A clock that is set changes nothing but the times: each ban keeps what is left of it, and each failure its age."""

import math
import random
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import PastBans
from sidecar.core.bantime_increment import Escalation
from sidecar.core.clock_steps import MAX_STEPS, ClockReading, ForwardSteps, clock_step
from sidecar.core.events import Ban, Hit, Origin, Unban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail, Success

ANN = Address("203.0.113.7")
DAY, YEARS = 86_400.0, 56 * 365 * 86_400.0
# Neighbours, and others.
ADDRESSES = [
    *(Address(f"203.0.113.{n}") for n in range(1, 4)),
    *(Address(f"2001:db8:0:{n}::/64") for n in range(6)),
    Address("198.51.100.1"),
]
LOGS = [Origin("docker", name, "stdout", ()) for name in ("blog", "shop", "front")]
JAILS = [
    Jail("sliding", maxretry=3, findtime=60, bantime=300, escalation=Escalation(maxtime=9000), bangroup=2,
         success=Success.RESET, reads_requests=True),
    Jail("fail2ban", maxretry=3, findtime=60, bantime=90, window="fail2ban", witness=False, observe=True),
]  # fmt: skip


class SeenByTurns:
    """A witness that knows every third address that it is asked about."""

    def __init__(self):
        self._asked = 0

    def seen(self, _address):
        self._asked += 1
        return (False, None, True)[self._asked % 3]


class Story:
    """A guard to which everything happens that it remembers a time of. `set_by` is how far its clock is ahead."""

    def __init__(self, seed):
        self.set_by = 0.0
        self._random = random.Random(seed)
        self._guard = Guard(
            JAILS, Allowlist(), [Ban("sliding", ANN, 0.0, 50.0, "failures")],
            [PastBans("fail2ban", ANN, 2, -100.0)], history_age_s=600, witness=SeenByTurns(),
            chance=random.Random(seed), counts_from=20.0, allowed=[Allow(ANN, 0.0, 250.0), Allow(Address("192.0.2.1"), 1.0)],
        )  # fmt: skip
        self._guard.set_related_logs({"blog": frozenset({"front"}), "front": frozenset({"blog"})})

    def set_clock(self, by_s):
        self._guard.shift(by_s)
        self.set_by += by_s

    def go_on(self, seconds):
        """Return all that was decided and all that is known, by a clock that nobody set."""
        decided = []
        for true_time in seconds:
            now = true_time + self.set_by
            decided += self._guard.tick(now)
            decided += self._guard.hits(self._hits(now), now)
            decided += self._guard.end_allowed(now)
            decided += (
                self._guard.ban(self._random.choice(ADDRESSES), now, "", 40.0) if true_time % 29 == 0 else []
            )
        view, end = self._guard.view, now
        statuses = [status for each in ADDRESSES for status in view.statuses(each, end)]
        return [
            *(self._unset(each) for each in (*decided, *view.bans, *view.history, *view.refused_bans, *view.allowed)),
            *(replace(each, at=each.at - self.set_by) for each in self._guard.take_noticed()[1]),
            *((each.failures, each.ban_count, [at - self.set_by for at in each.failed_at]) for each in statuses),
            self._guard.next_tick() - self.set_by,
            dict(view.ignored),
        ]  # fmt: skip

    def _hits(self, now):
        for _ in range(self._random.randrange(4)):
            log, jail = self._random.choice(LOGS), self._random.choice(JAILS).name
            # Some lines come late, and some clients log in or have a proxy before them.
            at = now - self._random.choice((0, 0, 0, 3, 40))
            success = jail == "sliding" and self._random.random() < 0.4
            peer = self._random.choice(ADDRESSES) if self._random.random() < 0.05 else ""
            yield Hit(jail, self._random.choice(ADDRESSES), at, log, "line", success=success, peer=peer)

    def _unset(self, value):
        times = {
            name: getattr(value, name, None) for name in ("at", "until", "decided_at", "last_at", "asked_at")
        }
        changed = {name: at - self.set_by for name, at in times.items() if at is not None}
        known = value._replace(**changed) if isinstance(value, tuple) else replace(value, **changed)
        return known, changed


@pytest.mark.parametrize("by_s", [DAY, -YEARS, 3.0])
@pytest.mark.parametrize("seed", range(5))
def test_a_clock_that_is_set_changes_no_decision(seed, by_s):
    left_alone, was_set = Story(seed), Story(seed)
    parts = [range(100), range(100, 110), range(110, 500)]

    known = [was_set.go_on(parts[0])]
    was_set.set_clock(by_s)
    known += [was_set.go_on(part) for part in parts[1:]]
    assert known == [left_alone.go_on(part) for part in parts]
    # The story has all kinds of things to remember.
    kinds = {type(each[0]).__name__ for part in known for each in part if isinstance(each, tuple)}
    assert kinds >= {"Ban", "Unban", "PastBans", "RefusedBan", "Allow"}


def test_a_ban_lasts_as_long_as_it_would_have():
    guard = Guard([Jail("login")], Allowlist(), [Ban("login", ANN, 0.0, 3600.0, "failures")])
    guard.shift(DAY)

    assert guard.tick(DAY + 3599) == []
    assert guard.tick(DAY + 3600) == [Unban("login", ANN, DAY + 3600, "expired")]


def test_a_permanent_ban_stays_permanent():
    guard = Guard([Jail("login")], Allowlist(), [Ban("login", ANN, 0.0, math.inf, "manual")])
    guard.shift(-DAY)

    assert [ban.until for ban in guard.view.bans] == [math.inf]
    assert guard.next_tick() == math.inf


def test_failures_before_and_after_the_step_are_one_burst():
    guard = Guard([Jail("login", maxretry=3, findtime=60, bantime=300)], Allowlist())
    origin = Origin("docker", "blog")
    assert guard.hits([Hit("login", ANN, at, origin, "") for at in (1.0, 2.0)], 2.0) == []
    guard.shift(DAY)

    [ban] = guard.hits([Hit("login", ANN, DAY + 3.0, origin, "")], DAY + 3.0)
    assert (ban.at, ban.until) == (DAY + 3, DAY + 303)


def failure(at):
    return Hit("login", ANN, at, Origin("docker", "blog"), "")


def test_a_line_from_before_a_step_forward_moves_with_what_is_remembered():
    steps = ForwardSteps()
    hits = [failure(at) for at in (990.0, 1_000.5, 1_000.0 + DAY)]
    assert steps.moved(hits, 1_001.0) is hits

    # The clock was last looked at half a second before the second line was written.
    steps.add(1_000.0, DAY)
    assert [hit.at - DAY for hit in steps.moved(hits, 1_002.0 + DAY)] == [990.0, 1_000.5, 1_000.0]
    # No line is from the future, though a log may write whole seconds only.
    assert [hit.at for hit in steps.moved([failure(999.0 + DAY)], 1_000.3 + DAY)] == [1_000.3 + DAY]

    steps.add(2_000.0 + DAY, YEARS)
    moved = steps.moved(
        [*hits, failure(2_005.0 + DAY), failure(2_000.0 + DAY + YEARS)], 2_001.0 + DAY + YEARS
    )
    assert [hit.at - DAY - YEARS for hit in moved] == [990.0, 1_000.5, 1_000.0, 2_001.0, 2_000.0]


def test_after_a_step_back_the_times_of_before_come_again():
    steps = ForwardSteps()
    steps.add(1_000.0, DAY)
    steps.add(2_000.0 + DAY, -DAY)

    assert steps.moved([failure(990.0)], 2_000.0) == [failure(990.0)]


def test_who_sets_the_clock_again_and_again_fills_no_memory():
    steps = ForwardSteps()
    for number in range(MAX_STEPS + 1):
        steps.add(number * DAY, DAY / 2)

    assert [hit.at for hit in steps.moved([failure(-1.0)], math.inf)] == [-1.0 + MAX_STEPS * DAY / 2]


BOOT = ClockReading("boot", 100.0, 1_000_000.0)


@pytest.mark.parametrize(
    ("now", "step"),
    [
        # It goes on, also while the machine is suspended; and NTP slews it.
        (ClockReading("boot", 4000.0, 1_003_900.0), 0.0),
        (ClockReading("boot", 101.0, 1_000_001.1), 0.0),
        # Somebody set it.
        (ClockReading("boot", 101.0, 1_000_001.0 + DAY), DAY),
        (ClockReading("boot", 101.0, 1_000_001.0 - DAY), -DAY),
        # Another boot: a clock that is ahead is believed, and one that is behind was lost.
        (ClockReading("next", 10.0, 1_000_000.0 + DAY), 0.0),
        (ClockReading("next", 10.0, 10.0), -999_990.0),
    ],
)
def test_whether_the_clock_was_set(now, step):
    assert clock_step(BOOT, now) == step
