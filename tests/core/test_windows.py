import itertools
import random

import pytest

from sidecar.config.units import one_of
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Hit, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.windows import WINDOWS, DistinctTargets, Fail2banWindow, SlidingWindow

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")


class Counting:
    """A window with the settings of one jail."""

    def __init__(self, count, maxretry, findtime):
        self.count, self.maxretry, self.findtime = count, maxretry, findtime

    def add(self, address, at, weight=1):
        return self.count.add(address, at, self.maxretry, self.findtime, weight)

    def forget(self, now):
        self.count.forget(now - self.findtime)

    def clear(self, address):
        return self.count.clear(address)

    def __len__(self):
        return len(self.count)


def test_bans_at_maxretry_within_findtime():
    window = Counting(SlidingWindow(), 3, 600)

    assert [window.add(ANN, at) for at in (0, 300, 600)] == [False, False, True]


def test_slow_guessing_never_fills_the_window():
    window = Counting(SlidingWindow(), 3, 600)

    assert not any(window.add(ANN, at) for at in range(0, 86_400, 301))


def test_a_full_window_begins_again():
    window = Counting(SlidingWindow(), 2, 600)

    assert [window.add(ANN, at) for at in (0, 1, 2, 3)] == [False, True, False, True]


def test_one_failure_is_enough_when_maxretry_is_one():
    window = Counting(SlidingWindow(), 1, 600)

    assert window.add(ANN, 0) and len(window) == 0


def test_addresses_are_counted_apart():
    window = Counting(SlidingWindow(), 2, 600)

    assert [window.add(address, 0) for address in (ANN, BOB, ANN)] == [False, False, True]


def test_failures_of_one_moment_all_count():
    window = Counting(SlidingWindow(), 3, 0)

    assert [window.add(ANN, 5) for _ in range(3)] == [False, False, True]


def test_a_late_line_counts_at_its_own_time():
    window = Counting(SlidingWindow(), 3, 600)

    assert [window.add(ANN, at) for at in (0, 10, 9000, 5)] == [False, False, False, True]


def test_a_late_line_does_not_stretch_the_window():
    window = Counting(SlidingWindow(), 3, 600)

    assert [window.add(ANN, at) for at in (1000, 1600, 390)] == [False, False, False]


def test_the_window_is_decided_as_by_counting_all_failures():
    """Against the plain definition: is there a stretch of findtime around this failure that holds maxretry?"""
    times = [0, 70, 30, 200, 150, 160, 90, 400, 410, 420, 1000, 405, 995, 990]
    window, seen, expected, decided = Counting(SlidingWindow(), 4, 100), [], [], []
    for at in times:
        seen.append(at)
        full = any(
            at in range(start, start + 101) and sum(start <= t <= start + 100 for t in seen) >= 4
            for start in seen
        )
        seen = [] if full else seen
        expected.append(full)
        decided.append(window.add(ANN, at))

    assert decided == expected


def test_old_failures_are_forgotten():
    window = Counting(SlidingWindow(), 3, 600)
    window.add(ANN, 0)
    window.add(BOB, 500)
    window.forget(now=601)

    assert len(window) == 1


def test_cleared_failures_do_not_count():
    window = Counting(SlidingWindow(), 2, 600)
    window.add(ANN, 0)

    assert (window.clear(ANN), window.clear(BOB)) == (True, False)
    assert not window.add(ANN, 1)


def test_the_longest_silent_address_is_dropped_when_there_are_too_many():
    window = Counting(SlidingWindow(max_addresses=1), 2, 600)
    window.add(ANN, 0)
    window.add(BOB, 1)

    assert (len(window), window.count.dropped) == (1, 1)
    assert window.add(BOB, 2)


@pytest.mark.parametrize("count", [SlidingWindow, Fail2banWindow])
def test_a_failure_may_weigh_as_much_as_several(count):
    counting = Counting(count(), 5, 600)

    assert [counting.add(ANN, at, weight=2) for at in (0, 1, 2)] == [False, False, True]


def test_a_late_failure_may_weigh_as_much_as_several():
    window = Counting(SlidingWindow(), 4, 600)

    assert [window.add(ANN, 9000), window.add(ANN, 0), window.add(ANN, 1, weight=3)] == [False, False, True]


@pytest.mark.parametrize("count", [SlidingWindow, Fail2banWindow])
def test_maxretry_may_differ_from_one_failure_to_the_next(count):
    """Two containers with labels of their own, one jail."""
    counted = count()

    assert not counted.add(ANN, 0, 10, 600)
    assert counted.add(ANN, 1, 2, 600)


@pytest.mark.parametrize(("spacing", "banned"), [(150, True), (171, True), (172, False)])
def test_a_steady_guesser_is_banned_as_by_fail2ban(spacing, banned):
    """Measured with fail2ban itself: maxretry 5, findtime 600, every 171 s is banned at the fifth, every 172 s never."""
    rate = Counting(Fail2banWindow(), 5, 600)
    decided = [rate.add(ANN, n * spacing) for n in range(200)]

    assert decided[:5] == [False] * 4 + [banned]
    assert any(decided) == banned


