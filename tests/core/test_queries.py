import math
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban, Hit, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import MANUAL_JAIL, Jail
from sidecar.core.queries import AddressStatus, GuardUsage

ANN, BOB, SIX = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
BLOG = Origin("docker", "blog")
LOGIN = Jail("login", maxretry=3, findtime=600, bantime=3600)
MAIL = Jail("mail", ignoreip=("203.0.113.8",))
ALLOWLIST = Allowlist()


def fail(guard, address, *times, jail="login"):
    for at in times:
        guard.hit(Hit(jail, address, at, BLOG, f"line at {at}"), now=at)


def test_the_banned_networks_around_an_address():
    guard = Guard([LOGIN], ALLOWLIST)
    for network in (
        "203.0.113.0/24",
        "203.0.0.0/16",
        "203.0.113.7",
        "2001:db8:bad::/48",
        "198.51.100.0/24",
    ):
        guard.ban(Address(network), now=0)

    def around(address):
        return [ban.address for ban in guard.view.bans_of_networks_around(address)]

    assert around(ANN) == ["203.0.0.0/16", "203.0.113.0/24"]
    assert around(SIX) == ["2001:db8:bad::/48"]
    assert around(Address("192.0.2.1")) == []


def test_whether_an_address_is_banned_by_itself_or_with_its_neighbourhood():
    guard = Guard([LOGIN], ALLOWLIST)
    assert not guard.view.is_banned(ANN)
    guard.ban(ANN, now=0)
    assert guard.view.is_banned(ANN)
    assert not guard.view.is_banned(BOB)


def test_how_full_the_memory_is():
    guard = Guard([LOGIN], ALLOWLIST, history=[PastBans("login", BOB, 1, 5.0)])
    assert guard.view.history == (PastBans("login", BOB, 1, 5.0),)
    fail(guard, ANN, 0)

    assert guard.view.usage == GuardUsage(
        tracked_addresses={"login": 1, "manual": 0},
        dropped_addresses=0,
        dropped_evidence_lines=0,
        history_addresses=1,
        dropped_history_addresses=0,
        ended_early={},
    )


def test_the_status_of_an_address_in_each_jail():
    guard = Guard([LOGIN, MAIL], ALLOWLIST, history=[PastBans("login", BOB, 4, 0)])
    fail(guard, ANN, 0, 1, 2)
    fail(guard, BOB, 0, 700, 701)

    ban = Ban("login", ANN, 2, 3602, "failures", failures=3, origin_name="blog")
    assert guard.view.statuses(ANN, 702) == [
        AddressStatus(LOGIN, allowlist_reason=None, failures=0, ban_count=1, ban=ban),
        AddressStatus(MAIL, allowlist_reason=None, failures=0, ban_count=0, ban=None),
        AddressStatus(MANUAL_JAIL, allowlist_reason=None, failures=0, ban_count=0, ban=None),
    ]
    assert guard.view.statuses(BOB, 702) == [
        AddressStatus(
            LOGIN,
            None,
            failures=2,
            ban_count=4,
            ban=None,
            lines=("line at 700", "line at 701"),
            failed_at=(700, 701),
        ),
        AddressStatus(MAIL, allowlist_reason="ignoreip", failures=0, ban_count=0, ban=None),
        AddressStatus(MANUAL_JAIL, allowlist_reason=None, failures=0, ban_count=0, ban=None),
    ]


def test_a_network_is_on_the_allowlist_of_all_jails_or_of_one():
    view = Guard([LOGIN, MAIL], Allowlist({"a gateway": ["203.0.113.7"]})).view

    assert (view.allowlist_reason(ANN), view.allowlist_reason(ANN, "mail")) == ("a gateway", "a gateway")
    assert (view.allowlist_reason(BOB), view.allowlist_reason(BOB, "mail")) == (None, "ignoreip")
    with pytest.raises(KeyError):
        view.allowlist_reason(ANN, "mial")


def test_enforced_bans_are_counted_by_jail_and_ip_version():
    watched = Jail("watched", maxretry=1, observe=True)
    guard = Guard([LOGIN, watched], ALLOWLIST)
    fail(guard, ANN, 0, 1, 2)
    fail(guard, SIX, 0, 1, 2)
    fail(guard, BOB, 0, jail="watched")

    counts = {key: count for key, count in guard.view.enforced_bans.items() if count}
    assert counts == {("login", 4): 1, ("login", 6): 1}
    assert guard.view.dry_run_bans == {"login": 0, "watched": 1, "manual": 0}


def test_a_ban_by_hand_does_not_count_as_a_former_ban():
    guard = Guard([LOGIN], ALLOWLIST)
    fail(guard, ANN, 0, 1, 2)
    guard.ban(BOB, now=3, jail="login")

    assert guard.view.ban_counts(ANN, now=4) == {"login": 1}
    assert guard.view.ban_counts(BOB, now=4) == {}


def test_the_longest_findtime_of_no_jail_is_zero():
    assert Guard([], ALLOWLIST).view.longest_findtime == 0.0
    assert Guard([LOGIN, Jail("slow", findtime=9000)], ALLOWLIST).view.longest_findtime == 9000


def test_a_dry_run_is_no_ban_in_force():
    guard = Guard([LOGIN, replace(LOGIN, name="dry", observe=True)], ALLOWLIST)
    fail(guard, ANN, 0, 1, 2)
    fail(guard, BOB, 0, 1, 2, jail="dry")

    assert len(guard.view.bans) == 2
    assert guard.view.ban_count == 1


def test_the_answer_does_not_change_the_guard():
    guard = Guard([LOGIN], ALLOWLIST)
    guard.view.ignored["a reason"] += 1
    guard.ban(ANN, now=0, bantime=math.inf)

    assert guard.view.ignored == {}
    assert [ban.is_permanent for ban in guard.view.bans] == [True]


def test_how_much_of_the_address_space_is_allowlisted():
    guard = Guard([LOGIN], Allowlist({"ignoreip": ["0.0.0.0/0"]}))

    assert guard.view.allowlist_shares == {4: {"ignoreip": 1.0}, 6: {}}


def test_an_address_is_banned_by_itself_or_by_its_neighbourhood_in_any_jail():
    guard = Guard([Jail("login"), Jail("mail")], Allowlist())
    guard.ban(Address("203.0.113.7"), 0.0, "mail")
    guard.ban(Address("198.51.100.0/24"), 0.0)

    asked = ("203.0.113.7", "198.51.100.9", "203.0.113.8")
    assert [guard.view.is_banned(Address(each)) for each in asked] == [True, True, False]
