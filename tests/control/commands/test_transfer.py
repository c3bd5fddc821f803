import math

import pytest

from sidecar.advice.allowlist import TOO_MANY_ALLOWED
from sidecar.control.commands.bans import BanCommand
from sidecar.control.commands.transfer import ImportCommand
from sidecar.control.protocol import BanRequest, Refused
from sidecar.control.transfer import ImportRequest
from sidecar.core.allowed import MAX_ALLOWED
from sidecar.core.allowlist import BY_HAND, Allowlist
from sidecar.core.allowlist_bounds import bound
from tests.control.daemon import ANN, BOB, NOW


class Inputs:
    """An allowlist of what people allowed, within the bounds."""

    def __init__(self):
        self.others, self.allowed = ("192.0.2.0/24",), ()

    def refused_with(self, addresses):
        found = bound({BY_HAND: (*self.allowed, *addresses), "engine": self.others}).refused
        return [
            each
            for each in found
            if each not in bound({BY_HAND: self.allowed, "engine": self.others}).refused
        ]

    def allow(self, entries, guard, now):
        guard.allow(entries)
        self.allowed = tuple(each.address for each in guard.view.allowed)
        return guard.set_allowlist(Allowlist({"ignoreip": self.others, BY_HAND: self.allowed}), now)


@pytest.fixture
def inputs():
    return Inputs()


@pytest.fixture
def take_over(loop, inputs):
    def take_over(*entries, **more):
        answer = ImportCommand(loop, inputs).answer(ImportRequest(entries, **more))
        return {key: value for key, value in answer.items() if value}

    return take_over


@pytest.fixture
def in_force(loop):
    def in_force():
        bans, allowed = loop.query(lambda view, _: (view.bans, view.allowed))
        by_end = sorted(bans, key=lambda ban: ban.until)
        return (
            [(ban.address, ban.jail, ban.until, ban.reason) for ban in by_end],
            [(each.address, each.until, each.comment) for each in allowed],
        )

    return in_force


def ban(address=ANN, **more):
    return {"kind": "ban", "ip": address, **more}


def allow(address=BOB, **more):
    return {"kind": "allow", "ip": address, **more}


def test_a_list_is_in_force_with_its_ends_and_again_changes_nothing(take_over, in_force):
    entries = (
        allow("198.51.100.0/24", until=None, comment="office"),
        allow(BOB, until=NOW + 7),
        ban(jail="login", until=NOW + 60.5, reason="3 failures in blog"),
        ban("203.0.113.9/32", until=None),
        ban("2001:db8::1", **{"for": 30}),
    )

    assert take_over(*entries) == {"banned": 3, "allowed": 2}
    assert in_force() == (
        [
            ("2001:db8::/64", "manual", NOW + 30, ""),
            (ANN, "login", NOW + 60.5, "3 failures in blog"),
            ("203.0.113.9", "manual", math.inf, ""),
        ],
        [("198.51.100.0/24", math.inf, "office"), (BOB, NOW + 7, "")],
    )
    assert take_over(*entries) == {"known": 5}


def test_a_ban_is_made_longer_and_never_shorter(take_over, in_force):
    take_over(ban(jail="login", until=NOW + 60))

    assert take_over(ban(jail="login", until=NOW + 30)) == {"known": 1}
    assert take_over(ban(jail="login", until=NOW + 90)) == {"longer": 1}
    assert in_force()[0] == [(ANN, "login", NOW + 90, "")]


def test_an_address_that_stands_twice_in_a_list_is_banned_once_until_the_later_end(take_over, in_force):
    found = take_over(*(ban(until=NOW + end) for end in (60, 30, 90)))

    assert found == {"banned": 1, "known": 1, "longer": 1}
    assert in_force()[0] == [(ANN, "manual", NOW + 90, "")]


def test_without_an_end_the_jails_ban_time_holds_and_for_good_has_no_number(take_over, in_force):
    take_over(ban(jail="login"), ban("203.0.113.9", **{"for": -1}))

    assert in_force()[0] == [(ANN, "login", NOW + 60, ""), ("203.0.113.9", "manual", math.inf, "")]


def test_all_bans_are_put_into_one_jail(take_over, in_force):
    take_over(ban(jail="gone", until=NOW + 60), jail="login")

    assert in_force()[0] == [(ANN, "login", NOW + 60, "")]
    with pytest.raises(Refused, match="no jail is named lgoin"):
        take_over(ban(), jail="lgoin")


def test_what_is_over_is_counted_and_left_out(take_over, in_force):
    assert take_over(ban(until=NOW), allow(until=NOW - 1)) == {"over": 2}
    assert in_force() == ([], [])


def test_bans_end_of_what_is_allowed(loop, take_over, in_force):
    BanCommand(loop).answer(BanRequest(ANN))

    assert take_over(allow(ANN)) == {"allowed": 1, "unbanned": 1}
    assert in_force() == ([], [(ANN, math.inf, "")])


