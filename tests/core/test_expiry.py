import math
import random

from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.core.expiry import SPAN, Ends


def ban(until, number=0):
    return Ban("login", Address(f"203.0.113.{number}"), 0.0, until, "failures")


def test_bans_end_in_their_order():
    ends = Ends()
    for until in (3 * SPAN, 10.0, 12.0, SPAN + 1):
        ends.put(ban(until))

    assert ends.next == 10.0
    assert [each.until for each in ends.due(11.0)] == [10.0]
    assert (ends.next, ends.due(11.0)) == (12.0, [])
    assert [each.until for each in ends.due(4 * SPAN)] == [12.0, SPAN + 1, 3 * SPAN]
    assert (ends.next, ends.due(9e9)) == (math.inf, [])


def test_what_is_for_good_does_not_end():
    ends = Ends()
    ends.put(ban(math.inf))

    assert (ends.next, ends.due(9e99)) == (math.inf, [])


def test_it_is_a_sorted_list_to_all_who_ask():
    dice = random.Random(7)
    ends, kept = Ends(), []
    for now in range(0, 10_000, 7):
        for _ in range(dice.randrange(3)):
            one = ban(now + dice.randrange(1, 2_000), dice.randrange(250))
            ends.put(one)
            kept.append(one)
        over = sorted((each for each in kept if each.until <= now), key=lambda each: each.until)
        kept = [each for each in kept if each.until > now]

        assert sorted(ends.due(now), key=repr) == sorted(over, key=repr)
        assert ends.next == min((each.until for each in kept), default=math.inf)
