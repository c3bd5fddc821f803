import math
import random
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import Past
from sidecar.core.escalation import Escalation
from sidecar.core.events import Ban, Bypass, Forgiven, Hit, Origin, Unban
from sidecar.core.guard import AddressStatus, Figures, Guard
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides

ANN, BOB, SIX = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
SITE = Origin("docker", "blog", "stdout", ("login",))
LOGIN = Jail("login", maxretry=3, findtime=600, bantime=3600)
NOBODY = Allowlist()


def hits(*times, address=ANN, jail="login"):
    return [Hit(jail, address, at, SITE, f"line at {at}") for at in times]


def play(guard, events):
    """Feed a list of hits and clock ticks; return all that was decided."""
    return [d for e in events for d in (guard.hits([e], e.at) if isinstance(e, Hit) else guard.tick(e))]


def banned(address=ANN, at=2, until=3602):
    lines = tuple(f"line at {n}" for n in range(at - 2, at + 1))
    return Ban("login", address, at, until, "failures", failures=3, origin_name="blog", evidence=lines)


def banned_without_lines():
    return replace(banned(), evidence=())


def test_a_story_of_one_attacker():
    decided = play(Guard([LOGIN], NOBODY), [*hits(0, 1, 2, 3), 3601, 3602, 3603])

    assert decided == [banned(), Unban("login", ANN, 3602, "expired")]


def test_a_storm_is_decided_at_once():
    storm = [
        hit for n in range(1000) for hit in hits(0, 1, 2, address=Address(f"198.51.{n // 250}.{n % 250}"))
    ]

    assert len(Guard([LOGIN], NOBODY).hits(storm, now=3)) == 1000


def test_those_who_may_never_be_banned_never_are():
    guard = Guard([LOGIN], Allowlist({"ignoreip": ["203.0.113.7"]}))

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
    (ban,) = Guard([LOGIN], NOBODY).hits(hits(0, 1, 2, address=SIX), now=2)

    assert ban.address == SIX


def test_a_ban_by_hand_lasts_until_it_is_lifted():
    guard = Guard([LOGIN], NOBODY)

    assert guard.ban(ANN, now=0, lasting=math.inf, reason="spam") == [
        Ban("manual", ANN, 0, math.inf, "manual", reason="spam")
    ]
    assert guard.next_tick() == math.inf
    assert guard.bans[0].is_permanent
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


def test_a_ban_by_hand_does_not_forget_the_one_whose_place_it_takes():
    guard = Guard([LOGIN], NOBODY)
    guard.hits(hits(0, 1, 2), now=2)
    guard.ban(ANN, now=3, jail="login", lasting=9000)

    assert guard.times(ANN, now=9999) == {"login": 1}


def test_a_jail_that_does_not_exist_bans_nobody():
    with pytest.raises(KeyError):
        Guard([LOGIN], NOBODY).ban(ANN, now=0, jail="lgoin")


def test_unban_forgets_what_counted():
    guard = Guard([LOGIN], NOBODY)
    guard.hits(hits(0, 1), now=1)
    guard.unban(ANN, now=2)

    assert guard.hits(hits(3, 4), now=4) == []


def test_unban_of_everyone_forgets_what_counted_in_other_jails():
    guard = Guard([LOGIN, Jail("probe", maxretry=2)], NOBODY)
    guard.hits([*hits(0, 1, 2), *hits(2, jail="probe")], now=2)
    guard.unban(None, now=3)

    assert guard.hits(hits(4, jail="probe"), now=4) == []


def test_unban_of_one_leaves_the_others():
    guard = Guard([LOGIN], NOBODY)
    guard.ban(ANN, now=0)
    guard.unban(BOB, now=1)

    assert [ban.address for ban in guard.bans] == [ANN]


def test_unban_lets_in_everyone_or_a_network():
    guard = Guard([LOGIN], NOBODY)
    for address in (ANN, BOB, SIX):
        guard.ban(address, now=0, jail="login")

    assert guard.unban(Address("203.0.113.0/24"), now=1) == [
        Unban("login", address, 1, "manual") for address in (ANN, BOB)
    ]
    assert guard.unban(None, now=2, jail="manual") == []
    assert guard.unban(None, now=2) == [Unban("login", SIX, 2, "manual")]


def test_who_becomes_trusted_is_let_in():
    guard = Guard([LOGIN], NOBODY)
    guard.ban(ANN, now=0, jail="login")
    guard.ban(BOB, now=0, jail="login")

    assert guard.allowlisting(Allowlist({"ignoreip": ["203.0.113.7"]}), now=5) == [
        Unban("login", ANN, 5, "allowed")
    ]
    assert [ban.address for ban in guard.bans] == [BOB]


