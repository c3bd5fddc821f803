import json

from sidecar.alerts.compose import problem, resolved, started, trial
from sidecar.alerts.notices import Field, Notice, NoticeKind, NoticeLevel, listed
from sidecar.core.actions import AlertEvent


def test_lists_fit_into_a_message():
    names = [f"container-{number:03}" for number in range(100)]

    assert listed([]) == ""
    assert listed(["a", "b"]) == "a, b"
    assert listed(["a", "b"], 9_999, "; ") == "a; b and 9,997 more"
    assert listed(names) == ", ".join(names[:40]) + " and 60 more"


def test_json_gives_a_notice_back():
    notice = problem("docker", "no daemon \udcff")

    assert Notice.from_json(json.loads(json.dumps(notice.to_json()))) == notice


def test_each_notice_belongs_to_an_event():
    notices = started("1", [], 0), problem("a", "b"), resolved("a"), trial(0.0)

    assert [notice.event for notice in notices] == [AlertEvent.START, *[AlertEvent.PROBLEM] * 3]
    assert Notice(NoticeKind.DIGEST, NoticeLevel.GOOD, "").event == AlertEvent.BAN


def test_plain_text_has_the_fields_as_lines():
    notice = Notice(NoticeKind.START, NoticeLevel.GOOD, "started", (Field("Jails", "a"), Field("Bans", "3")))

    assert notice.plain == "started\nJails: a\nBans: 3"
