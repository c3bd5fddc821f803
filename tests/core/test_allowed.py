"""What people allow: it holds until its end, the last word counts, and each change is told once."""

import math

import pytest

from sidecar.core.address import Address, parse_allow_target
from sidecar.core.allowed import MAX_ALLOWED, Allow, AllowedAddresses, Disallow, DisallowCause
from sidecar.core.allowlist import Allowlist
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail

ANN, OFFICE = Address("203.0.113.7"), Address("198.51.100.0/24")


def test_the_last_word_about_an_address_holds_and_the_same_word_changes_nothing():
    allowed = AllowedAddresses([Allow(ANN, 1.0)])
    allowed.put([Allow(ANN, 2.0), Allow(ANN, 3.0, 60.0, "on call"), Allow(OFFICE, 3.0)])

    assert list(allowed) == [Allow(ANN, 3.0, 60.0, "on call"), Allow(OFFICE, 3.0)]
    assert allowed.take_changes() == (Allow(ANN, 3.0, 60.0, "on call"), Allow(OFFICE, 3.0))
    assert allowed.take_changes() == ()


def test_what_is_allowed_for_a_time_ends_and_what_was_not_allowed_does_not():
    allowed = AllowedAddresses([Allow(ANN, 1.0, 60.0), Allow(OFFICE, 1.0)])

    assert allowed.end_expired(59.0) == []
    assert allowed.end_expired(60.0) == [Disallow(ANN, 60.0, "expired")]
    assert allowed.end([ANN, OFFICE], 70.0) == [Disallow(OFFICE, 70.0, "manual")]
    assert allowed.take_changes() == (Disallow(ANN, 60.0, "expired"), Disallow(OFFICE, 70.0, "manual"))
    assert list(allowed) == []


def test_only_an_entry_without_an_end_is_permanent():
    assert Allow(ANN, 1.0, math.inf).is_permanent
    assert not Allow(ANN, 1.0, 2.0).is_permanent


def test_the_guard_keeps_what_people_allow_and_tells_each_change_once():
    guard = Guard([Jail("login")], Allowlist(), allowed=[Allow(OFFICE, 1.0, 60.0)])
    guard.allow([Allow(ANN, 2.0)])

    assert guard.view.allowed == (Allow(OFFICE, 1.0, 60.0), Allow(ANN, 2.0))
    assert guard.end_allowed(60.0) == [Disallow(OFFICE, 60.0, "expired")]
    assert guard.disallow([ANN], 61.0) == [Disallow(ANN, 61.0, "manual")]
    assert [type(each) for each in guard.take_allow_changes()] == [Allow, Disallow, Disallow]
    assert (guard.view.allowed, guard.take_allow_changes()) == ((), ())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.113.7", ANN),
        ("198.51.100.9/24", OFFICE),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("2001:db8::7", "2001:db8::/64"),
        ("2001:db8::/20", "2001::/20"),
        ("::ffff:203.0.113.7", ANN),
    ],
)
def test_an_address_to_allow_has_the_form_that_a_ban_has(text, address):
    assert parse_allow_target(text) == address


def test_a_name_cannot_be_allowed():
    with pytest.raises(ValueError, match="host names are not looked up"):
        parse_allow_target("office.example")


def test_there_is_room_for_so_many_and_for_what_is_there_already():
    full = AllowedAddresses(Allow(Address(f"198.18.{n // 256}.{n % 256}"), 1.0) for n in range(MAX_ALLOWED))

    assert (full.room([]), full.room(["198.18.0.0"]), full.room([ANN])) == (0, 0, -1)


def test_the_view_says_what_is_allowed_and_what_is_banned_by_itself():
    guard = Guard([Jail("login")], Allowlist(), allowed=[Allow(OFFICE, 1.0, 60.0, "office")])
    (ban,) = guard.ban_until(ANN, 90.5, 2.0, "login", "spam")

    assert guard.view.is_allowed(Allow(OFFICE, 9.0, 60.0, "office"))
    assert not guard.view.is_allowed(Allow(OFFICE, 9.0, 61.0, "office"))
    assert not guard.view.is_allowed(Allow(ANN, 9.0))
    assert guard.view.room_to_allow([ANN]) == MAX_ALLOWED - 2
    assert (ban.until, ban.at, ban.reason, ban.cause) == (90.5, 2.0, "spam", "manual")
    assert guard.view.ban_in("login", ANN) == ban
    assert guard.view.ban_in("manual", ANN) is None


def test_what_changed_moves_with_a_clock_that_is_set():
    changes = Allow(ANN, 10.0, 70.0, "the office"), Disallow(ANN, 20.0, DisallowCause.MANUAL)

    assert [each.shifted(100.0) for each in changes] == [
        Allow(ANN, 110.0, 170.0, "the office"),
        Disallow(ANN, 120.0, DisallowCause.MANUAL),
    ]
