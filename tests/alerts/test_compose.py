import math
from dataclasses import replace

import pytest

from sidecar.alerts.compose import described, digested, problem, resolved, started, stopped, trial, until
from sidecar.alerts.notices import Field, Notice, NoticeKind, NoticeLevel
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.address import Address
from sidecar.core.events import Ban, Bypass, Hit, Origin, Unban, UnbanCause

ANN = Address("203.0.113.7")


def banned(ban):
    return described(Occurrence.of_ban(ban, ban.at))


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
        jail="wordpress",
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
        jail="manual",
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
    assert until(Occurrence.of_ban(Ban("wordpress", ANN, NOON, end, "manual"), NOON)) == "for good"


def test_a_problem_and_its_end_have_the_same_key():
    what = Field("What", "nft is gone", short=False, verbatim=True)

    assert [problem("firewall", "nft is gone"), resolved("firewall")] == [
        Notice(NoticeKind.PROBLEM, NoticeLevel.DANGER, "Problem: firewall", (what,), key="firewall"),
        Notice(NoticeKind.RESOLVED, NoticeLevel.GOOD, "Resolved: firewall", key="firewall"),
    ]


def test_a_sentence_is_whole_and_a_cut_shows():
    sentence = "Docker says a lot. " * 100 + "Change that."

    assert problem("docker", sentence).fields[0].value == sentence
    assert problem("docker", "x" * 10_000).fields[0].value == "x" * 2_999 + "…"


def test_an_unban_a_failure_and_a_bypass():
    unban = described(Occurrence.of_unban(Unban("web", ANN, NOON, UnbanCause.EXPIRED)))
    hit = described(Occurrence.of_hit(Hit("web", ANN, NOON, Origin("docker", "blog"), "a line")))
    bypass = described(Occurrence.of_bypass(Bypass("web", ANN, NOON, "blog"), "a CDN is in front"))

    assert (unban.kind, unban.text) == (NoticeKind.UNBAN, "Unbanned 203.0.113.7 (expired)")
    assert hit == Notice(
        NoticeKind.FOUND,
        NoticeLevel.WARNING,
        "A failure of 203.0.113.7",
        (
            Field("Jail", "web"),
            Field("Container", "blog"),
            Field("Last line", "a line", short=False, verbatim=True),
        ),
        jail="web",
    )
    assert (bypass.kind, bypass.text, bypass.fields[0].value) == (
        NoticeKind.BYPASS,
        "Problem: the ban of 203.0.113.7",
        "It still reaches blog: a CDN is in front.",
    )


def test_a_digest_counts_each_kind():
    digest = Digest()
    digest.add([Occurrence.of_ban(BAN, NOON), Occurrence.of_ban(replace(BAN, dry_run=True), NOON)] * 2)
    digest.add([Occurrence.of_unban(Unban("wordpress", ANN, NOON + 60, UnbanCause.EXPIRED))])

    assert digested(digest).text == "2 bans enforced, 2 bans observed (dry run), 1 unban within 1m"


def test_a_test_message_says_that_it_is_one():
    assert (trial(NOON).kind, trial(NOON).at) == (NoticeKind.TEST, NOON)
