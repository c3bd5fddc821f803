import math
import random
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import CONTAINERS, Allowlist
from sidecar.core.ban_history import PastBans
from sidecar.core.bantime_increment import Escalation
from sidecar.core.events import Ban, Bypass, Forgiven, Hit, IgnoredReason, Origin, Unban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from sidecar.core.refused_bans import RefusalReason

ANN, BOB, SIX = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
SITE = Origin("docker", "blog", "stdout", ("login",))
LOGIN = Jail("login", maxretry=3, findtime=600, bantime=3600)
ALLOWLIST = Allowlist()


class Budget:
    """Answers from two lists."""

    def __init__(self, allowed, allowed_again):
        self._allowed, self._again = allowed, allowed_again

    def allows(self, now, site):
        return next(self._allowed)

    def allows_again(self, now, site):
        return next(self._again)


class Packets:
    """A witness that saw packets of these addresses. With `unknown` it does not know about the others."""

    def __init__(self, *seen, unknown=False):
        self.seen_addresses, self._unknown, self.asked = set(seen), unknown, 0

    def seen(self, address):
        self.asked += 1
        return address in self.seen_addresses or (None if self._unknown else False)


class Half:
    def random(self):
        return 0.5


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
    decided = play(Guard([LOGIN], ALLOWLIST), [*hits(0, 1, 2, 3), 3601, 3602, 3603])

    assert decided == [banned(), Unban("login", ANN, 3602, "expired")]


def test_a_storm_is_decided_at_once():
    storm = [
        hit for n in range(1000) for hit in hits(0, 1, 2, address=Address(f"198.51.{n // 250}.{n % 250}"))
    ]

    guard = Guard([replace(LOGIN, aggregate=False)], ALLOWLIST)

    assert len(guard.hits(storm, now=3)) == 1000


def test_an_address_on_the_allowlist_is_never_banned():
    guard = Guard([LOGIN], Allowlist({"ignoreip": ["203.0.113.7"]}))

    assert play(guard, hits(0, 1, 2)) == []
    assert guard.ban(ANN, now=3) == []
    assert guard.view.ignored == {"ignoreip": 3}
    assert (guard.view.allowlist_reason(ANN), guard.view.allowlist_reason(BOB)) == ("ignoreip", None)


def test_a_jails_ignoreip_holds_in_that_jail_only():
    exempting = Jail("login", maxretry=1, ignoreip=("203.0.113.0/29",))
    guard = Guard([exempting, Jail("probe", maxretry=1)], ALLOWLIST)

    assert guard.hits([*hits(0), *hits(0, jail="probe")], now=0)[0].jail == "probe"
    assert (guard.view.allowlist_reason(ANN, "login"), guard.view.allowlist_reason(ANN)) == ("ignoreip", None)
    assert guard.ban(ANN, now=0, jail="login") == []


def test_hits_of_a_banned_address_do_not_count():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, hits(*range(10)))

    assert guard.view.ignored == {"banned already": 7}


def test_hits_of_an_unknown_jail_do_not_count():
    guard = Guard([LOGIN], ALLOWLIST)

    assert play(guard, hits(0, 1, 2, jail="old")) == []
    assert guard.view.ignored == {"jail is gone": 3}


def test_a_backlog_is_not_a_burst():
    guard = Guard([LOGIN], ALLOWLIST)

    assert guard.hits(hits(0, 301, 602, 903), now=10_000) == []


def test_an_old_burst_has_only_the_rest_of_its_ban_left():
    assert Guard([LOGIN], ALLOWLIST).hits(hits(0, 1, 2), now=3000) == [banned()]


def test_a_burst_whose_ban_would_be_over_bans_nobody():
    guard = Guard([LOGIN], ALLOWLIST)

    assert guard.hits(hits(0, 1, 2), now=3602) == []
    assert guard.view.ignored == {"over already": 1}


def test_a_clock_that_runs_ahead_bans_nobody_for_longer():
    (ban,) = Guard([LOGIN], ALLOWLIST).hits(hits(9e9, 9e9, 9e9), now=10)

    assert (ban.at, ban.until) == (10, 3610)


def test_an_ipv6_customer_is_banned_as_one_network():
    (ban,) = Guard([LOGIN], ALLOWLIST).hits(hits(0, 1, 2, address=SIX), now=2)

    assert ban.address == SIX


