from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.fleet.lifts import LiftIndex
from sidecar.fleet.protocol import Lift

ANN, BOB, NET = Address("203.0.113.7"), Address("2001:db8:1:2::/64"), Address("198.51.100.0/24")
BAN = Ban("login", ANN, 990.0, 1990.0, "failures", failures=3)


def covers(*lifts, ban=BAN):
    return LiftIndex(lifts).covers(ban)


def test_a_lift_covers_the_bans_before_it():
    assert covers(Lift(ANN, "login", 990.0))
    assert covers(Lift(Address("203.0.113.0/24"), "", 995.0))
    assert covers(Lift(ANN, "", 999.0), Lift(ANN, "", 900.0))
    assert covers(Lift(None, "", 995.0))
    assert not covers(Lift(ANN, "login", 989.0), Lift(ANN, "other", 999.0), Lift(BOB, "", 999.0))
    # Failures from before are forgiven, also where they are read later.
    assert covers(Lift(None, "", 995.0), ban=replace(BAN, decided_at=996.0))
    assert not covers()


def test_the_lift_of_a_network_covers_every_ban_inside_it_and_no_wider_one():
    lifts = LiftIndex([Lift(NET, "login", 999.0), Lift(Address("2001:db8::/32"), "", 999.0)])
    inside = (NET, Address("198.51.100.0/25"), Address("198.51.100.9"), BOB)
    outside = (ANN, Address("198.51.0.0/16"))

    assert [lifts.covers(replace(BAN, address=address)) for address in inside] == [True] * 4
    assert [lifts.covers(replace(BAN, address=address)) for address in outside] == [False] * 2
    assert not lifts.covers(replace(BAN, address=Address("198.51.100.9"), jail="other"))


def test_a_ban_from_clearly_before_a_lift_is_stale():
    lifts = LiftIndex([Lift(ANN, "login", 993.0), Lift(NET, "", 990.0)])

    assert lifts.is_stale(BAN)
    assert not lifts.is_stale(replace(BAN, at=991.5))
    assert not lifts.is_stale(replace(BAN, at=995.0))
    assert lifts.is_stale(replace(BAN, at=980.0, address=Address("198.51.100.9")))


def test_a_lift_that_was_seen_is_known_and_a_later_one_is_not():
    lifts = LiftIndex([Lift(ANN, "login", 993.0)])

    assert [lifts.knows(Lift(ANN, "login", at)) for at in (900.0, 993.0, 993.5)] == [True, True, False]
    assert not lifts.knows(Lift(ANN, "", 900.0))


def test_the_older_half_is_forgotten():
    lifts = LiftIndex(Lift(Address(f"203.0.113.{n}"), "login", float(n)) for n in range(100))
    lifts.add(Lift(NET, "", 1.0))
    lifts.forget_older_half()

    assert len(lifts) == 51
    assert not lifts.covers(replace(BAN, address=Address("198.51.100.9"), at=0.0))
    assert lifts.knows(Lift(Address("203.0.113.99"), "login", 99.0))
