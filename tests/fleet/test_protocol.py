import math
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Unban
from sidecar.fleet.protocol import (
    LIFT_BURST,
    LIFT_RATE,
    PEERS,
    Budget,
    Clock,
    Lift,
    Lifts,
    Outbox,
    Unsound,
    about,
    end,
    key,
    line,
    listed,
    listed_lift,
    member,
    seal,
    told,
    wide,
)

ANN, BOB, NET = Address("203.0.113.7"), Address("2001:db8:1:2::/64"), Address("198.51.100.0/24")
NOW = 1_000.0
AHEAD = Clock(100.0)  # the engine's clock is 100 s ahead of ours
KEY = b"k" * 32
BAN = Ban("login", ANN, 990.0, 1990.0, "failures", failures=3, origin_name="blog", evidence=("fail",))
LIFT = Lift(ANN, "login", 990.0)


def heard(decision, clock=AHEAD, secret=b""):
    """As another node with another clock hears it."""
    return told(line(decision, "a/1", clock, secret), "a/1", Clock(-5.0), NOW + 105.0, secret)


def reason(text, *, node="a/1", now=NOW, secret=b""):
    with pytest.raises(Unsound) as why:
        told(text, node, Clock(), now, secret)
    return str(why.value)


def test_a_ban_is_one_line_in_the_engines_time():
    assert line(BAN, "a/1", AHEAD) == "B 203.0.113.7 login 2090000 1090000 3 -"
    assert line(Unban("login", ANN, 990.0, "manual"), "a/1", AHEAD) == "U 203.0.113.7 login - 1090000 0 -"


@pytest.mark.parametrize("secret", [b"", KEY])
@pytest.mark.parametrize("address", [ANN, BOB, NET])
def test_what_one_node_says_another_understands_in_its_own_time(address, secret):
    ban = Ban("login", address, 990.0, 1990.0, "failures", failures=3)

    assert heard(ban, secret=secret) == Ban(
        "login", address, 1095.0, 2095.0, "fleet", failures=3, origin_name="a/1"
    )
    assert heard(Lift(address, "login", 990.0), secret=secret) == Lift(address, "login", 1095.0)


def test_a_ban_for_good_stays_one():
    assert heard(Ban("login", ANN, 990.0, math.inf, "manual")).is_permanent


def test_nobody_did_anything_in_the_future():
    assert told("B 203.0.113.7 login 9000000 5000000 3 -", "a/1", Clock(), NOW).at == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "B",
        "B 203.0.113.7 login 2090000 1090000 3",  # no seal's place
        "B 203.0.113.7 login 2090000 1090000 3 - more",
        "B 203.0.113.7 login 2090000 1090000 3 -\n",
        "B  203.0.113.7 login 2090000 1090000 3 -",
        "X 203.0.113.7 login 2090000 1090000 3 -",
        "B 203.0.113.007 login 2090000 1090000 3 -",
        "B 999.0.113.7 login 2090000 1090000 3 -",
        "B 203.0.113.7/24 login 2090000 1090000 3 -",  # host bits
        "B 203.0.113.7/32 login 2090000 1090000 3 -",
        "B 0.0.0.0/0 login 2090000 1090000 3 -",
        "B 10.0.0.0/8 login 2090000 1090000 3 -",
        "B 2001:db8::1 login 2090000 1090000 3 -",  # a single address where we would say its /64
        "B 2001:DB8:1:2::/64 login 2090000 1090000 3 -",
        "B ::ffff:203.0.113.7 login 2090000 1090000 3 -",
        "B * login 2090000 1090000 3 -",
        "B 203.0.113.7 * 2090000 1090000 3 -",
        "B 203.0.113.7 log|in 2090000 1090000 3 -",
        "B 203.0.113.7 ../jail 2090000 1090000 3 -",
        f"B 203.0.113.7 {'j' * 65} 2090000 1090000 3 -",
        "B 203.0.113.7 login - 1090000 3 -",
        "B 203.0.113.7 login nan 1090000 3 -",
        "B 203.0.113.7 login -2090000 1090000 3 -",
        "B 203.0.113.7 login 1e300 1090000 3 -",
        "B 203.0.113.7 login 2090000 inf 3 -",
        "B 203.0.113.7 login 2090000 1090000 ٣ -",  # a digit, but not one of ours
        "U 203.0.113.0/33 login - 1090000 0 -",
        "B 203.0.113.7 login 2090000 1090000 3 " + "-" * 300,
    ],
)
def test_whatever_we_would_not_have_written_is_not_heard(text):
    assert reason(text) == "malformed"