def test_fail2bans_window_counts_a_late_line_as_if_it_came_now():
    rate = Counting(Fail2banWindow(), 3, 600)

    assert [rate.add(ANN, at) for at in (5000, 0, 1)] == [False, False, True]


def test_fail2bans_window_forgets_after_findtime_of_silence():
    rate = Counting(Fail2banWindow(), 3, 600)
    rate.add(ANN, 0)
    rate.add(BOB, 100)
    rate.forget(now=600)

    assert (len(rate), ANN in rate.count, BOB in rate.count) == (1, False, True)


def test_fail2bans_window_is_bounded():
    rate = Counting(Fail2banWindow(max_addresses=1), 3, 600)
    rate.add(ANN, 0)
    rate.add(BOB, 1)

    assert (len(rate), rate.count.dropped, rate.clear(ANN), rate.clear(BOB)) == (1, 1, False, True)


def test_fail2bans_window_follows_fail2bans_formula_on_random_bursts():
    """The formula of facts, written down a second time as plainly as it can be."""
    dice = random.Random(4)
    for _ in range(500):
        times = list(itertools.accumulate(dice.choice([0, 1, 50, 150, 400, 900]) for _ in range(12)))
        rate, retry, first, last, expected = Counting(Fail2banWindow(), 4, 600), 0, None, None, []
        for t in times:
            if retry == 0:
                first = last = t
            elif t > last:
                if first < t - 600:
                    retry = round(retry / (t - first) * 600)
                    first = t - 600
                last = t
            retry += 1
            expected.append(retry >= 4)
            retry = 0 if retry >= 4 else retry

        assert [rate.add(ANN, t) for t in times] == expected


def test_a_target_counts_once_for_as_long_as_its_address_is_counted():
    targets = DistinctTargets()
    targets.add(ANN, "/.env", 6)

    assert (
        targets.is_repeated(ANN, "/.env"),
        targets.is_repeated(ANN, "/.git"),
        targets.is_repeated(BOB, "/.env"),
    ) == (
        True,
        False,
        False,
    )
    targets.forget({ANN})
    assert targets.is_repeated(ANN, "/.env")
    targets.forget({BOB})
    assert not targets.is_repeated(ANN, "/.env")


def test_the_newest_targets_are_kept():
    targets = DistinctTargets()
    for at in range(9):
        targets.add(ANN, f"target {at}", 4)

    assert [at for at in range(9) if targets.is_repeated(ANN, f"target {at}")] == [5, 6, 7, 8]
    targets.clear(ANN)
    assert not targets.is_repeated(ANN, "target 8")


@pytest.mark.parametrize("count", [SlidingWindow(), Fail2banWindow()])
def test_the_failures_that_count_now(count):
    for at in (0, 100, 200):
        count.add(ANN, at, maxretry=5, findtime=600)

    assert [count.failures(ANN, since) for since in (-400, 201)] == [3, 0]
    assert count.failures(BOB, 0) == 0


@pytest.mark.parametrize(("count", "times"), [(SlidingWindow(), (100, 200)), (Fail2banWindow(), ())])
def test_when_they_were_is_known_where_it_is_kept(count, times):
    for at in (0, 100, 200):
        count.add(ANN, at, maxretry=5, findtime=600)

    assert count.times(ANN, 100) == times
    assert count.times(BOB, 0) == ()


@pytest.mark.parametrize("count", [SlidingWindow(), Fail2banWindow()])
def test_an_address_is_in_the_window_until_it_is_forgotten(count):
    count.add(ANN, 0, maxretry=5, findtime=600)
    assert ANN in count and BOB not in count
    count.forget(before=700)

    assert (ANN in count, len(count)) == (False, 0)


class Strict:
    """Counts every failure as too many."""

    dropped = 0

    def __len__(self):
        return 0

    def __contains__(self, address):
        return False

    def failures(self, address, since):
        return 0

    def times(self, address, since):
        return ()

    def add(self, address, at, maxretry, findtime, weight=1):
        return True

    def clear(self, address):
        return False

    def forget(self, before):
        pass


def test_another_way_to_count_is_a_class_and_a_row(monkeypatch):
    monkeypatch.setitem(WINDOWS, "strict", Strict)
    guard = Guard([Jail("login", window="strict")], Allowlist())
    (ban,) = guard.hit(Hit("login", ANN, 0.0, Origin("docker", "blog"), "a line"), now=0.0)

    assert (ban.address, ban.evidence) == (ANN, ("a line",))
    guard.tick(now=100_000.0)
    assert guard.view.statuses(ANN, now=100_000.0)[0].failures == 0
    assert guard.unban(BOB, now=100_001.0) == []
    assert one_of(WINDOWS)("strict") == "strict"
