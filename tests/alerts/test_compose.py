import math
from dataclasses import replace

import pytest

from sidecar.alerts.compose import banned, event, problem, resolved, started, stopped, until
from sidecar.alerts.notices import Field, Notice, NoticeKind, NoticeLevel
from sidecar.core.address import Address
from sidecar.core.events import Ban

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


def test_start_and_stop():
    jails = Field("Jails", "wordpress, wordpress-access")

    assert [started("1.2.3", ["wordpress", "wordpress-access"], 12_345), stopped(12_346)] == [
        Notice(
            NoticeKind.START,
            NoticeLevel.GOOD,
            "wp-sidecar 1.2.3 has started",
            (jails, Field("Bans in force", "12,345")),
        ),
        Notice(
            NoticeKind.STOP,
            NoticeLevel.GOOD,
            "wp-sidecar has stopped",
            (Field("Bans left in force", "12,346"),),
        ),
    ]


def test_a_ban_is_shown_with_its_evidence():
    assert banned(BAN) == Notice(
        NoticeKind.BAN,
        NoticeLevel.WARNING,
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


def test_a_ban_by_hand_is_shown_with_its_reason():
    assert banned(BY_HAND) == Notice(
        NoticeKind.BAN,
        NoticeLevel.WARNING,
        "Banned 203.0.113.7 by hand",
        (
            Field("Address", "203.0.113.7"),
            Field("Jail", "manual"),
            Field("Until", "for good"),
            Field("Reason", "asked for it", short=False, verbatim=True),
        ),
    )


def test_a_repeated_ban_a_group_and_a_dry_run():
    again = Ban("login", ANN, 0.0, 60.0, "failures", 3, "blog", ban_count=2)
    group = Ban("login", Address("203.0.113.0/24"), 0.0, 60.0, "group", 5, "blog")

    assert banned(again).text == "Banned 203.0.113.7 after 3 failures"
    assert Field("Times banned", "2") in banned(again).fields
    assert banned(group).text == "Banned 203.0.113.0/24 because 5 of its hosts are banned"
    assert banned(replace(again, dry_run=True)).text == "Would have banned 203.0.113.7 after 3 failures"


def test_a_megabyte_of_evidence_is_cut():
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
def test_an_end_beyond_the_calendar_is_for_good(end):
    assert until(Ban("wordpress", ANN, NOON, end, "manual")) == "for good"


def test_a_problem_and_its_end_have_the_same_key():
    what = Field("What", "nft is gone", short=False, verbatim=True)

    assert [problem("firewall", "nft is gone"), resolved("firewall"), event("firewall", "nft is gone")] == [
        Notice(NoticeKind.PROBLEM, NoticeLevel.DANGER, "Problem: firewall", (what,), key="firewall"),
        Notice(NoticeKind.RESOLVED, NoticeLevel.GOOD, "Resolved: firewall", key="firewall"),
        Notice(NoticeKind.PROBLEM, NoticeLevel.DANGER, "Problem: firewall", (what,)),
    ]