def test_a_permanent_ban_by_hand_lasts_until_it_is_lifted():
    guard = Guard([LOGIN], ALLOWLIST)

    assert guard.ban(ANN, now=0, bantime=math.inf, reason="spam") == [
        Ban("manual", ANN, 0, math.inf, "manual", reason="spam")
    ]
    assert guard.next_tick() == math.inf
    assert guard.view.bans[0].is_permanent
    assert guard.unban(ANN, now=9) == [Unban("manual", ANN, 9, "manual")]
    assert guard.unban(ANN, now=9) == []


def test_a_ban_by_hand_lasts_the_jails_bantime_by_default():
    assert Guard([LOGIN], ALLOWLIST).ban(ANN, now=0, jail="login") == [Ban("login", ANN, 0, 3600, "manual")]


def test_a_ban_by_hand_never_shortens_one():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.ban(ANN, now=0, jail="login", bantime=100)

    assert guard.ban(ANN, now=0, jail="login", bantime=50) == []
    assert guard.ban(ANN, now=0, jail="login", bantime=200) == [Ban("login", ANN, 0, 200, "manual")]
    assert guard.tick(100) == []
    assert guard.tick(200) == [Unban("login", ANN, 200, "expired")]


def test_a_ban_by_hand_keeps_the_history_of_the_ban_it_replaces():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.hits(hits(0, 1, 2), now=2)
    guard.ban(ANN, now=3, jail="login", bantime=9000)

    assert guard.view.ban_counts(ANN, now=9999) == {"login": 1}


def test_a_ban_by_hand_in_an_unknown_jail_is_a_key_error():
    with pytest.raises(KeyError):
        Guard([LOGIN], ALLOWLIST).ban(ANN, now=0, jail="lgoin")


def test_an_unban_clears_the_failures():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.hits(hits(0, 1), now=1)
    guard.unban(ANN, now=2)

    assert guard.hits(hits(3, 4), now=4) == []


def test_an_unban_of_all_clears_the_failures_in_every_jail():
    guard = Guard([LOGIN, Jail("probe", maxretry=2)], ALLOWLIST)
    guard.hits([*hits(0, 1, 2), *hits(2, jail="probe")], now=2)
    guard.unban(None, now=3)

    assert guard.hits(hits(4, jail="probe"), now=4) == []


def test_an_unban_of_one_address_leaves_the_other_bans():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.ban(ANN, now=0)
    guard.unban(BOB, now=1)

    assert [ban.address for ban in guard.view.bans] == [ANN]


def test_an_unban_of_the_past_ends_no_later_ban_and_clears_no_failures():
    guard = Guard([replace(LOGIN, maxretry=1), replace(LOGIN, name="slow", maxretry=2)], ALLOWLIST)
    guard.hits([*hits(1, address=BOB), *hits(5, address=SIX), *hits(6, jail="slow")], now=6)

    assert guard.unban(None, now=7, made_until=4) == [Unban("login", BOB, 7, "manual")]
    assert guard.unban(ANN, now=7, made_until=4) == []
    assert [ban.address for ban in guard.hits(hits(8, jail="slow"), now=8)] == [ANN]


def test_an_unban_is_for_one_network_or_for_all():
    guard = Guard([LOGIN], ALLOWLIST)
    for address in (ANN, BOB, SIX):
        guard.ban(address, now=0, jail="login")

    assert guard.unban(Address("203.0.113.0/24"), now=1) == [
        Unban("login", address, 1, "manual") for address in (ANN, BOB)
    ]
    assert guard.unban(None, now=2, jail="manual") == []
    assert guard.unban(None, now=2) == [Unban("login", SIX, 2, "manual")]


def test_an_address_that_joins_the_allowlist_is_unbanned():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.ban(ANN, now=0, jail="login")
    guard.ban(BOB, now=0, jail="login")

    assert guard.set_allowlist(Allowlist({"ignoreip": ["203.0.113.7"]}), now=5) == [
        Unban("login", ANN, 5, "allowed")
    ]
    assert [ban.address for ban in guard.view.bans] == [BOB]


def test_a_container_network_ends_no_ban():
    """Whoever may make a network would lift any ban with one that lasts for a second."""
    guard = Guard([LOGIN], ALLOWLIST)
    guard.ban(ANN, now=0, jail="login")

    assert guard.set_allowlist(Allowlist({CONTAINERS: ["203.0.113.0/24"]}), now=5) == []
    assert [ban.address for ban in guard.view.bans] == [ANN]


