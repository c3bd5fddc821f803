"""Too many bans: full networks become one ban, and then those end that would have ended first."""

import math

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, BanCause, Unban, UnbanCause
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail

LOGIN = Jail("login", maxretry=1, findtime=600, bantime=3600)


def scattered(n):
    return Address(f"198.{18 + n // 65_536}.{n % 256}.{n // 256 % 256}")


def ban(address, until, cause=BanCause.FAILURES, **more):
    return Ban("login", Address(address), 0.0, until, cause, **more)


def crowd(count, first_end=1000.0):
    return [ban(scattered(n), first_end + n) for n in range(count)]


def ended(decisions, cause):
    return [each.address for each in decisions if isinstance(each, Unban) and each.cause == cause]


def test_bans_below_the_limit_stay():
    guard = Guard([LOGIN], Allowlist(), crowd(100), max_bans=100)

    assert guard.tick(1.0) == []


def test_those_that_end_first_end_early():
    guard = Guard([LOGIN], Allowlist(), crowd(200), max_bans=160)

    decisions = guard.tick(1.0)

    assert ended(decisions, UnbanCause.CROWDED_OUT) == [scattered(n) for n in range(50)]
    assert guard.view.ban_count == 150
    assert guard.view.usage.ended_early == {UnbanCause.CROWDED_OUT: 50}


def test_a_long_list_by_hand_does_not_end_all_other_bans():
    by_hand = [ban(scattered(n), 1000.0 + n, BanCause.MANUAL) for n in range(90)]
    others = [ban(scattered(n), 2000.0 + n) for n in range(90, 107)]
    guard = Guard([LOGIN], Allowlist(), [*by_hand, *others], max_bans=106)

    # One too many, and one in sixteen of those that may end.
    assert ended(guard.tick(1.0), UnbanCause.CROWDED_OUT) == [scattered(n) for n in range(90, 93)]


def test_a_ban_that_ends_early_is_remembered():
    guard = Guard([LOGIN], Allowlist(), crowd(20), max_bans=10)
    guard.tick(1.0)

    assert guard.view.ban_counts(scattered(0), now=2.0) == {"login": 1}


def test_bans_of_one_network_become_one():
    neighbours = [ban(f"203.0.113.{n}", 500.0 + n, failures=3) for n in range(20)]
    guard = Guard([LOGIN], Allowlist(), [*crowd(10), *neighbours], max_bans=25)

    decisions = guard.tick(1.0)

    [merged] = [each for each in decisions if isinstance(each, Ban)]
    assert (merged.address, merged.until, merged.cause, merged.failures) == (
        "203.0.113.0/24",
        519.0,
        BanCause.GROUP,
        60,
    )
    assert merged.reason == "20 of its addresses were banned, and there are too many bans"
    assert decisions.index(merged) == 0
    assert ended(decisions, UnbanCause.MERGED) == [each.address for each in neighbours]
    assert guard.view.ban_count == 11


def test_ipv6_customers_become_their_48():
    customers = [ban(f"2001:db8:0:{n}00::/64", 500.0) for n in range(1, 5)]
    guard = Guard([LOGIN], Allowlist(), customers, max_bans=3)

    guard.tick(1.0)

    assert [each.address for each in guard.view.bans] == ["2001:db8::/48"]


def test_a_network_with_an_allowlisted_host_is_not_merged():
    neighbours = [ban(f"203.0.113.{n}", 500.0 + n) for n in range(20)]
    guard = Guard([LOGIN], Allowlist({"ignoreip": ["203.0.113.200"]}), neighbours, max_bans=16)

    decisions = guard.tick(1.0)

    assert len(ended(decisions, UnbanCause.CROWDED_OUT)) == 5


def test_manual_and_permanent_bans_stay():
    kept = [
        *(ban(f"203.0.113.{n}", 500.0, BanCause.MANUAL) for n in range(20)),
        *(ban(f"192.0.2.{n}", math.inf) for n in range(20)),
    ]
    guard = Guard([LOGIN], Allowlist(), [*kept, *crowd(5)], max_bans=16)

    guard.tick(1.0)

    assert set(guard.view.bans) == set(kept)


def test_a_dry_run_makes_no_enforced_ban_of_its_network():
    neighbours = [ban(f"203.0.113.{n}", 500.0, dry_run=n == 3) for n in range(20)]
    guard = Guard([LOGIN], Allowlist(), neighbours, max_bans=5)

    guard.tick(1.0)

    assert [each.dry_run for each in guard.view.bans] == [True]


def test_a_lower_limit_holds_at_once():
    guard = Guard([LOGIN], Allowlist(), crowd(100), max_bans=100)

    decisions = guard.reconfigure([LOGIN], 1.0, max_bans=50)

    assert len(ended(decisions, UnbanCause.CROWDED_OUT)) == 54


def test_short_memory_forgets_what_can_be_spared_and_keeps_every_ban():
    guard = Guard([LOGIN], Allowlist(), crowd(1_500))
    guard.relieve_memory()
    guard.ban(Address("203.0.113.7"), now=1.0)

    assert guard.view.ban_count == 1_501
    assert len(ended(guard.tick(2.0), UnbanCause.CROWDED_OUT)) > 0
