import math

import pytest

from sidecar.core.events import Ban, Hit, Origin, Unban, Who
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.trust import Trust

ANN, BOB, SIX = Who("203.0.113.7"), Who("203.0.113.8"), Who("2001:db8:bad:1::/64")
SITE = Origin("docker", "blog", "stdout", ("login",))
LOGIN = Jail("login", maxretry=3, findtime=600, bantime=3600)
NOBODY = Trust()


def hits(*times, who=ANN, jail="login"):
    return [Hit(jail, who, at, SITE, f"line at {at}") for at in times]


def play(guard, events):
    """Feed a list of hits and clock ticks; return all that was decided."""
    return [d for e in events for d in (guard.hits([e], e.at) if isinstance(e, Hit) else guard.tick(e))]


def banned(who=ANN, at=2, until=3602):
    lines = tuple(f"line at {n}" for n in range(at - 2, at + 1))
    return Ban("login", who, at, until, "failures", failures=3, site="blog", evidence=lines)


def test_a_story_of_one_attacker():
    decided = play(Guard([LOGIN], NOBODY), [*hits(0, 1, 2, 3), 3601, 3602, 3603])

    assert decided == [banned(), Unban("login", ANN, 3602, "expired")]


def test_a_storm_is_decided_at_once():
    storm = [hit for n in range(1000) for hit in hits(0, 1, 2, who=Who(f"198.51.{n // 250}.{n % 250}"))]

    assert len(Guard([LOGIN], NOBODY).hits(storm, now=3)) == 1000


def test_those_who_may_never_be_banned_never_are():
    guard = Guard([LOGIN], Trust({"ignoreip": ["203.0.113.7"]}))

    assert play(guard, hits(0, 1, 2)) == []
    assert guard.ban(ANN, now=3) == []
    assert guard.ignored == {"ignoreip": 3}
    assert (guard.why(ANN), guard.why(BOB)) == ("ignoreip", None)


def test_a_jail_spares_its_own():
    spared = Jail("login", maxretry=1, ignoreip=("203.0.113.0/29",))
    guard = Guard([spared, Jail("probe", maxretry=1)], NOBODY)

    assert guard.hits([*hits(0), *hits(0, jail="probe")], now=0)[0].jail == "probe"
    assert (guard.why(ANN, "login"), guard.why(ANN)) == ("ignoreip", None)
    assert guard.ban(ANN, now=0, jail="login") == []


def test_who_is_banned_already_is_counted_no_more():
    guard = Guard([LOGIN], NOBODY)
    play(guard, hits(*range(10)))

    assert guard.ignored == {"banned already": 7}


def test_hits_of_a_jail_that_is_gone_ban_nobody():
    guard = Guard([LOGIN], NOBODY)

    assert play(guard, hits(0, 1, 2, jail="old")) == []
    assert guard.ignored == {"jail is gone": 3}


def test_a_backlog_is_not_a_burst():
    guard = Guard([LOGIN], NOBODY)

    assert guard.hits(hits(0, 301, 602, 903), now=10_000) == []


def test_an_old_burst_has_only_the_rest_of_its_ban_left():
    assert Guard([LOGIN], NOBODY).hits(hits(0, 1, 2), now=3000) == [banned()]


def test_a_burst_whose_ban_would_be_over_bans_nobody():
    guard = Guard([LOGIN], NOBODY)

    assert guard.hits(hits(0, 1, 2), now=3602) == []
    assert guard.ignored == {"over already": 1}


def test_a_clock_that_runs_ahead_bans_nobody_for_longer():
    (ban,) = Guard([LOGIN], NOBODY).hits(hits(9e9, 9e9, 9e9), now=10)

    assert (ban.at, ban.until) == (10, 3610)


def test_an_ipv6_customer_is_one():
    (ban,) = Guard([LOGIN], NOBODY).hits(hits(0, 1, 2, who=SIX), now=2)

    assert ban.who == SIX


def test_a_ban_by_hand_lasts_until_it_is_lifted():
    guard = Guard([LOGIN], NOBODY)

    assert guard.ban(ANN, now=0, lasting=math.inf, reason="spam") == [
        Ban("manual", ANN, 0, math.inf, "manual", reason="spam")
    ]
    assert guard.next_tick() == math.inf
    assert guard.bans[0].for_good
    assert guard.unban(ANN, now=9) == [Unban("manual", ANN, 9, "manual")]
    assert guard.unban(ANN, now=9) == []


def test_a_ban_by_hand_in_a_jail_lasts_as_long_as_its_others():
    assert Guard([LOGIN], NOBODY).ban(ANN, now=0, jail="login") == [Ban("login", ANN, 0, 3600, "manual")]


def test_a_ban_by_hand_never_shortens_one():
    guard = Guard([LOGIN], NOBODY)
    guard.ban(ANN, now=0, jail="login", lasting=100)

    assert guard.ban(ANN, now=0, jail="login", lasting=50) == []
    assert guard.ban(ANN, now=0, jail="login", lasting=200) == [Ban("login", ANN, 0, 200, "manual")]
    assert guard.tick(100) == []
    assert guard.tick(200) == [Unban("login", ANN, 200, "expired")]