def test_an_address_in_the_jails_ignoreip_is_unbanned_with_the_next_allowlist():
    exempting = Jail("login", ignoreip=("203.0.113.7",))
    guard = Guard([exempting], ALLOWLIST, bans=[banned(), banned(address=BOB)])

    assert guard.set_allowlist(ALLOWLIST, now=5) == [Unban("login", ANN, 5, "allowed")]
    assert [ban.address for ban in guard.view.bans] == [BOB]


def probes(*targets, address=ANN):
    return [Hit("login", address, at, SITE, f"line at {at}", target) for at, target in enumerate(targets)]


def test_distinct_targets_count_and_repeats_of_one_do_not():
    guard = Guard([LOGIN], ALLOWLIST)

    assert play(guard, probes("a", "a", "b", "a", "b", "b")) == []
    assert guard.view.ignored == {"the same target again": 4}
    (ban,) = play(guard, probes("a", "b", "c"))
    assert (ban.failures, ban.evidence) == (3, ("line at 0", "line at 2", "line at 2"))


def test_after_a_ban_the_same_targets_count_again():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, probes("a", "b", "c"))
    guard.unban(ANN, now=3)

    assert [ban.address for ban in play(guard, probes("a", "b", "c"))] == [ANN]


def test_a_restart_remembers():
    before = Guard([LOGIN], ALLOWLIST)
    before.hits([*hits(0, 1, 2), *hits(1, 2, address=BOB)], now=2)
    after = Guard([LOGIN], ALLOWLIST, bans=before.view.bans)
    after.hits(hits(1, 2, address=BOB), now=3)

    assert after.view.bans == before.view.bans
    assert [ban.address for ban in after.hits(hits(4, address=BOB), now=4)] == [BOB]


def test_a_ban_outlives_its_jail():
    guard = Guard([], ALLOWLIST, bans=[banned()])

    assert [jail.name for jail in guard.view.jails] == ["manual", "login"]
    assert guard.tick(3602) == [Unban("login", ANN, 3602, "expired")]
    assert [jail.name for jail in guard.view.jails] == ["manual"]


def test_old_failures_are_forgotten():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.hits(hits(0, 1), now=1)
    guard.tick(10_000)

    assert guard.hits(hits(2), now=10_001) == []


def test_a_ten_year_attack_in_milliseconds():
    days = range(3650)
    story = [
        e for day in days for e in (*hits(*range(day * 86_400, day * 86_400 + 3)), (day + 1) * 86_400 - 1)
    ]
    guard = Guard([LOGIN], ALLOWLIST)

    assert len(play(guard, story)) == 2 * 3650
    assert guard.view.bans == ()


# Escalating ban times

DOUBLING = Jail("login", maxretry=3, findtime=600, bantime=600, escalation=Escalation(maxtime=86_400))


def lengths(guard, until, step=86_400, address=ANN):
    """An attack each day: how long each of its bans lasts."""
    days = range(0, int(until), step)
    decided = play(
        guard, [e for day in days for e in (*hits(day, day + 1, day + 2, address=address), day + step - 1)]
    )
    return [each.until - each.at for each in decided if isinstance(each, Ban)]


def test_each_ban_lasts_twice_as_long_as_the_last():
    assert lengths(Guard([DOUBLING], ALLOWLIST), 5 * 86_400) == [600, 1200, 2400, 4800, 9600]


def test_former_bans_are_forgotten_after_a_month():
    guard = Guard([DOUBLING], ALLOWLIST)
    play(guard, [*hits(0, 1, 2), 602, *hits(1000, 1001), 3000])

    assert guard.view.ban_counts(ANN, now=3000) == {"login": 2}
    assert guard.view.ban_counts(ANN, now=40 * 86_400) == {}
    (ban,) = play(guard, hits(*(40 * 86_400 + n for n in range(3))))
    assert (ban.ban_count, ban.until - ban.at) == (1, 600)


def test_each_failure_counts_for_more_after_a_ban():
    guard = Guard([DOUBLING], ALLOWLIST)
    play(guard, [*hits(0, 1, 2), 602])

    assert [ban.ban_count for ban in play(guard, hits(1000, 1001))] == [2]


def test_bans_of_other_jails_count_with_overalljails():
    everywhere = Jail("probe", maxretry=1, bantime=600, escalation=Escalation(overalljails=True))
    guard = Guard([everywhere, DOUBLING], ALLOWLIST)
    play(guard, hits(0, 1, 2))

    (ban,) = play(guard, hits(3, jail="probe"))
    assert (ban.ban_count, ban.until - ban.at) == (1, 1200)


