"""What a list would change: the story of whole lists is in test_transfer.py."""

import math

import pytest

from sidecar.control.commands import import_judge
from sidecar.control.commands.bans import BanCommand
from sidecar.control.commands.import_judge import Draft, EntryJudge, NewBan
from sidecar.control.protocol import BanRequest
from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from tests.control.daemon import ANN, BOB, NOW

NETWORK = Address("203.0.113.0/24")


class Boundless:
    def refused_with(self, _):
        return ()


@pytest.fixture
def judged(loop):
    """Judges entries by a draft."""

    def judged(draft, *entries):
        judge = lambda view, now: EntryJudge(view, now, "", draft, Boundless()).judge(entries)  # noqa: E731
        return loop.query(judge).counts

    return judged


def ban(address):
    return {"kind": "ban", "ip": address, "for": -1}


def test_what_a_draft_allows_ends_its_bans_and_those_in_force_once(loop, judged):
    BanCommand(loop).answer(BanRequest(ANN))
    draft = Draft()
    judged(draft, ban(ANN), ban(BOB), ban("198.51.100.7"))
    entries = [Allow(NETWORK, NOW)]

    assert loop.query(lambda view, _: draft.allow(entries, view)) == 2
    assert draft.bans == {("manual", "198.51.100.7"): math.inf}
    assert [draft.allowlist_reason(each) for each in (ANN, Address("198.51.100.7"))] == [
        "allowed by hand",
        None,
    ]
    # They have ended, and a narrower network ends nothing more.
    assert loop.query(lambda view, _: draft.allow([Allow(ANN, NOW)], view)) == 0


def test_a_draft_that_allows_nothing_asks_for_no_ban():
    assert Draft().allow([], None) == 0
    assert Draft().allowlist_reason(Address("127.0.0.1")) is None


def test_a_draft_remembers_no_more_bans_than_it_may(judged, monkeypatch):
    monkeypatch.setattr(import_judge, "MAX_DRAFT_BANS", 1)
    draft = Draft()

    assert judged(draft, ban(ANN), ban(BOB)) == {"banned": 2, "allowed": 0, "unbanned": 0}
    assert judged(draft, ban(ANN), ban(BOB)) == {"banned": 1, "known": 1, "allowed": 0, "unbanned": 0}


def test_a_later_ban_of_a_draft_replaces_the_earlier_one():
    draft = Draft()
    draft.ban([NewBan(ANN, "login", 7.0, ""), NewBan(ANN, "login", 9.0, "")])

    assert draft.bans == {("login", ANN): 9.0}
