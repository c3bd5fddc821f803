import math
import random

from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.core.expiry import SLOT_S, BanExpiry


def ban(until, number=0):
    return Ban("login", Address(f"203.0.113.{number}"), 0.0, until, "failures")


def test_bans_end_in_their_order():
    ends = BanExpiry()
    for until in (3 * SLOT_S, 10.0, 12.0, SLOT_S + 1):
        ends.schedule(ban(until))

    assert ends.next_at == 10.0
    assert [each.until for each in ends.take_expired(11.0)] == [10.0]
    assert (ends.next_at, ends.take_expired(11.0)) == (12.0, [])
    assert [each.until for each in ends.take_expired(4 * SLOT_S)] == [12.0, SLOT_S + 1, 3 * SLOT_S]
    assert (ends.next_at, ends.take_expired(9e9)) == (math.inf, [])


def test_a_permanent_ban_does_not_end():
    ends = BanExpiry()
    ends.schedule(ban(math.inf))

    assert (ends.next_at, ends.take_expired(9e99)) == (math.inf, [])


def test_it_behaves_as_a_sorted_list():
    dice = random.Random(7)
    ends, kept = BanExpiry(), []
    for now in range(0, 10_000, 7):
        for _ in range(dice.randrange(3)):
            one = ban(now + dice.randrange(1, 2_000), dice.randrange(250))
            ends.schedule(one)
            kept.append(one)
        over = sorted((each for each in kept if each.until <= now), key=lambda each: each.until)
        kept = [each for each in kept if each.until > now]

        assert sorted(ends.take_expired(now), key=repr) == sorted(over, key=repr)
        assert ends.next_at == min((each.until for each in kept), default=math.inf)
