import logging
import math
from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.allowed import Allow, Disallow
from sidecar.core.events import Ban, Turn, Unban
from sidecar.telemetry.decision_log import DecisionLog, end_of_ban

ANN = Address("203.0.113.7")


def test_a_line_for_each_decision_and_none_of_the_evidence(caplog):
    caplog.set_level(logging.INFO)
    ban = Ban("login", ANN, 0.0, 3600.0, "failures", 3, "blog", ("POST /wp-login.php evil",))
    DecisionLog().apply(Turn(0.0, (ban, Unban("login", ANN, 9.0, "manual"))))

    assert caplog.messages == [
        "[login] Ban 203.0.113.7 until 1970-01-01 01:00:00 UTC (3 failures, the last in blog)",
        "[login] Unban 203.0.113.7 (manual)",
    ]


def test_a_line_for_what_people_allow(caplog):
    caplog.set_level(logging.INFO)
    changes = (
        Allow(ANN, 0.0, 3600.0, "on\ncall"),
        Allow(Address("198.51.100.0/24"), 0.0),
        Disallow(ANN, 9.0, "expired"),
    )
    DecisionLog().apply(Turn(9.0, allow_changes=changes))

    assert "\n".join(caplog.messages).splitlines() == [
        "Allow 203.0.113.7 until 1970-01-01 01:00:00 UTC (on\\ncall)",
        "Allow 198.51.100.0/24 for good (no comment)",
        "Disallow 203.0.113.7 (expired)",
    ]


def test_a_ban_by_hand_and_a_log_whose_name_would_break_a_line(caplog):
    caplog.set_level(logging.INFO)
    by_hand = Ban("manual", ANN, 0.0, math.inf, "manual")
    once = Ban("login", ANN, 0.0, math.inf, "failures", 1, "/log/a\nb")
    DecisionLog().apply(Turn(0.0, (by_hand, once)))

    assert caplog.messages == [
        "[manual] Ban 203.0.113.7 for good (manual)",
        "[login] Ban 203.0.113.7 for good (1 failure, the last in /log/a\\nb)",
    ]


def test_who_asked_for_a_ban_and_for_its_end(caplog):
    caplog.set_level(logging.INFO)
    by_hand = Ban("manual", ANN, 0.0, math.inf, "manual", reason="web: spam\n[x] Ban all" + "!" * 200)
    DecisionLog().apply(Turn(0.0, (by_hand, Unban("login", ANN, 9.0, "web"))))

    banned, unbanned = caplog.messages
    assert banned.startswith("[manual] Ban 203.0.113.7 for good (manual, web: spam\\n[x] Ban all!")
    assert len(banned) < 160
    assert unbanned == "[login] Unban 203.0.113.7 (web)"


def test_many_decisions_of_other_nodes_are_one_line(caplog):
    caplog.set_level(logging.INFO)
    from_the_fleet = tuple(Ban("login", Address(f"198.18.0.{n}"), 0.0, math.inf, "fleet") for n in range(200))
    DecisionLog().apply(Turn(0.0, (*from_the_fleet, Unban("login", ANN, 9.0, "manual"))))
    DecisionLog().apply(Turn(0.0, from_the_fleet[:1]))

    assert caplog.messages == [
        "200 bans and unbans from other nodes",
        "[login] Unban 203.0.113.7 (manual)",
        "[login] Ban 198.18.0.0 for good (fleet)",
    ]


def test_a_repeated_ban_a_group_and_a_dry_run(caplog):
    caplog.set_level(logging.INFO)
    again = Ban("login", ANN, 0.0, math.inf, "failures", 3, "blog", ban_count=2)
    group = Ban("login", Address("203.0.113.0/24"), 0.0, math.inf, "group", 5, "blog")
    DecisionLog().apply(Turn(0.0, (again, group, replace(again, dry_run=True, ban_count=1))))

    assert caplog.messages == [
        "[login] Ban 203.0.113.7 for good (3 failures, the last in blog, ban number 2)",
        "[login] Ban 203.0.113.0/24 for good (5 of its hosts are banned)",
        "[login] Would ban 203.0.113.7 for good (3 failures, the last in blog)",
    ]


def test_a_ban_without_an_end_is_for_good():
    assert end_of_ban(math.inf) == "for good"


def test_many_decisions_are_one_record_for_other_handlers(caplog):
    caplog.set_level(logging.INFO)
    many = tuple(Unban("login", Address(f"198.18.0.{n}"), 9.0, "manual") for n in range(101))
    DecisionLog().apply(Turn(0.0, many))

    assert caplog.messages == ["\n".join(f"[login] Unban {each.address} (manual)" for each in many)]