def test_who_is_spared_since_the_ban_is_let_in():
    spared = Jail("login", ignoreip=("203.0.113.7",))
    guard = Guard([spared], NOBODY, bans=[banned(), banned(address=BOB)])

    assert guard.allowlisting(NOBODY, now=5) == [Unban("login", ANN, 5, "allowed")]
    assert [ban.address for ban in guard.bans] == [BOB]


def test_the_banned_networks_around_someone():
    guard = Guard([LOGIN], NOBODY)
    for net in ("203.0.113.0/24", "203.0.0.0/16", "203.0.113.7", "2001:db8:bad::/48", "198.51.100.0/24"):
        guard.ban(Address(net), now=0)

    assert guard.over(ANN) == ["203.0.0.0/16", "203.0.113.0/24"]
    assert guard.over(SIX) == ["2001:db8:bad::/48"]
    assert guard.over(Address("192.0.2.1")) == []


def probes(*targets, address=ANN):
    return [Hit("login", address, at, SITE, f"line at {at}", target) for at, target in enumerate(targets)]


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

    assert [ban.address for ban in play(guard, probes("a", "b", "c"))] == [ANN]


def test_a_restart_remembers():
    before = Guard([LOGIN], NOBODY)
    before.hits([*hits(0, 1, 2), *hits(1, 2, address=BOB)], now=2)
    after = Guard([LOGIN], NOBODY, bans=before.bans)
    after.hits(hits(1, 2, address=BOB), now=3)

    assert after.bans == before.bans
    assert [ban.address for ban in after.hits(hits(4, address=BOB), now=4)] == [BOB]


def test_a_ban_outlives_its_jail():
    guard = Guard([], NOBODY, bans=[banned()])

    assert [jail.name for jail in guard.jails] == ["manual", "login"]
    assert guard.tick(3602) == [Unban("login", ANN, 3602, "expired")]
    assert [jail.name for jail in guard.jails] == ["manual"]


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


# Whoever comes back

DOUBLING = Jail("login", maxretry=3, findtime=600, bantime=600, escalation=Escalation(maxtime=86_400))


def lengths(guard, until, step=86_400, address=ANN):
    """An attack each day: how long each of its bans lasts."""
    days = range(0, int(until), step)
    decided = play(
        guard, [e for day in days for e in (*hits(day, day + 1, day + 2, address=address), day + step - 1)]
    )
    return [each.until - each.at for each in decided if isinstance(each, Ban)]


def test_each_ban_is_twice_the_last():
    assert lengths(Guard([DOUBLING], NOBODY), 5 * 86_400) == [600, 1200, 2400, 4800, 9600]


def test_who_stays_away_for_a_month_begins_anew():
    guard = Guard([DOUBLING], NOBODY)
    play(guard, [*hits(0, 1, 2), 602, *hits(1000, 1001), 3000])

    assert guard.times(ANN, now=3000) == {"login": 2}
    assert guard.times(ANN, now=40 * 86_400) == {}
    (ban,) = play(guard, hits(*(40 * 86_400 + n for n in range(3))))
    assert (ban.ban_count, ban.until - ban.at) == (1, 600)


def test_who_was_banned_before_has_fewer_tries():
    guard = Guard([DOUBLING], NOBODY)
    play(guard, [*hits(0, 1, 2), 602])

    assert [ban.ban_count for ban in play(guard, hits(1000, 1001))] == [2]


def test_bans_of_other_jails_count_where_a_jail_says_so():
    everywhere = Jail("probe", maxretry=1, bantime=600, escalation=Escalation(overalljails=True))
    guard = Guard([everywhere, DOUBLING], NOBODY)
    play(guard, hits(0, 1, 2))

    (ban,) = play(guard, hits(3, jail="probe"))
    assert (ban.ban_count, ban.until - ban.at) == (1, 1200)


def test_chance_lengthens_later_bans_only():
    jail = Jail("login", maxretry=1, bantime=600, escalation=Escalation(rndtime=100))

    assert lengths(Guard([jail], NOBODY, chance=lambda: 0.5), 3 * 86_400) == [600, 1250, 2450]


def test_former_bans_outlive_a_restart():
    past = [Past("login", ANN, 3, until=900.0)]

    (ban,) = play(Guard([DOUBLING], NOBODY, history=past), hits(1000, 1001))
    assert (ban.ban_count, ban.until - ban.at) == (4, 4800)


