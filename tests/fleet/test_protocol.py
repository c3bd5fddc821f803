import math
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Unban
from sidecar.fleet.protocol import (
    ClockOffset,
    Codec,
    Lift,
    LineError,
    Proposal,
    end_ms,
    is_wide,
    key_of,
    key_of_line,
    seal,
)

ANN, BOB, NET = Address("203.0.113.7"), Address("2001:db8:1:2::/64"), Address("198.51.100.0/24")
NOW = 1_000.0
SAME, AHEAD = ClockOffset(), ClockOffset(100.0)
KEY = b"k" * 32
OPEN, SEALED = Codec(), Codec([KEY])
BAN = Ban("login", ANN, 990.0, 1990.0, "failures", failures=3, origin_name="blog", evidence=("fail",))
UNBAN = Unban("login", ANN, 990.0, "manual")
LIFT = Lift(ANN, "login", 990.0)


def received(decision, codec):
    """What another node, whose clock differs, makes of a decision."""
    line = codec.line(decision, "a/1", AHEAD)
    return codec.parse_line(line, "a/1", ClockOffset(-5.0), NOW + 105.0)


def reason(text, *, node="a/1", now=NOW, codec=OPEN):
    with pytest.raises(LineError) as refused:
        codec.parse_line(text, node, SAME, now)
    return refused.value.reason


def test_lines_and_members_are_written_as_nodes_of_every_version_write_them():
    everyone = Lift(None, "", 990.0)

    assert OPEN.line(BAN, "a/1", AHEAD) == "B 203.0.113.7 login 2090000 1090000 3 -"
    assert OPEN.line(UNBAN, "a/1", AHEAD) == "U 203.0.113.7 login - 1090000 0 -"
    assert OPEN.ban_member(key_of(BAN)) == OPEN.lift_member(UNBAN, AHEAD) == "203.0.113.7 login"
    assert (OPEN.ban_times(BAN, AHEAD), OPEN.untimed_member(key_of(BAN))) == ("", "")
    assert SEALED.line(BAN, "a/1", AHEAD) == "B 203.0.113.7 login 2090000 1090000 3 976e460cb0ab8faa"
    assert SEALED.line(UNBAN, "a/1", AHEAD) == "U 203.0.113.7 login - 1090000 0 919e5814e93dc59c"
    assert SEALED.line(everyone, "a/1", AHEAD) == "U * * - 1090000 0 3a5af30be93364b8"
    assert SEALED.ban_member(key_of(BAN)) == "203.0.113.7 login"
    assert SEALED.ban_times(BAN, AHEAD) == "2090000 1090000 efdc2acf95133041"
    assert SEALED.lift_member(UNBAN, AHEAD) == "203.0.113.7 login 1090000 b782eba89238dfab"
    assert SEALED.untimed_member(key_of(BAN)) == "203.0.113.7 login f719d63b6fe27a01"
    assert seal(b"target", "admin") == "23c49963aa0d9529"


@pytest.mark.parametrize("codec", [OPEN, SEALED], ids=["open", "sealed"])
def test_a_jail_may_have_blanks_in_its_name(codec):
    ban, lift = replace(BAN, jail="my own jail"), Lift(ANN, "my own jail", 990.0)
    line = codec.line(ban, "a/1", SAME)

    assert (received(ban, codec).jail, received(lift, codec).jail) == ("my own jail", "my own jail")
    assert key_of_line(line) == key_of(ban)
    assert line.startswith("B 203.0.113.7 my+own+jail 1990000 ")
    times = codec.ban_times(ban, SAME)
    assert codec.parse_ban(codec.ban_member(key_of(ban)), 1_990_000.0, times, SAME, NOW).jail == "my own jail"
    assert codec.parse_lift(codec.lift_member(lift, SAME), 990_000.0, SAME, NOW) == lift