def test_what_is_over_is_not_heard():
    assert reason("B 203.0.113.7 login 999000 990000 3 -") == "expired"


def test_where_nothing_is_sealed_nobody_opens_the_gate_to_many():
    assert reason("U * * - 990000 0 -") == "too wide"
    assert reason("U 203.0.112.0/20 * - 990000 0 -") == "too wide"
    assert reason("U 2001:db8::/32 * - 990000 0 -") == "too wide"
    assert told("U 203.0.113.0/24 * - 990000 0 -", "a/1", Clock(), NOW) == Lift(
        Address("203.0.113.0/24"), "", 990
    )


def test_who_knows_the_secret_may():
    assert heard(Lift(None, "", 990.0), secret=KEY) == Lift(None, "", 1095.0)


def test_a_seal_holds_for_its_words_its_node_and_a_day():
    sealed = line(BAN, "a/1", Clock(), KEY)

    assert told(sealed, "a/1", Clock(), NOW, KEY).address == ANN
    assert reason(sealed, node="b/1", secret=KEY) == "unsealed"
    assert reason(sealed.replace("203.0.113.7", "203.0.113.8"), secret=KEY) == "unsealed"
    assert reason(line(BAN, "a/1", Clock()), secret=KEY) == "unsealed"
    assert reason(line(LIFT, "a/1", Clock(), KEY), now=NOW + 90_000, secret=KEY) == "expired"
    assert seal(b"", "anything") == "-"


@pytest.mark.parametrize("secret", [b"", KEY])
def test_a_member_of_the_set_is_a_ban(secret):
    name = member(key(BAN), secret)

    assert listed(name, 2_090_000.0, AHEAD, NOW, secret) == Ban("login", ANN, NOW, 1990.0, "fleet")
    assert listed(name, math.inf, AHEAD, NOW, secret).is_permanent
    assert listed_lift(member(key(LIFT), secret, "U"), 1_090_000.0, AHEAD, NOW, secret) == LIFT


@pytest.mark.parametrize(
    ("name", "until", "why"),
    [
        ("203.0.113.7 login", 900_000.0, "expired"),
        ("203.0.113.7 login", math.nan, "expired"),
        ("203.0.113.7 login", -math.inf, "expired"),
        ("203.0.113.7", 2e9, "malformed"),
        ("203.0.113.7 login more", 2e9, "malformed"),
        ("* *", 2e9, "malformed"),
        ("203.0.113.7 *", 2e9, "malformed"),
        ("x" * 300, 2e9, "malformed"),
    ],
)
def test_whatever_we_would_not_have_put_there_is_no_ban(name, until, why):
    with pytest.raises(Unsound, match=why):
        listed(name, until, Clock(), NOW)


def test_the_seal_of_a_lifting_is_none_of_a_ban():
    with pytest.raises(Unsound, match="unsealed"):
        listed(member(key(LIFT), KEY, "U"), 2e9, Clock(), NOW, KEY)
    with pytest.raises(Unsound, match="unsealed"):
        listed("203.0.113.7 login", 2e9, Clock(), NOW, KEY)


def over(*lifts, ban=BAN):
    return Lifts(lifts).over(ban)


def test_a_lifting_is_for_the_bans_before_it():
    assert over(Lift(ANN, "login", 990.0))
    assert over(Lift(Address("203.0.113.0/24"), "", 995.0))
    assert over(Lift(ANN, "", 999.0), Lift(ANN, "", 900.0))
    assert over(Lift(None, "", 995.0))
    assert not over(Lift(ANN, "login", 989.0), Lift(ANN, "other", 999.0), Lift(BOB, "", 999.0))
    assert not over(Lift(None, "", 995.0), ban=replace(BAN, decided_at=996.0))
    assert not over()


def test_a_network_that_is_let_in_is_all_who_lie_in_it_and_no_wider_ban():
    lifts = Lifts([Lift(NET, "login", 999.0), Lift(Address("2001:db8::/32"), "", 999.0)])
    inside = (NET, Address("198.51.100.0/25"), Address("198.51.100.9"), BOB)

    assert [lifts.over(replace(BAN, address=address)) for address in inside] == [True] * 4
    assert [lifts.over(replace(BAN, address=address)) for address in (ANN, Address("198.51.0.0/16"))] == [
        False
    ] * 2
    assert not lifts.over(replace(BAN, address=Address("198.51.100.9"), jail="other"))