def test_unban_forgives_former_bans():
    guard = Guard([DOUBLING], NOBODY)
    play(guard, [*hits(0, 1, 2), 602])
    guard.unban(ANN, now=700)

    assert guard.times(ANN, now=700) == {}
    assert guard.unban(None, now=701) == []


# fail2ban's window


def test_a_jail_may_count_as_fail2ban_does():
    guard = Guard([Jail("login", maxretry=5, findtime=600, window="fail2ban")], NOBODY)
    slow, slower = hits(*range(0, 855, 171)), hits(*range(0, 9000, 172), address=BOB)

    assert [(ban.address, ban.at) for ban in play(guard, [*slow, *slower])] == [(ANN, 684)]


# Containers' labels


def test_a_containers_labels_go_over_the_jail():
    guard = Guard([LOGIN], NOBODY)
    guard.surround({"blog": Overrides({"maxretry": 2, "bantime": 60.0}, ignoreip=("203.0.113.8",))})

    (ban,) = play(guard, [*hits(0, 1), *hits(0, 1, 2, address=BOB)])
    assert (ban.address, ban.failures, ban.until) == (ANN, 2, 61)
    assert guard.ignored == {"ignoreip": 3}


def test_labels_hold_until_they_change():
    guard = Guard([LOGIN], NOBODY)
    guard.surround({"blog": Overrides({"maxretry": 1, "findtime": 9e9})})
    guard.surround({"shop": Overrides({"maxretry": 1})})

    assert [ban.at for ban in play(guard, hits(0, 1, 2))] == [2]


def test_failures_count_as_long_as_the_longest_findtime_asks():
    guard = Guard([LOGIN], NOBODY)
    guard.surround({"blog": Overrides({"findtime": 86_400.0})})

    assert guard.findtime == 600
    assert [ban.at for ban in play(guard, [*hits(0, 1), 5000, *hits(80_000)])] == [80_000]
    assert guard.findtime == 86_400


# Observing


def test_a_jail_that_observes_decides_and_keeps_nobody_out():
    guard = Guard([replace(LOGIN, observe=True)], NOBODY)

    assert play(guard, hits(0, 1, 2, 3, 500)) == [replace(banned(), dry_run=True)]
    assert guard.ignored == {"banned already": 2}
    assert guard.aside() == ((), ())  # who is only observed is no leak


def test_a_budget_that_is_spent_observes_until_it_recovers():
    spent, again = iter([True, False]), iter([False, True])
    guard = Guard([LOGIN], NOBODY, budget=lambda _: next(spent), again=lambda _: next(again))

    decided = play(guard, [*hits(0, 1, 2), *hits(0, 1, 2, 3, 4, address=BOB)])
    assert [(each.address, each.dry_run) for each in decided] == [(ANN, False), (BOB, True), (BOB, False)]


def test_who_was_only_observed_is_not_kept_out_for_a_login_that_worked():
    guard = Guard([LOGIN], NOBODY, budget=lambda _: False, again=lambda _: True)
    play(guard, hits(0, 1, 2))

    assert play(guard, [hits(3)[0]._replace(success=True)]) == []
    assert [ban.dry_run for ban in guard.bans] == [True]


def test_a_jail_that_observes_no_longer_keeps_out_whom_it_observed():
    guard = Guard([replace(LOGIN, observe=True)], NOBODY)
    play(guard, hits(0, 1, 2))

    assert guard.reconfigure([LOGIN], now=5) == [banned_without_lines()]
    assert guard.tick(3602) == [Unban("login", ANN, 3602, "expired")]


# Neighbours


def test_enough_banned_neighbours_are_a_ban_of_all():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=3)], NOBODY)
    decided = play(guard, [hit for n in range(1, 6) for hit in hits(n, address=Address(f"203.0.113.{n}"))])

    assert [(each.address, each.cause) for each in decided] == [
        ("203.0.113.1", "failures"), ("203.0.113.2", "failures"), ("203.0.113.3", "failures"), ("203.0.113.0/24", "group"),
    ]  # fmt: skip
    assert guard.ignored == {"banned already": 2}


def test_neighbours_of_whom_one_is_never_banned_are_not_banned_as_one():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=2)], Allowlist({"ignoreip": ["203.0.113.200"]}))

    assert [each.address for each in play(guard, [*hits(0), *hits(1, address=BOB)])] == [ANN, BOB]


def test_neighbours_whose_bans_are_over_do_not_count():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=2)], NOBODY)

    assert [
        type(each).__name__
        for each in play(
            guard,
            [
                *hits(0),
                3600,
                *hits(
                    3601,
                    address=BOB,
                ),
            ],
        )
    ] == ["Ban", "Unban", "Ban"]