def test_rndtime_lengthens_later_bans_only():
    jail = Jail("login", maxretry=1, bantime=600, escalation=Escalation(rndtime=100))

    assert lengths(Guard([jail], ALLOWLIST, chance=Half()), 3 * 86_400) == [600, 1250, 2450]


def test_former_bans_survive_a_restart():
    past = [PastBans("login", ANN, 3, until=900.0)]

    (ban,) = play(Guard([DOUBLING], ALLOWLIST, history=past), hits(1000, 1001))
    assert (ban.ban_count, ban.until - ban.at) == (4, 4800)


def test_a_reload_may_change_how_long_former_bans_are_remembered():
    guard = Guard([DOUBLING], ALLOWLIST, history=[PastBans("login", ANN, 3, until=900.0)])
    guard.reconfigure([DOUBLING], now=950, history_age_s=60)
    assert guard.view.ban_counts(ANN, now=959) == {"login": 3}

    guard.reconfigure([DOUBLING], now=970)
    assert guard.view.ban_counts(ANN, now=970) == {}


def test_an_unban_forgets_former_bans():
    guard = Guard([DOUBLING], ALLOWLIST)
    play(guard, [*hits(0, 1, 2), 602])
    guard.unban(ANN, now=700)

    assert guard.view.ban_counts(ANN, now=700) == {}
    assert guard.unban(None, now=701) == []


# fail2ban's window


def test_a_jail_may_count_as_fail2ban_does():
    guard = Guard([Jail("login", maxretry=5, findtime=600, window="fail2ban")], ALLOWLIST)
    slow, slower = hits(*range(0, 855, 171)), hits(*range(0, 9000, 172), address=BOB)

    assert [(ban.address, ban.at) for ban in play(guard, [*slow, *slower])] == [(ANN, 684)]


# Container labels


def test_a_containers_labels_override_the_jail():
    guard = Guard([LOGIN], ALLOWLIST)
    labels = Overrides({"maxretry": 2, "bantime": 60.0}, ignoreip=("203.0.113.8",), limited=False)
    guard.set_overrides({"blog": labels})

    (ban,) = play(guard, [*hits(0, 1), *hits(0, 1, 2, address=BOB)])
    assert (ban.address, ban.failures, ban.until) == (ANN, 2, 61)
    assert guard.view.ignored == {"ignoreip": 3}


def test_overrides_hold_until_they_change():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.set_overrides({"blog": Overrides({"maxretry": 1, "findtime": 9e9})})
    guard.set_overrides({"shop": Overrides({"maxretry": 1})})

    assert [ban.at for ban in play(guard, hits(0, 1, 2))] == [2]


def test_failures_are_kept_for_the_longest_findtime():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.set_overrides({"blog": Overrides({"findtime": 86_400.0})})

    assert guard.view.longest_findtime == 600
    assert [ban.at for ban in play(guard, [*hits(0, 1), 5000, *hits(80_000)])] == [80_000]
    assert guard.view.longest_findtime == 86_400


# Dry runs


def test_a_jail_in_mode_observe_makes_dry_runs():
    guard = Guard([replace(LOGIN, observe=True)], ALLOWLIST)

    assert play(guard, hits(0, 1, 2, 3, 500)) == [replace(banned(), dry_run=True)]
    assert guard.view.ignored == {"banned already": 2}
    assert guard.take_noticed() == ((), ())  # a dry run drops nothing, so nothing bypasses it


def test_bans_beyond_the_budget_are_dry_runs_until_it_recovers():
    spent, again = iter([True, False]), iter([False, True])
    guard = Guard([LOGIN], ALLOWLIST, budget=Budget(spent, again))

    decided = play(guard, [*hits(0, 1, 2), *hits(0, 1, 2, 3, 4, address=BOB)])
    assert [(each.address, each.dry_run) for each in decided] == [(ANN, False), (BOB, True), (BOB, False)]


def test_a_login_that_works_does_not_enforce_a_dry_run():
    guard = Guard([LOGIN], ALLOWLIST, budget=Budget(iter([False]), iter([True])))
    play(guard, hits(0, 1, 2))

    assert play(guard, [hits(3)[0]._replace(success=True)]) == []
    assert [ban.dry_run for ban in guard.view.bans] == [True]