@pytest.mark.parametrize("codec", [OPEN, SEALED], ids=["open", "sealed"])
@pytest.mark.parametrize("address", [ANN, BOB, NET])
def test_another_node_reads_a_line_in_its_own_time(address, codec):
    ban = Ban("login", address, 990.0, 1990.0, "failures", failures=3)

    assert received(ban, codec) == Ban("login", address, 1095.0, 2095.0, "fleet", failures=3, origin_name="a")
    assert received(Lift(address, "login", 990.0), codec) == Lift(address, "login", 1095.0)


def test_a_permanent_ban_stays_one():
    assert received(Ban("login", ANN, 990.0, math.inf, "manual"), OPEN).is_permanent


def test_a_decision_of_the_future_is_one_of_now():
    assert OPEN.parse_line("B 203.0.113.7 login 9000000 5000000 3 -", "a/1", SAME, NOW).at == NOW


@pytest.mark.parametrize(
    "text",
    [
        "",
        "B",
        "B 203.0.113.7 login 2090000 1090000 3",  # no place for a seal
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
        "B 2001:db8::1 login 2090000 1090000 3 -",  # a single address where we write its /64
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
        "B 203.0.113.7 login 2090000 1090000 ٣ -",  # an Arabic digit
        "U 203.0.113.0/33 login - 1090000 0 -",
        "B 203.0.113.7 login 2090000 1090000 3 " + "-" * 300,
    ],
)
def test_a_line_that_we_would_not_have_written_is_malformed(text):
    assert reason(text) == "malformed"


def test_a_ban_that_has_ended_is_refused():
    assert reason("B 203.0.113.7 login 999000 990000 3 -") == "expired"


def test_an_unsealed_line_cannot_unban_everyone_or_a_wide_network():
    assert reason("U * * - 990000 0 -") == "too wide"
    assert reason("U 203.0.112.0/20 * - 990000 0 -") == "too wide"
    assert reason("U 2001:db8::/32 * - 990000 0 -") == "too wide"
    assert OPEN.parse_line("U 203.0.113.0/24 * - 990000 0 -", "a/1", SAME, NOW) == Lift(
        Address("203.0.113.0/24"), "", 990
    )


def test_a_sealed_line_can_unban_everyone():
    assert received(Lift(None, "", 990.0), SEALED) == Lift(None, "", 1095.0)


def test_a_seal_is_for_one_text_and_one_node_and_that_of_an_unban_for_a_day():
    sealed = SEALED.line(BAN, "a/1", SAME)

    assert SEALED.parse_line(sealed, "a/1", SAME, NOW).address == ANN
    assert reason(sealed, node="b/1", codec=SEALED) == "unsealed"
    assert reason(sealed.replace("203.0.113.7", "203.0.113.8"), codec=SEALED) == "unsealed"
    assert reason(OPEN.line(BAN, "a/1", SAME), codec=SEALED) == "unsealed"
    assert reason(SEALED.line(LIFT, "a/1", SAME), now=NOW + 90_000, codec=SEALED) == "expired"


@pytest.mark.parametrize("codec", [OPEN, SEALED], ids=["open", "sealed"])
def test_a_member_of_the_set_is_read_back_as_a_ban(codec):
    member, at = codec.ban_member(key_of(BAN)), 990.0 if codec.sealed else NOW

    times = codec.ban_times(BAN, AHEAD)
    assert codec.parse_ban(member, 2_090_000.0, times, AHEAD, NOW) == Ban("login", ANN, at, 1990.0, "fleet")
    times = codec.ban_times(replace(BAN, until=math.inf), AHEAD)
    assert codec.parse_ban(member, math.inf, times, AHEAD, NOW).is_permanent
    assert codec.parse_lift(codec.lift_member(LIFT, AHEAD), 1_090_000.0, AHEAD, NOW) == LIFT


def test_with_a_key_no_score_counts():
    """A score is a number that anybody can change: a ban for a minute would last for ever."""
    times, later = SEALED.ban_times(BAN, SAME), 2_000.0

    assert SEALED.parse_ban("203.0.113.7 login", math.inf, times, SAME, NOW).until == 1990.0
    with pytest.raises(LineError, match="expired"):
        SEALED.parse_ban("203.0.113.7 login", math.inf, times, SAME, later)
    lift = SEALED.parse_lift(SEALED.lift_member(LIFT, SAME), 1e12, SAME, NOW)
    assert lift == LIFT


