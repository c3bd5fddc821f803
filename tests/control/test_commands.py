import math
import threading

import pytest

from sidecar.config.changes import ReloadOutcome
from sidecar.config.errors import ConfigError
from sidecar.config.settings import Settings
from sidecar.control.commands import Answers, shown
from sidecar.control.server import Refused
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban, Bypass, Hit, Origin, Turn
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.loop import Inbox, Loop
from sidecar.runtime.problems import Problems
from sidecar.stores.base import StoreError
from sidecar.telemetry.http import Health

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
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
    "times": 1,
    "observed": False,
    "evidence": [],
}
SETTINGS = Settings((Jail("login"),), {}, notes=("a note",))
WRONG = ConfigError("/jails.conf", "login", "maxretry", "expected a whole number", 3)


@pytest.fixture
def outcomes():
    """What becomes of reloads, one after the other."""
    return [ReloadOutcome(SETTINGS, restart=("WP_SIDECAR_STATE",)), ReloadOutcome(SETTINGS, errors=(WRONG,))]


@pytest.fixture
def banned():
    """Who is banned already."""
    return ()


class Others:
    """The fleet as answers see it: one ban that is not held here."""

    def __init__(self):
        self.away, self.lifted = "", []

    def bans(self):
        if self.away:
            raise StoreError(self.away)
        return [Ban("login", BOB, 5.0, math.inf, "fleet")]

    def unban(self, address, jail):
        if address is None:
            raise ValueError("not everyone")
        self.lifted.append((address, jail))
        return 1


@pytest.fixture
def others():
    return Others()


@pytest.fixture
def ask(outcomes, banned, others):
    """The answers of a loop that turns in a thread, at five o'clock for ever."""
    inbox, allowlist = Inbox(), Allowlist({"ignoreip": ["192.0.2.0/24"]})
    guard = Guard(
        [Jail("login", bantime=60)], allowlist, banned, [PastBans("login", Address("203.0.113.8"), 3, 4.0)]
    )
    answers = Answers(
        guard,
        inbox,
        began=1.0,
        health=lambda: Health(live=True, ready=True),
        streams={"blog": "open"},
        firewall=lambda: {"ok": True, "dropped": {}},
        reload=lambda: outcomes.pop(0),
        evidence=lambda: {("login", ANN): ("fail 1", "fail 2")},
        fleet=others,
    )
    loop = Loop(guard, inbox, [answers.tally], lambda: 5.0, Problems())
    thread = threading.Thread(target=loop.run)
    thread.start()
    yield answers
    loop.stop()
    inbox.ask(lambda _: ())
    thread.join()


def test_a_ban_by_hand_and_its_end(ask):
    assert ask({"do": "ban", "who": ANN, "jail": "login", "reason": "spam"}) == {"banned": [BY_HAND]}
    assert ask({"do": "bans"}) == {"bans": [BY_HAND | {"evidence": ["fail 1", "fail 2"]}]}
    assert ask({"do": "bans", "evidence": False}) == {"bans": [BY_HAND]}
    assert ask({"do": "unban", "who": ANN}) == {"unbanned": [{"ip": ANN, "jail": "login"}]}
    assert ask({"do": "unban"}) == {"unbanned": []}


def test_a_reload_is_told_whether_it_came_to_be_or_not(ask):
    assert ask({"do": "reload"}) == {
        "ok": True,
        "jails": ["login"],
        "notes": ["a note"],
        "mistakes": [],
        "restart": ["WP_SIDECAR_STATE"],
    }
    error = {
        "file": "/jails.conf",
        "section": "login",
        "key": "maxretry",
        "message": "expected a whole number",
        "line": 3,
    }
    assert ask({"do": "reload"}) == {
        "ok": False,
        "jails": ["login"],
        "notes": [],
        "mistakes": [error],
        "restart": [],
    }


def test_the_past_of_someone(ask):
    assert ask({"do": "history", "who": ANN}) == {"ip": ANN, "times": {}}
    assert ask({"do": "history", "who": "203.0.113.8"}) == {"ip": "203.0.113.8", "times": {"login": 3}}


def test_how_someone_stands(ask):
    ask({"do": "ban", "who": ANN, "jail": "login", "reason": "spam"})
    ask({"do": "ban", "who": "203.0.113.0/24"})
    told = ask({"do": "explain", "who": ANN})

    assert (told["ip"], told["within"]) == (ANN, ["203.0.113.0/24"])
    assert told["jails"][0] == {
        "jail": "login",
        "never": None,
        "failures": 0,
        "maxretry": 5,
        "findtime": 10_800.0,
        "times": 0,
        "ban": BY_HAND,
    }
    assert {each["never"] for each in ask({"do": "explain", "who": "192.0.2.7"})["jails"]} == {"ignoreip"}


def test_for_good_is_null():
    assert shown(Ban("login", ANN, 5.0, math.inf, "manual"))["until"] is None


@pytest.mark.parametrize(
    "banned", [[Ban("login", Address("203.0.113.9"), 1.0, 900.0, "failures", dry_run=True)]]
)
def test_status(ask):
    ask.tally.apply(Turn(5.0, hits=(HIT, HIT), bypasses=(Bypass("login", ANN, 5.0, "blog"),)))
    ask({"do": "ban", "who": ANN})
    status = ask({"do": "status"})

    assert status["jails"][0] == {
        "name": "login",
        "maxretry": 5,
        "findtime": 10_800.0,
        "bantime": 60,
        "increment": False,
        "window": "sliding",
        "mode": "enforce",
        "bangroup": 0,
        "failures": 2,
        "bans": 0,
        "active": 0,
        "observed": 1,
        "leaks": 1,
    }
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
        ({"do": "ban", "who": "evil.example"}, "'evil.example' is neither an address nor a network"),
        ({"do": "unban", "who": 7}, "'7' is neither an address nor a network"),
        ({"do": "dance"}, "no such thing to do: dance"),
        ({}, "no such thing to do: None"),
    ],
)
def test_refusals(ask, request_, sentence):
    with pytest.raises(Refused, match=sentence):
        ask(request_)
    assert ask({"do": "bans"}) == {"bans": []}


def test_what_the_fleet_knows(ask, others):
    found = ask({"do": "bans", "fleet": True})["bans"]
    assert [(ban["ip"], ban["until"], ban["cause"]) for ban in found] == [(BOB, None, "fleet")]

    others.away = "Redis is away"
    with pytest.raises(Refused, match="Redis is away"):
        ask({"do": "bans", "fleet": True})


def test_an_unban_on_every_node(ask, others):
    ask({"do": "ban", "who": ANN, "jail": "login"})

    assert ask({"do": "unban", "who": ANN, "jail": "login", "fleet": True}) == {
        "unbanned": [{"ip": ANN, "jail": "login"}],
        "fleet": 1,
    }
    assert ask({"do": "unban", "who": BOB, "fleet": True}) == {"unbanned": [], "fleet": 1}
    assert others.lifted == [(ANN, "login"), (BOB, "")]
    with pytest.raises(Refused, match="not everyone"):
        ask({"do": "unban", "fleet": True})


def test_a_host_that_is_alone_says_so():
    alone = Answers(
        Guard([], Allowlist()), Inbox(), began=1.0, health=None, streams={}, firewall=None, reload=None, evidence=None
    )  # fmt: skip
    with pytest.raises(Refused, match="this host is in no fleet: set WP_SIDECAR_REDIS_URL"):
        alone({"do": "bans", "fleet": True})