def test_dry_runs_are_enforced_once_their_jail_enforces():
    guard = Guard([replace(LOGIN, observe=True)], ALLOWLIST)
    play(guard, hits(0, 1, 2))

    assert guard.reconfigure([LOGIN], now=5) == [banned_without_lines()]
    assert guard.tick(3602) == [Unban("login", ANN, 3602, "expired")]


# Banned neighbourhoods


def test_enough_banned_hosts_are_a_ban_of_their_24():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=3)], ALLOWLIST)
    decided = play(guard, [hit for n in range(1, 6) for hit in hits(n, address=Address(f"203.0.113.{n}"))])

    assert [(each.address, each.cause) for each in decided] == [
        ("203.0.113.1", "failures"), ("203.0.113.2", "failures"), ("203.0.113.3", "failures"), ("203.0.113.0/24", "group"),
    ]  # fmt: skip
    assert decided[-1].reason == "3 of its addresses are banned, the last is 203.0.113.3"
    assert guard.view.ignored == {"banned already": 2}


def test_a_24_with_an_allowlisted_host_is_not_banned():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=2)], Allowlist({"ignoreip": ["203.0.113.200"]}))

    assert [each.address for each in play(guard, [*hits(0), *hits(1, address=BOB)])] == [ANN, BOB]


def test_expired_bans_do_not_count_towards_a_24():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=2)], ALLOWLIST)

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


def test_ipv6_customers_have_no_neighbourhood():
    guard = Guard([replace(LOGIN, maxretry=1, bangroup=1)], ALLOWLIST)

    assert [each.address for each in play(guard, hits(0, address=SIX))] == [SIX]


# Witnesses


@pytest.mark.parametrize(
    ("unknown", "reason"), [(False, RefusalReason.NEVER_SEEN), (True, RefusalReason.UNKNOWN)]
)
def test_an_address_that_sent_no_packet_is_not_banned(unknown, reason):
    guard = Guard([LOGIN], ALLOWLIST, witness=Packets(BOB, unknown=unknown))

    assert [each.address for each in play(guard, [*hits(0, 1, 2), *hits(0, 1, 2, address=BOB)])] == [BOB]
    assert guard.view.ignored == {reason: 1}
    assert guard.view.refused_totals == {reason: 1}
    (refused,) = guard.view.refused_bans
    assert (refused.address, refused.reason, refused.failures) == (ANN, reason, 3)
    assert guard.view.statuses(ANN, 2)[0].refused == refused


@pytest.mark.parametrize("window", ["sliding", "fail2ban"])
@pytest.mark.parametrize("maxretry", [1, 3])
def test_failures_before_the_first_packet_count_once_there_is_one(window, maxretry):
    packets = Packets()
    guard = Guard([replace(LOGIN, window=window, maxretry=maxretry)], ALLOWLIST, witness=packets)
    assert play(guard, hits(0, 1, 2, 3, 4)) == []
    packets.seen_addresses.add(ANN)

    (ban,) = play(guard, hits(300))
    assert (ban.address, ban.at, ban.evidence[-1]) == (ANN, 300, "line at 300")
    assert len(ban.evidence) == maxretry
    assert guard.view.refused_bans == ()


def test_failures_that_were_refused_count_no_longer_than_others():
    packets = Packets()
    guard = Guard([LOGIN], ALLOWLIST, witness=packets)
    play(guard, hits(0, 1, 2))
    packets.seen_addresses.add(ANN)

    assert play(guard, [700, *hits(800)]) == []
    assert guard.view.refused_bans == ()


def test_a_flood_of_lines_that_name_a_stranger_asks_the_witness_once_a_second():
    packets = Packets()
    guard = Guard([LOGIN], ALLOWLIST, witness=packets)
    for tenth in range(100):
        guard.hits([hits(0)[0]._replace(at=tenth / 10)], now=tenth / 10)

    assert 8 <= packets.asked <= 11
    (refused,) = guard.view.refused_bans
    assert refused.failures == 100
    assert guard.view.refused_totals == {RefusalReason.NEVER_SEEN: 1}


