from typing import ClassVar

import pytest

from sidecar.access.logs import AccessLogs
from sidecar.config.changes import ReloadOutcome
from sidecar.config.errors import ConfigError
from sidecar.config.settings import Settings
from sidecar.control.commands.bans import BanCommand
from sidecar.control.commands.daemon import HealthCommand, ReloadCommand, StatusCommand, Tally
from sidecar.control.protocol import BanRequest, HealthRequest, Refused, ReloadRequest, StatusRequest
from sidecar.core.address import Address
from sidecar.core.events import Ban, Bypass, Hit, Origin, Turn
from sidecar.core.jail import Jail
from sidecar.runtime.loop import Closed
from tests.control.daemon import ANN, Healthy, running_loop

HEALTH = {"live": True, "ready": True, "why": []}
HIT = Hit("login", ANN, 5.0, Origin("docker", "blog"), "fail")
SETTINGS = Settings((Jail("login"),), {}, notes=("a note",))


class Firewall:
    def state(self):
        return {"ok": True, "enforced": [1, 1], "dropped": {}}


class Inputs:
    labels = {"shop": ("wp-sidecar.mode=observe",), "blog": ("wp-sidecar.maxretry=9",)}  # noqa: RUF012


class Details:
    def of(self, name):
        return {"last": 4.0} if name == "blog" else {}


class Oddities:
    notes: ClassVar = {"shop": "not understood"}
    remarks = ("the filter x of [login] has matched nothing",)


class Reloader:
    """Each reload has the next of these outcomes; after the last one the loop has stopped."""

    def __init__(self, *outcomes):
        self._outcomes = [*outcomes]

    def reload(self):
        if not self._outcomes:
            raise Closed
        return self._outcomes.pop(0)


def read_logs():
    """The logs of a container that wrote a request to one stream, and something else to the other."""
    logs, request = (
        AccessLogs(),
        '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST / HTTP/1.1" 200 51 "-" "curl"',
    )
    for stream, line in (("stdout", request), ("stderr", "PHP Warning: x")):
        logs.of(Origin("docker", "blog", stream)).readings(line)
    return logs


def test_health_is_that_of_the_daemon():
    assert HealthCommand(Healthy()).answer(HealthRequest()) == HEALTH


def test_a_reload_says_whether_the_new_configuration_is_in_force():
    error = ConfigError("/jails.conf", "login", "maxretry", "expected a whole number", 3)
    applied = ReloadOutcome(SETTINGS, restart=("WP_SIDECAR_STATE",))
    reload = ReloadCommand(Reloader(applied, ReloadOutcome(SETTINGS, errors=(error,))))

    assert reload.answer(ReloadRequest()) == {
        "ok": True,
        "jails": ["login"],
        "notes": ["a note"],
        "mistakes": [],
        "restart": ["WP_SIDECAR_STATE"],
    }
    assert reload.answer(ReloadRequest()) == {
        "ok": False,
        "jails": ["login"],
        "notes": [],
        "mistakes": [
            {
                "file": "/jails.conf",
                "section": "login",
                "key": "maxretry",
                "message": "expected a whole number",
                "line": 3,
            }
        ],
        "restart": [],
    }
    with pytest.raises(Refused, match="wp-sidecar is stopping"):
        reload.answer(ReloadRequest())


def test_status_shows_jails_logs_and_what_was_counted():
    tally = Tally(started_at=1.0)
    dry_run = Ban("login", Address("203.0.113.9"), 1.0, 900.0, "failures", dry_run=True)
    with running_loop([dry_run], [tally]) as loop:
        tally.apply(Turn(5.0, hits=(HIT, HIT), bypasses=(Bypass("login", ANN, 5.0, "blog"),)))
        BanCommand(loop).answer(BanRequest(ANN))
        answer = StatusCommand(
            loop,
            health=Healthy(),
            streams={"blog": "open", "shop": "closed"},
            details=Details(),
            oddities=Oddities(),
            access_logs=read_logs(),
            firewall=Firewall(),
            inputs=Inputs(),
            tally=tally,
        ).answer(StatusRequest())

    assert answer["jails"][0] == {
        "name": "login",
        "maxretry": 5,
        "findtime": 10_800.0,
        "bantime": 60,
        "increment": False,
        "window": "sliding",
        "mode": "enforce",
        "bangroup": 0,
        "aggregate": True,
        "witness": True,
        "failures": 2,
        "bans": 0,
        "active": 0,
        "observed": 1,
        "refused": 0,
        "leaks": 1,
    }
    assert [(jail["name"], jail["failures"], jail["bans"], jail["active"]) for jail in answer["jails"]] == [
        ("login", 2, 0, 0),
        ("manual", 0, 1, 1),
    ]
    assert answer["streams"] == [
        {"container": "blog", "state": "open", "format": "combined", "read": 2, "understood": 1, "last": 4.0},
        {
            "container": "shop",
            "state": "closed",
            "format": "",
            "read": 0,
            "understood": 0,
            "note": "not understood",
        },
    ]
    assert answer["labels"] == {"blog": ["wp-sidecar.maxretry=9"], "shop": ["wp-sidecar.mode=observe"]}
    assert answer["allowlist"] == [
        {"reason": "ignoreip", "ipv4": pytest.approx(256 / 2**32, rel=0.2), "ipv6": 0.0}
    ]
    assert (answer["started"], answer["bans"], answer["firewall"]["ok"]) == (1.0, 1, True)
    assert answer["health"] == HEALTH
    assert answer["remarks"] == list(Oddities.remarks)