@pytest.mark.parametrize(
    "times",
    [
        "",
        "1990000 990000",
        "inf 990000 TIMES",
        "1990000 999000 TIMES",
        "9990000 990000 TIMES",
        "1990000 990000 -",
    ],
)
def test_a_seal_is_for_the_times_too(times):
    good = SEALED.ban_times(BAN, SAME)
    with pytest.raises(LineError, match="unsealed"):
        SEALED.parse_ban("203.0.113.7 login", 2e9, times.replace("TIMES", good.split()[2]), SAME, NOW)
    with pytest.raises(LineError, match="unsealed"):
        SEALED.parse_ban("203.0.113.8 login", 2e9, good, SAME, NOW)
    assert SEALED.stored_end_ms("203.0.113.7 login", 2e9, good) == 1_990_000
    assert SEALED.stored_end_ms("203.0.113.8 login", 2e9, good) is None
    assert SEALED.stored_end_ms("203.0.113.7 login", 2e9, times) is None
    assert OPEN.stored_end_ms("203.0.113.7 login", 2e9, "") == 2e9


def test_what_is_sealed_for_the_future_is_not_believed():
    soon, late = NOW + 50, NOW + 70

    assert SEALED.parse_line(SEALED.line(replace(BAN, at=soon), "a/1", SAME), "a/1", SAME, NOW).at == NOW
    assert reason(SEALED.line(replace(BAN, at=late), "a/1", SAME), codec=SEALED) == "stale"
    assert reason(SEALED.line(Lift(None, "", late), "a/1", SAME), codec=SEALED) == "stale"
    with pytest.raises(LineError, match="stale"):
        SEALED.parse_lift(SEALED.lift_member(Lift(None, "", late), SAME), 1.0, SAME, NOW)


def test_an_unban_of_the_set_is_believed_for_a_week():
    member, week = SEALED.lift_member(LIFT, SAME), 7 * 86_400.0

    assert SEALED.parse_lift(member, 9e15, SAME, NOW + week - 20) == LIFT
    with pytest.raises(LineError, match="expired"):
        SEALED.parse_lift(member, 9e15, SAME, NOW + week)
    with pytest.raises(LineError, match="unsealed"):
        SEALED.parse_lift(member.replace(" 990000 ", " 999000 "), 9e15, SAME, NOW)
    with pytest.raises(LineError, match="unsealed"):
        SEALED.parse_lift("* *", 9e15, SAME, NOW)


def test_the_first_key_seals_and_each_is_accepted():
    old, both, new = SEALED, Codec([b"n" * 32, KEY]), Codec([b"n" * 32])
    for writer, readers, stranger in ((old, (old, both), new), (both, (both, new), old)):
        line, times = writer.line(BAN, "a/1", SAME), writer.ban_times(BAN, SAME)
        lifted = writer.lift_member(LIFT, SAME)
        for reader in readers:
            assert reader.parse_line(line, "a/1", SAME, NOW).address == ANN
            assert reader.parse_ban("203.0.113.7 login", 1.0, times, SAME, NOW).address == ANN
            assert reader.parse_lift(lifted, 1.0, SAME, NOW) == LIFT
        assert reason(line, codec=stranger) == "unsealed"
    # What the former key sealed is sealed again.
    assert both.stored_end_ms("203.0.113.7 login", 1.0, old.ban_times(BAN, SAME)) is None


def test_a_member_that_a_former_version_sealed_is_known_and_not_believed():
    member = SEALED.untimed_member(key_of(BAN))

    assert SEALED.parse_untimed(member) == key_of(BAN)
    assert SEALED.parse_untimed("203.0.113.8 login f719d63b6fe27a01") is None
    assert SEALED.parse_untimed("203.0.113.7 login") is None
    assert OPEN.parse_untimed(member) is None
    with pytest.raises(LineError, match="malformed"):
        SEALED.parse_ban(member, 2e9, "", SAME, NOW)