def test_a_ban_without_a_witness_is_handed_on_for_other_hosts_until_one_of_them_bans():
    guard = Guard([LOGIN], ALLOWLIST, witness=Packets(BOB))
    guard.hits(hits(0, 1, 2), now=2)
    (refused,) = guard.take_refused()
    assert (refused.jail, refused.address, refused.failures) == ("login", ANN, 3)
    assert guard.take_refused() == ()
    assert (guard.saw_packet(ANN), guard.saw_packet(BOB)) == (False, True)

    (ban,) = guard.ban_from_fleet([Ban("login", ANN, 2, 500, "fleet")], now=3)
    assert (ban.address, list(guard.view.refused_bans)) == (ANN, [])


def test_a_jail_without_a_witness_believes_its_logs():
    guard = Guard([replace(LOGIN, witness=False)], ALLOWLIST, witness=Packets())

    assert play(guard, hits(0, 1, 2)) == [banned()]


def test_bans_by_hand_of_other_nodes_and_of_the_last_run_need_no_witness():
    restored = replace(banned(address=BOB), until=9_999)
    guard = Guard([LOGIN], ALLOWLIST, [restored], witness=Packets())
    theirs = replace(banned(address=SIX), until=9_999)

    assert len(guard.ban(ANN, now=2)) == 1
    assert len(guard.ban_from_fleet([theirs], now=2)) == 1
    assert {ban.address for ban in guard.view.bans} == {ANN, BOB, SIX}


def test_an_unban_forgets_a_refused_ban():
    packets = Packets()
    guard = Guard([LOGIN], ALLOWLIST, witness=packets)
    play(guard, hits(0, 1, 2))
    guard.unban(ANN, now=3)
    packets.seen_addresses.add(ANN)

    assert guard.view.refused_bans == ()
    assert play(guard, hits(4, 5)) == []


# Proxies


def through(peer, *times, address=ANN, success=False):
    return [hit._replace(peer=peer, success=success) for hit in hits(*times, address=address)]


def test_a_client_behind_a_proxy_is_not_banned_and_neither_is_the_proxy():
    guard = Guard([LOGIN], ALLOWLIST)

    assert play(guard, through("198.51.100.9", *range(50))) == []
    assert guard.view.ignored == {IgnoredReason.BEHIND_PROXY: 50}
    assert guard.view.bans == ()


def login(at, address=ANN):
    return hits(at, address=address)[0]._replace(success=True)


def test_a_public_balancer_of_200_people_is_not_banned():
    jail = replace(LOGIN, maxretry=5, findtime=10_800)
    for seed in range(50):
        events = [True] * 195 + [False] * 5
        random.Random(seed).shuffle(events)
        guard = Guard([jail], ALLOWLIST)
        played = [login(at) if worked else hits(at)[0] for at, worked in enumerate(events)]

        assert play(guard, played) == []


def test_an_office_with_second_factors_is_not_banned_and_is_reported():
    """The form for the second factor is answered 200, as a wrong password is; then people work in wp-admin."""
    jail = replace(LOGIN, maxretry=5, findtime=10_800)
    guard = Guard([jail], ALLOWLIST)
    for person in range(45):
        at = person * 60
        assert play(guard, [*hits(at), login(at + 1), login(at + 2), login(at + 3)]) == []

    (refused,) = guard.view.refused_bans
    assert refused.reason == RefusalReason.PROBABLE_PROXY


def test_a_busy_office_is_reported_before_it_is_banned():
    jail = replace(LOGIN, maxretry=5, findtime=10_800)
    guard = Guard([jail], ALLOWLIST)
    play(guard, [login(at) for at in range(40)])

    assert play(guard, hits(*range(50, 55))) == []
    assert [each.reason for each in guard.view.refused_bans] == [RefusalReason.PROBABLE_PROXY]
    assert guard.view.ignored == {RefusalReason.PROBABLE_PROXY: 1}
    # As many failures again are too many for so many logins.
    assert play(guard, hits(*range(60, 80)))
    assert guard.view.refused_bans == ()


@pytest.mark.parametrize("proofs", [1, 3, 50])
def test_an_attacker_with_an_account_does_not_guess_for_ever(proofs):
    """He logs in to his own account after every fourth guess, and even looks at many pages."""
    jail = replace(LOGIN, maxretry=5, findtime=10_800)
    guard = Guard([jail], ALLOWLIST)
    guesses, at, bans = 0, 0.0, []
    while not bans and guesses < 1_000:
        for _ in range(4):
            guesses, at = guesses + 1, at + 1
            bans += play(guard, hits(at))
        for _ in range(proofs):
            at += 1
            bans += play(guard, [login(at)])
    assert guesses <= (20 if proofs == 1 else 56)


