import pytest

from sidecar.control.commands.bans import BanCommand
from sidecar.control.commands.history import ExplainCommand, HistoryCommand
from sidecar.control.protocol import BanRequest, ExplainRequest, HistoryRequest, Refused
from sidecar.core.events import Ban
from sidecar.stores.base import EndedBan, PastBansWanted
from tests.control.commands.test_bans import COUNTED
from tests.control.daemon import ANN, BOB, Drops, Explainer, Store

PAST = EndedBan(Ban("login", ANN, 2.0, 62.0, "failures", 5, "blog"), 3.0, "manual")


def history(loop, store, *asked, **more):
    return HistoryCommand(loop, store).answer(HistoryRequest(*asked, **more))


def test_the_history_of_an_address_is_by_jail(loop):
    assert history(loop, Store(), ANN) == {"ip": ANN, "times": {}, "bans": []}
    assert history(loop, Store(), BOB) == {"ip": BOB, "times": {"login": 3}, "bans": []}


def test_the_history_has_bans_in_force_and_over_the_last_made_first(loop):
    BanCommand(loop).answer(BanRequest(ANN, "login", reason="spam"))
    BanCommand(loop).answer(BanRequest("198.51.100.1"))
    store = Store()
    store.past = [PAST]

    in_force, over = history(loop, store, ANN)["bans"]
    assert in_force == {
        "ip": ANN, "jail": "login", "at": 5.0, "until": 65.0, "cause": "manual", "failures": 0, "site": "",
        "reason": "spam", "times": 1, "observed": False, "ended": None, "ended_by": None,
    }  # fmt: skip
    assert (over["at"], over["ended"], over["ended_by"], over["site"]) == (2.0, 3.0, "manual", "blog")
    assert [each["at"] for each in history(loop, store)["bans"]] == [5.0, 5.0, 2.0]
    assert [each["ended"] for each in history(loop, store, limit=1)["bans"]] == [None]
    assert [each["jail"] for each in history(loop, store, jail="manual", limit=1)["bans"]] == ["manual"]
    assert store.wanted[-1] == PastBansWanted(None, 0.0, "manual", "", 1)


def test_a_history_that_cannot_be_read_is_refused_with_the_reason(loop):
    store = Store()
    store.error = "the disk is gone"

    with pytest.raises(Refused, match="the disk is gone"):
        history(loop, store)


def explained(loop, store, address):
    return ExplainCommand(loop, store, Drops(), Explainer()).answer(ExplainRequest(address))


def test_an_address_is_explained_for_each_jail(loop):
    store = Store()
    store.past = [PAST]
    BanCommand(loop).answer(BanRequest(ANN, "login", reason="spam"))
    BanCommand(loop).answer(BanRequest("203.0.113.0/24"))
    answer = explained(loop, store, ANN)

    assert (answer["ip"], answer["within"]) == (ANN, ["203.0.113.0/24"])
    assert answer["jails"][0] == {
        "jail": "login",
        "never": None,
        "expressions": [{"number": 1, "expression": "^fail", "lines": 2}],
        "failed_at": [1.0, 2.0],
        "failures": 0,
        "maxretry": 5,
        "findtime": 10_800.0,
        "times": 0,
        "ban": COUNTED | {"evidence": ["fail 1", "fail 2"]},
        "refused": None,
        "filter": "login",
        "lines": [],
    }
    allowed = explained(loop, Store(), "192.0.2.7")
    assert {standing["never"] for standing in allowed["jails"]} == {"ignoreip"}


def test_a_banned_network_around_is_explained_with_its_ban(loop):
    BanCommand(loop).answer(BanRequest("203.0.113.0/24", reason="botnet"))
    answer = explained(loop, Store(), "203.0.113.9")

    (ban,) = answer["networks"]
    assert (ban["ip"], ban["reason"], ban["dropped"]) == ("203.0.113.0/24", "botnet", 0)
    assert answer["within"] == ["203.0.113.0/24"]


def test_past_bans_that_cannot_be_read_are_left_out(loop, caplog):
    store = Store()
    store.past = [PAST]
    assert [each["ended"] for each in explained(loop, store, ANN)["history"]] == [3.0]

    store.error = "the disk is gone"
    assert explained(loop, store, ANN)["history"] == []
    assert "an address is explained without its past bans: the disk is gone" in caplog.text