def test_a_jail_that_does_not_exist_bans_nobody():
    with pytest.raises(KeyError):
        Guard([LOGIN], NOBODY).ban(ANN, now=0, jail="lgoin")


def test_unban_forgets_what_counted():
    guard = Guard([LOGIN], NOBODY)
    guard.hits(hits(0, 1), now=1)
    guard.unban(ANN, now=2)

    assert guard.hits(hits(3, 4), now=4) == []


def test_unban_of_one_leaves_the_others():
    guard = Guard([LOGIN], NOBODY)
    guard.ban(ANN, now=0)
    guard.unban(BOB, now=1)

    assert [ban.who for ban in guard.bans] == [ANN]


def test_unban_lets_in_everyone_or_a_network():
    guard = Guard([LOGIN], NOBODY)
    for who in (ANN, BOB, SIX):
        guard.ban(who, now=0, jail="login")

    assert guard.unban(Who("203.0.113.0/24"), now=1) == [
        Unban("login", who, 1, "manual") for who in (ANN, BOB)
    ]
    assert guard.unban(None, now=2, jail="manual") == []
    assert guard.unban(None, now=2) == [Unban("login", SIX, 2, "manual")]


def test_who_becomes_trusted_is_let_in():
    guard = Guard([LOGIN], NOBODY)
    guard.ban(ANN, now=0, jail="login")
    guard.ban(BOB, now=0, jail="login")

    assert guard.trusting(Trust({"ignoreip": ["203.0.113.7"]}), now=5) == [Unban("login", ANN, 5, "allowed")]
    assert [ban.who for ban in guard.bans] == [BOB]


def test_who_is_spared_since_the_ban_is_let_in():
    spared = Jail("login", ignoreip=("203.0.113.7",))
    guard = Guard([spared], NOBODY, bans=[banned(), banned(who=BOB)])

    assert guard.trusting(NOBODY, now=5) == [Unban("login", ANN, 5, "allowed")]
    assert [ban.who for ban in guard.bans] == [BOB]


def test_the_banned_networks_around_someone():
    guard = Guard([LOGIN], NOBODY)
    for net in ("203.0.113.0/24", "203.0.0.0/16", "203.0.113.7", "2001:db8:bad::/48", "198.51.100.0/24"):
        guard.ban(Who(net), now=0)

    assert guard.over(ANN) == ["203.0.0.0/16", "203.0.113.0/24"]
    assert guard.over(SIX) == ["2001:db8:bad::/48"]
    assert guard.over(Who("192.0.2.1")) == []


def test_why_a_failure_would_not_count():
    guard = Guard([LOGIN], Trust({"ignoreip": ["203.0.113.8"]}))
    guard.ban(ANN, now=0, jail="login")
    (of_ann,), (of_bob,), (of_six,), (of_old,) = (
        hits(1), hits(1, who=BOB), hits(1, who=SIX), hits(1, jail="old"),
    )  # fmt: skip

    assert [guard.ignores(each) for each in (of_ann, of_bob, of_six, of_old)] == [
        "banned already", "ignoreip", None, "jail is gone",
    ]  # fmt: skip


def probes(*targets, who=ANN):
    return [Hit("login", who, at, SITE, f"line at {at}", target) for at, target in enumerate(targets)]


def test_distinct_targets_count_and_repeats_of_one_do_not():
    guard = Guard([LOGIN], NOBODY)

    assert play(guard, probes("a", "a", "b", "a", "b", "b")) == []
    assert guard.ignored == {"the same target again": 4}
    (ban,) = play(guard, probes("a", "b", "c"))
    assert (ban.failures, ban.evidence) == (3, ("line at 0", "line at 2", "line at 2"))


def test_after_a_ban_old_targets_count_anew():
    guard = Guard([LOGIN], NOBODY)
    play(guard, probes("a", "b", "c"))
    guard.unban(ANN, now=3)

    assert [ban.who for ban in play(guard, probes("a", "b", "c"))] == [ANN]


def test_a_restart_remembers():
    before = Guard([LOGIN], NOBODY)
    before.hits([*hits(0, 1, 2), *hits(1, 2, who=BOB)], now=2)
    after = Guard([LOGIN], NOBODY, bans=before.bans)
    after.hits(hits(1, 2, who=BOB), now=3)

    assert after.bans == before.bans
    assert [ban.who for ban in after.hits(hits(4, who=BOB), now=4)] == [BOB]


def test_a_ban_outlives_its_jail():
    guard = Guard([], NOBODY, bans=[banned()])

    assert guard.tick(3602) == [Unban("login", ANN, 3602, "expired")]
    assert [jail.name for jail in guard.jails] == ["manual", "login"]


def test_who_went_quiet_is_forgotten():
    guard = Guard([LOGIN], NOBODY)
    guard.hits(hits(0, 1), now=1)
    guard.tick(10_000)

    assert guard.hits(hits(2), now=10_001) == []


def test_a_ten_year_attack_in_milliseconds():
    days = range(3650)
    story = [
        e for day in days for e in (*hits(*range(day * 86_400, day * 86_400 + 3)), (day + 1) * 86_400 - 1)
    ]
    guard = Guard([LOGIN], NOBODY)

    assert len(play(guard, story)) == 2 * 3650
    assert guard.bans == ()
