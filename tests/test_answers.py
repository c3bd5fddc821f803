import math
import threading

import pytest

from sidecar.answers import Answers, shown
from sidecar.control import Refused
from sidecar.core.events import Ban, Hit, Origin, Turn, Who
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.trust import Trust
from sidecar.loop import Inbox, Loop
from sidecar.web import Health

ANN = Who("203.0.113.7")
HIT = Hit("login", ANN, 5.0, Origin("docker", "blog"), "fail")
BY_HAND = {
    "ip": "203.0.113.7",
    "jail": "login",
    "at": 5.0,
    "until": 65.0,
    "cause": "manual",
    "failures": 0,
    "site": "",
    "reason": "spam",
    "evidence": [],
}


@pytest.fixture
def ask():
    """The answers of a loop that turns in a thread, at five o'clock for ever."""
    inbox, guard = Inbox(), Guard([Jail("login", bantime=60)], Trust({"ignoreip": ["192.0.2.0/24"]}))
    answers = Answers(
        guard,
        inbox,
        began=1.0,
        health=lambda: Health(live=True, ready=True),
        streams={"blog": "open"},
        firewall=lambda: {"ok": True, "dropped": {}},
    )
    loop = Loop(guard, inbox, [answers.tally], lambda: 5.0, lambda *_: None)
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield answers
    loop.stop()
    inbox.ask(lambda _: ())
    thread.join()


def test_a_ban_by_hand_and_its_end(ask):
    assert ask({"do": "ban", "who": ANN, "jail": "login", "reason": "spam"}) == {"banned": [BY_HAND]}
    assert ask({"do": "bans"}) == {"bans": [BY_HAND]}
    assert ask({"do": "unban", "who": ANN}) == {"unbanned": [{"ip": ANN, "jail": "login"}]}
    assert ask({"do": "unban"}) == {"unbanned": []}


def test_for_good_is_null():
    assert shown(Ban("login", ANN, 5.0, math.inf, "manual"))["until"] is None


def test_status(ask):
    ask.tally.apply(Turn(5.0, hits=(HIT, HIT)))
    ask({"do": "ban", "who": ANN})
    status = ask({"do": "status"})

    assert [(jail["name"], jail["failures"], jail["bans"], jail["active"]) for jail in status["jails"]] == [
        ("login", 2, 0, 0),
        ("manual", 0, 1, 1),
    ]
    assert status["streams"] == [{"container": "blog", "state": "open"}]
    assert (status["started"], status["bans"], status["firewall"]["ok"]) == (1.0, 1, True)
    assert status["health"] == ask({"do": "health"}) == {"live": True, "ready": True, "why": []}


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"do": "ban", "who": "192.0.2.7"}, "192.0.2.7 is never banned: it is ignoreip"),
        ({"do": "ban", "who": ANN, "jail": "lgoin"}, "no jail is named lgoin; there are login, manual"),
        ({"do": "ban", "who": ANN, "for": "soon"}, "a ban lasts seconds, -1 for good: not soon"),
        ({"do": "ban", "who": "evil.example"}, "'evil.example' is no address and no network"),
        ({"do": "unban", "who": 7}, "no such thing to do: unban"),
        ({"do": "dance"}, "no such thing to do: dance"),
        ({}, "no such thing to do: None"),
    ],
)
def test_refusals(ask, request_, sentence):
    with pytest.raises(Refused, match=sentence):
        ask(request_)
    assert ask({"do": "bans"}) == {"bans": []}