def test_a_mistype_each_week_is_always_forgiven():
    guard = Guard([replace(LOGIN, findtime=86_400 * 30)], ALLOWLIST)
    day = 86_400

    assert (
        play(guard, [each for n in range(400) for each in (*hits(n * 7 * day), login(n * 7 * day + 9))]) == []
    )


def test_beyond_what_is_excused_a_proof_of_login_clears_nothing():
    guard = Guard([LOGIN], ALLOWLIST)
    for at in range(0, 45, 5):
        play(guard, [*hits(at), login(at + 1)])
    play(guard, hits(50, 51))
    guard.take_noticed()

    assert play(guard, [login(52)]) == []
    assert guard.take_noticed() == ((), ())
    assert [ban.address for ban in play(guard, hits(53))] == [ANN]


def test_a_proof_of_login_does_not_lift_a_ban():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, hits(0, 1, 2))

    assert play(guard, [login(3), login(20)]) == []
    assert [ban.address for ban in guard.view.bans] == [ANN]


def test_the_peer_of_several_clients_is_reported_before_it_is_banned():
    guard = Guard([LOGIN], ALLOWLIST)
    for number in range(3):
        play(guard, through(BOB, 0, address=Address(f"192.0.2.{number}")))

    assert play(guard, hits(1, 2, 3, address=BOB)) == []
    assert [(each.address, each.reason) for each in guard.view.refused_bans] == [
        (BOB, RefusalReason.PROBABLE_PROXY)
    ]
    # A server that trusts any peer lets an attacker name clients, but not guess for ever.
    assert play(guard, hits(*range(4, 40), address=BOB))


# Bypassed bans, logins that work


def test_a_client_behind_a_proxy_is_not_banned_but_its_login_counts():
    guard = Guard([LOGIN], ALLOWLIST)
    proxied = [hit._replace(peer="198.51.100.1") for hit in hits(0, 1, 2)]

    assert play(guard, proxied) == []
    assert guard.view.ignored == {"the client is behind a proxy": 3}

    worked = hits(4)[0]._replace(success=True, peer="198.51.100.1")
    assert play(guard, [*hits(3), worked, *hits(5, 6)]) == []
    assert guard.take_noticed() == ((), (Forgiven("login", ANN, 4),))


def test_a_banned_address_that_is_logged_later_is_one_bypass():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, hits(0, 1, 2, 11))
    assert guard.take_noticed() == ((), ())  # the response to a request that was under way
    play(guard, hits(13, 14))

    assert guard.take_noticed() == ((Bypass("login", ANN, 13, "blog"),), ())
    assert guard.take_noticed() == ((), ())


def test_hits_before_the_time_from_which_they_count_are_ignored():
    guard = Guard([LOGIN], ALLOWLIST, counts_from=2)

    assert play(guard, hits(0, 1, 2, 3)) == []
    assert guard.view.ignored == {"before the start, without a store": 2}
    assert [each.address for each in play(guard, hits(4))] == [ANN]


def test_a_dismissed_bypass_does_not_hide_the_next_one():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, hits(0, 1, 2, 13))
    (bypass,), _ = guard.take_noticed()
    guard.dismiss_bypass(bypass)
    guard.dismiss_bypass(replace(bypass, jail="gone"))
    play(guard, hits(14))

    assert guard.take_noticed() == ((replace(bypass, at=14),), ())


def test_a_bypass_is_noticed_at_the_container_of_the_ban_only():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, hits(0, 1, 2))
    guard.hits([hits(50)[0]._replace(origin=Origin("docker", "shop"))], now=50)

    assert guard.take_noticed() == ((), ())


def test_a_login_that_works_clears_the_failures():
    guard = Guard([LOGIN], ALLOWLIST)
    worked = hits(2)[0]._replace(success=True)

    assert play(guard, [*hits(0, 1), worked, *hits(3, 4)]) == []
    assert guard.take_noticed() == ((), (Forgiven("login", ANN, 2),))


def test_an_unban_reports_failures_that_it_clears():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.hits(hits(0, 1), now=1)

    assert guard.unban(ANN, now=2) == []
    assert guard.take_noticed() == ((), (Forgiven("login", ANN, 2),))


# Bans of other nodes


def test_a_ban_of_another_node_holds_here():
    guard = Guard([LOGIN], ALLOWLIST)
    far = replace(banned(), until=9e9)

    assert guard.ban_from_fleet([far, far], now=5) == [replace(far, until=3605, cause="fleet")]
    assert guard.unban(ANN, now=6, cause="fleet") == [Unban("login", ANN, 6, "fleet")]