def test_so_long_that_it_has_no_end():
    assert end(replace(BAN, until=1e15), AHEAD) == "inf"
    assert end(replace(BAN, until=1.8e9), Clock()) == "1800000000000"


def test_a_line_of_ours_says_whom_it_is_about():
    assert about(line(BAN, "a/1", AHEAD)) == key(BAN)


def test_what_is_wide():
    assert [wide(address) for address in (None, Address("10.1.0.0/16"), Address("2001:db8::/32"))] == [
        True
    ] * 3
    assert [wide(address) for address in (ANN, BOB, NET)] == [False] * 3


def test_a_peer_is_believed_so_much_at_once_and_then_little_by_little():
    budget = Budget(peer=(10, 1.0), everyone=(100, 100.0))

    assert [budget.take(8, now, "a") for now in (0.0, 0.0, 1.0, 1.5, 100.0, 50.0)] == [8, 2, 1, 0, 8, 2]
    assert budget.take(8, 100.0, "b") == 8
    assert [budget.room(100.0, peer) for peer in ("a", "b", "c", None)] == [10, 2, 10, 92]


def test_what_is_nothing_new_costs_little():
    budget = Budget(peer=(100, 0.0), everyone=(200, 0.0))
    for _ in range(5):
        budget.give("a", budget.take(50, 0.0, "a"))

    assert [budget.room(0.0, "a"), budget.room(0.0)] == [75, 175]
    budget.give("unheard of", 10)
    assert budget.room(0.0, "a") == 75


def test_all_peers_together_are_believed_only_so_much():
    budget = Budget(peer=(10, 1.0), everyone=(25, 0.0))

    assert [budget.take(10, 0.0, peer) for peer in "abcd"] == [10, 10, 5, 0]
    assert Budget(everyone=(25, 0.0)).take(30, 0.0) == 25


def test_names_that_are_made_up_do_not_fill_the_memory():
    budget = Budget(peer=(1, 0.0))
    taken = [budget.take(1, 0.0, f"peer {number}") for number in range(PEERS + 10)]

    assert sum(taken) == PEERS + 10
    assert len(budget._peers) == PEERS


def test_few_liftings_are_believed_where_nothing_is_sealed():
    budget = Budget()

    assert [budget.lifts(LIFT_BURST, now) for now in (0.0, 0.0, 10.0)] == [
        LIFT_BURST,
        0,
        round(10 * LIFT_RATE),
    ]


def test_of_two_tellings_about_one_only_the_later_waits():
    outbox = Outbox()
    unban = Unban("login", ANN, 999.0, "manual")
    outbox.put(BAN)
    outbox.put(unban)

    assert len(outbox) == 1
    assert outbox.take() == [unban]


def test_a_full_outbox_drops_the_oldest():
    outbox = Outbox(most=1)
    other = Lift(BOB, "login", 1.0)

    assert [outbox.put(BAN), outbox.put(other)] == [0, 1]
    assert outbox.take() == [other]


def test_what_others_say_does_not_hold_until_ours_has_come_by():
    """The engine's order holds everywhere, and ours is later in it than what is heard now."""
    outbox = Outbox()
    name = key(BAN)
    seen = [outbox.overrules(name)]
    outbox.put(BAN)
    seen.append(outbox.overrules(name))
    assert not outbox.flies(name)
    outbox.take()
    assert outbox.flies(name)
    seen.append(outbox.overrules(name))
    outbox.landed(name)
    seen.append(outbox.overrules(name))

    assert seen == [False, True, True, False]


def test_what_was_not_taken_waits_again_but_for_what_is_out_of_date():
    outbox = Outbox()
    other, newer = Lift(BOB, "login", 1.0), Unban("login", ANN, 999.0, "manual")
    outbox.put(BAN)
    outbox.put(other)
    taken = outbox.take()
    outbox.put(newer)
    outbox.back(taken)

    assert outbox.take() == [other, newer]


def test_where_the_order_is_lost_nothing_of_ours_is_still_to_come():
    outbox = Outbox()
    outbox.put(BAN)
    outbox.take()
    outbox.settle()

    assert not outbox.overrules(key(BAN))


def test_of_two_that_fly_about_one_both_have_to_come_by():
    outbox = Outbox()
    for _ in range(2):
        outbox.put(BAN)
        outbox.take()
    seen = []
    for _ in range(2):
        outbox.landed(key(BAN))
        seen.append(outbox.overrules(key(BAN)))

    assert seen == [True, False]