@pytest.mark.parametrize(
    ("member", "until", "why"),
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
def test_a_member_that_we_would_not_have_written_is_no_ban(member, until, why):
    with pytest.raises(LineError, match=why):
        OPEN.parse_ban(member, until, "", SAME, NOW)


def test_the_seal_of_an_unban_does_not_seal_a_ban():
    *_, at, given = SEALED.lift_member(LIFT, SAME).split()
    with pytest.raises(LineError, match="unsealed"):
        SEALED.parse_ban("203.0.113.7 login", 2e9, f"2000000 {at} {given}", SAME, NOW)


def test_a_ban_that_ends_too_late_for_a_line_is_permanent():
    assert end_ms(replace(BAN, until=1e15), AHEAD) == "inf"
    assert end_ms(replace(BAN, until=1.8e9), SAME) == "1800000000000"


def test_the_key_of_a_line_is_that_of_its_decision():
    assert key_of_line(OPEN.line(BAN, "a/1", AHEAD)) == key_of(BAN)


def test_networks_wider_than_a_24_or_a_48_are_wide():
    assert [is_wide(address) for address in (None, Address("10.1.0.0/16"), Address("2001:db8::/32"))] == [
        True
    ] * 3
    assert [is_wide(address) for address in (ANN, BOB, NET)] == [False] * 3


@pytest.mark.parametrize("codec", [OPEN, SEALED], ids=["open", "sealed"])
def test_a_proposal_is_read_back_for_a_minute(codec):
    proposal = Proposal(ANN, "my login", 990.0, 3)
    line = codec.line(proposal, "a/1", SAME)

    assert line.startswith("P 203.0.113.7 my+login - 990000 3 ")
    assert codec.parse_line(line, "a/1", SAME, NOW) == replace(proposal, origin_name="a")
    assert reason(line, now=1051.0, codec=codec) == "expired"


@pytest.mark.parametrize(
    "text",
    [
        "P * login - 990000 3 -",
        "P 203.0.113.7 * - 990000 3 -",
        "P 203.0.113.7 login 2000000 990000 3 -",
        "P 0.0.0.0/0 login - 990000 3 -",
        "P 203.0.113.7/24 login - 990000 3 -",
        "P 203.0.113.0/24 login - 990000 3 -",
        "P 2001:db8:1::/48 login - 990000 3 -",
    ],
)
def test_a_proposal_is_about_one_address_and_one_jail(text):
    assert reason(text) == "malformed"


def test_a_ban_is_no_proposal():
    assert reason(SEALED.line(BAN, "a/1", SAME).replace("B", "P", 1), codec=SEALED) == "unsealed"


def full(*names, window="login|203.0.113.7", codec=SEALED, now_ms=1_000_000):
    return codec.is_full(window, names, 3, (now_ms - 600_000, now_ms))


def test_failures_are_sealed_with_their_window_and_their_time():
    one, two, three = (SEALED.failure("login|203.0.113.7", name, 990_000) for name in ("a1", "a2", "b1"))

    assert full(one, two, three)
    assert full(one, two, three, codec=Codec([b"n" * 32, KEY]))
    assert not full(one, two, three, window="login|203.0.113.8")
    assert not full(one, two, three, codec=Codec([b"n" * 32]))
    assert not full(one, two, three, now_ms=990_000 + 600_001)
    assert not full(one, two, three, now_ms=900_000)
    assert not full(one, two, "x", "b1", "b1 990000 -", three.replace("990000", "990001"))
    # One target that was tried on several nodes.
    assert not full(one, two, SEALED.failure("login|203.0.113.7", "a1", 995_000))
    # An old one and new ones are not within the time.
    assert not full(one, two, SEALED.failure("login|203.0.113.7", "b1", 1))
    assert OPEN.failure("login|203.0.113.7", "a1", 990_000) == "a1"
