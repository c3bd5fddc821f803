import math
from dataclasses import replace

import pytest

from sidecar.alerts.notices import (
    Alerts,
    Field,
    Notice,
    banned,
    broken,
    plain,
    recovered,
    some,
    started,
    stopped,
    until,
)
from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn, Unban

ANN = Address("203.0.113.7")
NOON = 1_793_880_000.0  # 2026-11-05 12:00:00 UTC
BAN = Ban(
    "wordpress",
    ANN,
    NOON,
    NOON + 86_400,
    "failures",
    failures=3,
    origin_name="blog",
    evidence=("first", "last"),
)
BY_HAND = Ban("manual", ANN, NOON, math.inf, "manual", reason="asked for it")


class Kept:
    def __init__(self):
        self.got = []

    def tell(self, notice):
        self.got.append(notice)

    def bans(self, bans):
        self.got += bans


def test_bans_decided_here_are_told_and_nothing_else():
    kept = Kept()
    restored = Ban("wordpress", ANN, NOON, NOON + 60, "restored")
    Alerts([kept]).apply(Turn(NOON, (BAN, restored, BY_HAND, Unban("wordpress", ANN, NOON, "expired"))))
    Alerts([kept]).apply(Turn(NOON))

    assert kept.got == [BAN, BY_HAND]


def test_every_channel_is_told_of_a_trouble_and_of_its_end():
    one, two = Kept(), Kept()
    alerts = Alerts([one, two])
    alerts.problem_changed("firewall", "nft is gone")
    alerts.problem_changed("firewall", None)

    assert one.got == two.got == [broken("firewall", "nft is gone"), recovered("firewall")]


def test_start_and_stop():
    jails = Field("Jails", "wordpress, wordpress-access")

    assert [started("1.2.3", ["wordpress", "wordpress-access"], 12_345), stopped(12_346)] == [
        Notice("start", "good", "wp-sidecar 1.2.3 has started", (jails, Field("Bans in force", "12,345"))),
        Notice("stop", "good", "wp-sidecar has stopped", (Field("Bans left in force", "12,346"),)),
    ]


def test_a_ban_is_told_with_its_evidence():
    assert banned(BAN) == Notice(
        "ban",
        "warning",
        "Banned 203.0.113.7 after 3 failures",
        (
            Field("Address", "203.0.113.7"),
            Field("Failures", "3"),
            Field("Jail", "wordpress"),
            Field("Container", "blog"),
            Field("Until", "2026-11-06 12:00:00 UTC (1d)"),
            Field("Last line", "last", short=False, verbatim=True),
        ),
    )


def test_a_ban_by_hand_is_told_with_its_reason():
    assert banned(BY_HAND) == Notice(
        "ban",
        "warning",
        "Banned 203.0.113.7 by hand",
        (
            Field("Address", "203.0.113.7"),
            Field("Jail", "manual"),
            Field("Until", "for good"),
            Field("Reason", "asked for it", short=False, verbatim=True),
        ),
    )


def test_who_came_back_a_group_and_who_is_only_observed():
    again = Ban("login", ANN, 0.0, 60.0, "failures", 3, "blog", ban_count=2)
    group = Ban("login", Address("203.0.113.0/24"), 0.0, 60.0, "group", 5, "blog")

    assert banned(again).text == "Banned 203.0.113.7 after 3 failures"
    assert Field("Times banned", "2") in banned(again).fields
    assert banned(group).text == "Banned 203.0.113.0/24 because 5 of its hosts are banned"
    assert banned(replace(again, dry_run=True)).text == "Would have banned 203.0.113.7 after 3 failures"


def test_a_megabyte_of_evidence_is_not_kept():
    ban = Ban(
        "wordpress",
        ANN,
        NOON,
        NOON + 60,
        "failures",
        failures=1,
        origin_name="/var/log/a",
        evidence=("x" * 2**20,),
    )

    assert banned(ban).fields[3:] == (
        Field("Log", "/var/log/a"),
        Field("Until", "2026-11-05 12:01:00 UTC (1m)"),
        Field("Last line", "x" * 300, short=False, verbatim=True),
    )


@pytest.mark.parametrize("end", [math.inf, 1e18, 253_402_300_800.0])
def test_what_no_calendar_holds_is_for_good(end):
    assert until(Ban("wordpress", ANN, NOON, end, "manual")) == "for good"


def test_lists_fit_into_a_message():
    names = [f"container-{number:03}" for number in range(100)]

    assert some([]) == ""
    assert some(["a", "b"]) == "a, b"
    assert some(["a", "b"], 9_999, "; ") == "a; b and 9,997 more"
    assert some(names) == ", ".join(names[:40]) + " and 60 more"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("GET /äöü?名=1 ☕", "GET /äöü?名=1 ☕"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("moc.\u202eevil", r"moc.\u202eevil"),
        ("\u2028\x00\x85", r"\u2028\x00\x85"),
        ("\udcff", r"\udcff"),
        ("\U000e0001", r"\U000e0001"),
        ("0123456789" * 3, "0123456789" * 2),
        ("\x00" * 30, r"\x00" * 5),
    ],
)
def test_a_line_shows_what_it_holds(text, shown):
    assert plain(text, 20) == shown