def test_ipv6_customers_have_no_neighbours():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=1)], NOBODY)

    assert [each.address for each in play(guard, hits(0, address=SIX))] == [SIX]


# Doubts, leaks, successes


def test_who_may_not_be_who_it_says_is_not_banned():
    guard = Guard([LOGIN], NOBODY, doubts=lambda hit: "never seen here" if hit.address == ANN else None)

    assert [each.address for each in play(guard, [*hits(0, 1, 2), *hits(0, 1, 2, address=BOB)])] == [BOB]
    assert guard.ignored == {"never seen here": 1}


def test_who_is_banned_and_logged_all_the_same_is_a_leak_told_once():
    guard = Guard([LOGIN], NOBODY)
    play(guard, hits(0, 1, 2, 11))
    assert guard.aside() == ((), ())  # an answer that was under way
    play(guard, hits(13, 14))

    assert guard.aside() == ((Bypass("login", ANN, 13, "blog"),), ())
    assert guard.aside() == ((), ())


def test_a_leak_is_of_the_site_where_the_failures_were():
    guard = Guard([LOGIN], NOBODY)
    play(guard, hits(0, 1, 2))
    guard.hits([hits(50)[0]._replace(origin=Origin("docker", "shop"))], now=50)

    assert guard.aside() == ((), ())


def test_a_login_that_worked_forgives():
    guard = Guard([LOGIN], NOBODY)
    worked = hits(2)[0]._replace(success=True)

    assert play(guard, [*hits(0, 1), worked, *hits(3, 4)]) == []
    assert guard.aside() == ((), (Forgiven("login", ANN, 2),))


def test_unban_of_someone_who_only_failed_is_told():
    guard = Guard([LOGIN], NOBODY)
    guard.hits(hits(0, 1), now=1)

    assert guard.unban(ANN, now=2) == []
    assert guard.aside() == ((), (Forgiven("login", ANN, 2),))


# Other nodes' bans


def test_a_ban_of_another_node_holds_here():
    guard = Guard([LOGIN], NOBODY)
    far = replace(banned(), until=9e9)

    assert guard.shared([far, far], now=5) == [replace(far, until=3605, cause="fleet")]
    assert guard.unban(ANN, now=6, cause="fleet") == [Unban("login", ANN, 6, "fleet")]


def test_a_ban_of_another_node_bans_nobody_who_is_never_banned():
    guard = Guard([replace(LOGIN, ignoreip=("203.0.113.8",))], Allowlist({"ignoreip": ["203.0.113.7"]}))

    assert guard.shared([banned(), banned(address=BOB), replace(banned(address=SIX), until=4)], now=5) == []
    assert guard.ignored == {"ignoreip": 2}


def test_other_nodes_bans_do_not_use_the_ban_budget():
    asked = []
    guard = Guard([LOGIN], NOBODY, budget=asked.append)

    assert [ban.dry_run for ban in guard.shared([banned()], now=5)] == [False]
    assert asked == []


def test_other_nodes_bans_are_only_observed_where_the_jail_observes():
    guard = Guard([replace(LOGIN, observe=True)], NOBODY)

    assert [ban.dry_run for ban in guard.shared([banned()], now=5)] == [True]


def test_a_ban_in_a_jail_that_is_not_here_ends_as_it_should():
    guard = Guard([LOGIN], NOBODY)
    (ban,) = guard.shared([replace(banned(), jail="shop")], now=5)

    assert guard.hits(hits(6, jail="shop", address=BOB), now=6) == []
    assert guard.tick(ban.until) == [Unban("shop", ANN, ban.until, "expired")]


# Another configuration


def test_another_configuration_goes_on_with_what_counted():
    guard = Guard([LOGIN, Jail("probe")], NOBODY)
    guard.hits([*hits(0, 1), *hits(0, 1, 2, address=BOB)], now=2)
    assert guard.reconfigure([replace(LOGIN, maxretry=2), Jail("new", maxretry=1)], now=3) == []

    assert [(each.jail, each.address) for each in play(guard, [*hits(4), *hits(4, jail="new"), *hits(4, jail="probe")])] == [
        ("login", ANN), ("new", ANN),
    ]  # fmt: skip
    assert [ban.address for ban in guard.bans] == [BOB, ANN, ANN]
    assert guard.ignored == {"jail is gone": 1}


def test_whom_the_new_configuration_spares_is_let_in():
    guard = Guard([LOGIN], NOBODY)
    play(guard, [*hits(0, 1, 2), *hits(0, 1, 2, address=BOB)])

    assert guard.reconfigure([replace(LOGIN, ignoreip=("203.0.113.7",))], now=3) == [
        Unban("login", ANN, 3, "allowed")
    ]


