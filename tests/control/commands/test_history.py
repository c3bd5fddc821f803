from sidecar.control.commands.bans import BanCommand
from sidecar.control.commands.history import ExplainCommand, HistoryCommand
from sidecar.control.protocol import BanRequest, ExplainRequest, HistoryRequest
from tests.control.commands.test_bans import COUNTED
from tests.control.daemon import ANN, BOB, Drops, Store


def test_the_history_of_an_address_is_by_jail(loop):
    history = HistoryCommand(loop)

    assert history.answer(HistoryRequest(ANN)) == {"ip": ANN, "times": {}}
    assert history.answer(HistoryRequest(BOB)) == {"ip": BOB, "times": {"login": 3}}


def test_an_address_is_explained_for_each_jail(loop):
    BanCommand(loop).answer(BanRequest(ANN, "login", reason="spam"))
    BanCommand(loop).answer(BanRequest("203.0.113.0/24"))
    answer = ExplainCommand(loop, Store(), Drops()).answer(ExplainRequest(ANN))

    assert (answer["ip"], answer["within"]) == (ANN, ["203.0.113.0/24"])
    assert answer["jails"][0] == {
        "jail": "login",
        "never": None,
        "failures": 0,
        "maxretry": 5,
        "findtime": 10_800.0,
        "times": 0,
        "ban": COUNTED | {"evidence": ["fail 1", "fail 2"]},
        "refused": None,
        "filter": "login",
        "lines": [],
    }
    allowed = ExplainCommand(loop, Store(), Drops()).answer(ExplainRequest("192.0.2.7"))
    assert {standing["never"] for standing in allowed["jails"]} == {"ignoreip"}