def test_a_dry_run_says_the_same_and_changes_nothing(take_over, in_force):
    entries = (ban(until=None), ban("x"), allow(), ban(until=NOW))
    said = take_over(*entries, dry_run=True)

    assert in_force() == ([], [])
    assert take_over(*entries) == said
    assert said == {"banned": 1, "allowed": 1, "over": 1, "refused": said["refused"]}


def test_what_a_list_allows_it_does_not_ban(take_over, in_force):
    entries = (ban("198.51.100.9"), allow("198.51.100.0/24"), ban())
    said = take_over(*entries)

    assert said == {
        "banned": 1,
        "allowed": 1,
        "refused": [{"index": 0, "why": "198.51.100.9 is never banned: it is allowed by hand"}],
    }
    assert in_force()[0] == [(ANN, "manual", NOW + 86_400, "")]


# Lists in the pieces in which they are sent: what a piece does to the next ones, and to what is in force.
LISTS = [
    pytest.param([ban()], [ban()], [ban(**{"for": -1})], id="an address in three pieces"),
    pytest.param([allow(BOB)], [ban(BOB), ban()], id="allowed, then banned"),
    pytest.param([ban(BOB), ban()], [allow("203.0.113.8/31")], id="banned, then allowed"),
    pytest.param([allow(BOB)], [allow(BOB), allow(BOB, comment="x")], id="allowed in two pieces"),
    pytest.param([ban()], [allow(ANN)], [ban()], id="banned, allowed, banned"),
    pytest.param([ban(BOB, **{"for": -1})], [allow(BOB)], id="banned for longer, then allowed"),
    pytest.param(
        *([allow(f"198.18.{piece}.{n % 256}") for n in range(200)] for piece in range(6)),
        id="more to allow than there is room for",
    ),
    pytest.param(
        *([allow(f"{first}.0.0.0/8")] for first in (11, 12, 13, 14, 15)), id="more than may be allowed"
    ),
]  # fmt: skip


@pytest.mark.parametrize("pieces", [each.values for each in LISTS], ids=[each.id for each in LISTS])
def test_a_dry_run_of_several_pieces_says_what_the_import_of_all_of_them_does(loop, inputs, in_force, pieces):
    command = ImportCommand(loop, inputs)
    BanCommand(loop).answer(BanRequest("203.0.113.8"))

    def said(draft):
        """What each piece does. The name of a draft makes it a dry run."""
        return [command.answer(ImportRequest(piece, "", bool(draft), draft)) for piece in pieces]

    before, drafted = in_force(), said("a")
    assert in_force() == before
    # Another draft begins with what is in force.
    assert said("b") == drafted
    assert command.answer(ImportRequest((), dry_run=True))["banned"] == 0
    assert said("") == drafted


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        (ban("evil.example"), "neither an address nor a network"),
        (ban("0.0.0.0/0"), "too wide to ban"),
        (ban("192.0.2.7"), "192.0.2.7 is never banned: it is ignoreip"),
        (ban(jail="lgoin"), "no jail is named lgoin; there are login, manual"),
        (ban(until="soon"), "until has to be a unix time, or null for good, not soon"),
        (ban(until=True), "until has to be"),
        (ban(until=float("nan")), "until has to be"),
        (ban(**{"for": 0}), "an entry is for a number of seconds, 1 or more, or -1 for good"),
        (ban(reason=7), "reason has to be text, not 7"),
        (ban(jail=["login"]), "jail has to be text"),
        ({"kind": "ban"}, "neither an address nor a network"),
        (allow("office.example"), "neither an address nor a network"),
        (allow("0.0.0.0/0"), "0.0.0.0/0 would be beyond what may be"),
        (allow(comment=None), "comment has to be text"),
        ({"ip": ANN}, "kind has to be ban or allow, not None"),
        ([ANN], "an entry is an object"),
    ],
)
def test_an_entry_that_is_refused_stops_no_other_and_is_named_by_its_place(
    take_over, in_force, entry, sentence
):
    answer = take_over(ban("203.0.113.9", until=None), entry, allow("198.51.100.7"))
    (refused,) = answer["refused"]

    assert refused["index"] == 1
    assert sentence in refused["why"]
    assert (len(in_force()[0]), len(in_force()[1])) == (1, 1)


def test_so_much_is_allowed_as_there_is_room_for(take_over, in_force):
    whole = [allow(f"198.18.{n // 256}.{n % 256}") for n in range(MAX_ALLOWED + 2)]
    answer = take_over(*whole)

    assert answer["allowed"] == MAX_ALLOWED
    assert answer["refused"] == [
        {"index": index, "why": TOO_MANY_ALLOWED} for index in (MAX_ALLOWED, MAX_ALLOWED + 1)
    ]
    assert take_over(*whole[:2], allow("203.0.113.9"))["refused"][0]["index"] == 2


def test_what_would_displace_a_network_of_another_source_is_refused(take_over, inputs, in_force):
    inputs.others = tuple(f"{first}.0.0.0/8" for first in (11, 12, 13, 14))
    (refused,) = take_over(allow(ANN))["refused"]

    assert "14.0.0.0/8 would be beyond" in refused["why"]
    assert in_force()[1] == []