def test_a_jail_that_left_keeps_its_bans_and_looks_at_nothing():
    guard = Guard([LOGIN], NOBODY)
    play(guard, hits(0, 1, 2))
    guard.reconfigure([], now=3)

    assert guard.hits(hits(4, 5, 6, address=BOB), now=6) == []
    assert guard.tick(3602) == [Unban("login", ANN, 3602, "expired")]


def test_another_way_to_count_begins_anew():
    guard = Guard([LOGIN], NOBODY)
    guard.hits(hits(0, 1), now=1)
    guard.reconfigure([replace(LOGIN, window="fail2ban")], now=2)

    assert guard.hits(hits(3, 4), now=4) == []
    assert [ban.at for ban in guard.hits(hits(5), now=5)] == [5]


def test_neighbours_are_counted_anew_where_a_jail_begins_to_ask():
    guard = Guard([replace(LOGIN, maxretry=1)], NOBODY)
    play(guard, hits(0))
    guard.reconfigure([replace(LOGIN, maxretry=1, bangroup=2)], now=1)

    assert [each.address for each in play(guard, hits(2, address=BOB))] == [BOB, "203.0.113.0/24"]


def test_how_full_it_is():
    guard = Guard([LOGIN], NOBODY, history=[Past("login", BOB, 1, 5.0)])
    assert guard.history == (Past("login", BOB, 1, 5.0),)
    guard.hits(hits(0), now=0)

    assert guard.figures == Figures({"login": 1, "manual": 0}, 0, 0, 1, 0)


def test_a_ban_that_was_lifted_before_its_jail_left_is_over():
    guard = Guard([LOGIN, Jail("probe")], NOBODY)
    guard.ban(ANN, now=0, jail="probe", lasting=10)
    guard.unban(ANN, now=1)
    guard.reconfigure([LOGIN], now=2)

    assert play(guard, [11]) == []


def test_whatever_jails_come_and_go_no_ban_ends_before_its_time():
    chance = random.Random(4)
    guard = Guard([LOGIN], NOBODY)
    everyone = [Address(f"203.0.113.{number}") for number in range(20)]
    ends: dict[tuple[str, Address], float] = {}
    for now in range(2_000):
        jails = [
            Jail(
                name,
                maxretry=chance.randint(1, 3),
                bantime=chance.randint(1, 200),
                bangroup=chance.choice((0, 4)),
            )
            for name in ("login", "probe", "mail")
            if chance.random() < 0.7
        ]
        decisions = guard.tick(now)
        if chance.random() < 0.1:
            decisions += guard.reconfigure(jails, now)
        if chance.random() < 0.05:
            decisions += guard.unban(chance.choice(everyone), now)
        for jail in ("login", "probe", "mail"):
            decisions += guard.hits(hits(now, address=chance.choice(everyone), jail=jail), now)
        for each in decisions:
            if isinstance(each, Ban):
                ends[each.jail, each.address] = each.until
            else:
                end = ends.pop((each.jail, each.address))
                assert each.cause == "manual" or end <= now
    assert {(ban.jail, ban.address): ban.until for ban in guard.bans} == ends
    assert len(ends) > 5


def test_how_someone_stands_with_each_jail():
    spared = Jail("mail", ignoreip=("203.0.113.8",))
    guard = Guard([LOGIN, spared], NOBODY, history=[Past("login", BOB, 4, 0)])
    play(guard, [*hits(0, 1, 2), *hits(0, 700, 701, address=BOB)])
    manual = guard.jails[-1]

    assert guard.statuses(ANN, 702) == [
        AddressStatus(LOGIN, None, 0, 1, banned_without_lines()),
        AddressStatus(spared, None, 0, 0, None),
        AddressStatus(manual, None, 0, 0, None),
    ]
    assert guard.statuses(BOB, 702) == [
        AddressStatus(LOGIN, None, 2, 4, None),
        AddressStatus(spared, "ignoreip", 0, 0, None),
        AddressStatus(manual, None, 0, 0, None),
    ]


def test_how_many_are_kept_out_by_jail_and_version():
    watched = Jail("watched", maxretry=1, observe=True)
    guard = Guard([LOGIN, watched], NOBODY)
    play(guard, [*hits(0, 1, 2), *hits(0, 1, 2, address=SIX), *hits(0, address=BOB, jail="watched")])

    assert {key: count for key, count in guard.active.items() if count} == {("login", 4): 1, ("login", 6): 1}