def test_a_ban_of_another_node_respects_the_allowlists_here():
    guard = Guard([replace(LOGIN, ignoreip=("203.0.113.8",))], Allowlist({"ignoreip": ["203.0.113.7"]}))

    assert (
        guard.ban_from_fleet([banned(), banned(address=BOB), replace(banned(address=SIX), until=4)], now=5)
        == []
    )
    assert guard.view.ignored == {"ignoreip": 2}


def test_other_nodes_bans_do_not_use_the_ban_budget():
    nothing_left = Budget(iter([]), iter([]))
    guard = Guard([LOGIN], ALLOWLIST, budget=nothing_left)

    assert [ban.dry_run for ban in guard.ban_from_fleet([banned()], now=5)] == [False]


def test_other_nodes_bans_are_dry_runs_where_the_jail_observes():
    guard = Guard([replace(LOGIN, observe=True)], ALLOWLIST)

    assert [ban.dry_run for ban in guard.ban_from_fleet([banned()], now=5)] == [True]


def test_a_ban_of_another_node_in_an_unknown_jail_ends_at_its_time():
    guard = Guard([LOGIN], ALLOWLIST)
    (ban,) = guard.ban_from_fleet([replace(banned(), jail="shop")], now=5)

    assert guard.hits(hits(6, jail="shop", address=BOB), now=6) == []
    assert guard.tick(ban.until) == [Unban("shop", ANN, ban.until, "expired")]


# Reloads


def test_failures_go_on_counting_after_a_reload():
    guard = Guard([LOGIN, Jail("probe")], ALLOWLIST)
    guard.hits([*hits(0, 1), *hits(0, 1, 2, address=BOB)], now=2)
    assert guard.reconfigure([replace(LOGIN, maxretry=2), Jail("new", maxretry=1)], now=3) == []

    assert [(each.jail, each.address) for each in play(guard, [*hits(4), *hits(4, jail="new"), *hits(4, jail="probe")])] == [
        ("login", ANN), ("new", ANN),
    ]  # fmt: skip
    assert [ban.address for ban in guard.view.bans] == [BOB, ANN, ANN]
    assert guard.view.ignored == {"jail is gone": 1}


def test_an_address_in_the_new_ignoreip_is_unbanned():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, [*hits(0, 1, 2), *hits(0, 1, 2, address=BOB)])

    assert guard.reconfigure([replace(LOGIN, ignoreip=("203.0.113.7",))], now=3) == [
        Unban("login", ANN, 3, "allowed")
    ]


def test_a_removed_jail_keeps_its_bans_and_counts_nothing():
    guard = Guard([LOGIN], ALLOWLIST)
    play(guard, hits(0, 1, 2))
    guard.reconfigure([], now=3)

    assert guard.hits(hits(4, 5, 6, address=BOB), now=6) == []
    assert guard.tick(3602) == [Unban("login", ANN, 3602, "expired")]


def test_another_window_begins_to_count_again():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.hits(hits(0, 1), now=1)
    guard.reconfigure([replace(LOGIN, window="fail2ban")], now=2)

    assert guard.hits(hits(3, 4), now=4) == []
    assert [ban.at for ban in guard.hits(hits(5), now=5)] == [5]


def test_banned_hosts_are_counted_when_a_jail_gets_a_bangroup():
    guard = Guard([replace(LOGIN, maxretry=1)], ALLOWLIST)
    play(guard, hits(0))
    guard.reconfigure([replace(LOGIN, maxretry=1, bangroup=2)], now=1)

    assert [each.address for each in play(guard, hits(2, address=BOB))] == [BOB, "203.0.113.0/24"]


def test_an_unban_before_its_jail_is_removed_is_final():
    guard = Guard([LOGIN, Jail("probe")], ALLOWLIST)
    guard.ban(ANN, now=0, jail="probe", bantime=10)
    guard.unban(ANN, now=1)
    guard.reconfigure([LOGIN], now=2)

    assert play(guard, [11]) == []


def test_no_ban_ends_early_however_jails_come_and_go():
    chance = random.Random(4)
    guard = Guard([LOGIN], ALLOWLIST)
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
    assert {(ban.jail, ban.address): ban.until for ban in guard.view.bans} == ends
    assert len(ends) > 5
