"""The table of commands, and what another command costs: one file, as the part of this one above the tests."""

import threading
from dataclasses import dataclass
from typing import TypedDict

import pytest

from sidecar.access.logs import AccessLogs
from sidecar.control.client import ask, send
from sidecar.control.commands.daemon import HealthCommand, Tally
from sidecar.control.commands.table import CommandTable, daemon_commands
from sidecar.control.commands.top import RecentEvents
from sidecar.control.protocol import ControlRequest, HealthRequest, Refused
from sidecar.control.server import ControlApplication, ControlSocket, control_server
from sidecar.runtime.loop import Inbox
from tests.control.daemon import ANN, Explainer, Healthy, Store


class CountAnswer(TypedDict):
    bans: int


@dataclass(frozen=True)
class CountRequest(ControlRequest[CountAnswer]):
    command = "count"
    jail: str = ""

    def as_json(self):
        return {"do": self.command, "jail": self.jail}

    @classmethod
    def from_json(cls, fields):
        return cls(str(fields.get("jail") or ""))


class CountCommand:
    """Counts the bans in force."""

    request = CountRequest

    def __init__(self, loop):
        self._loop = loop

    def answer(self, request):
        found = self._loop.query(lambda view, _: [ban.jail for ban in view.bans])
        return {"bans": sum(request.jail in ("", jail) for jail in found)}


def test_another_command_is_asked_over_the_socket(loop, tmp_path):
    commands = CommandTable([HealthCommand(Healthy()), CountCommand(loop)])
    loop.decide(lambda guard, now: guard.ban(ANN, now))
    control = control_server(ControlSocket(tmp_path / "s"), ControlApplication(commands))
    thread = threading.Thread(target=control.run)
    thread.start()
    try:
        assert ask(tmp_path / "s", CountRequest()) == {"bans": 1}
        assert ask(tmp_path / "s", CountRequest("login")) == {"bans": 0}
        assert ask(tmp_path / "s", HealthRequest())["ready"]
        with pytest.raises(Refused, match="there is no command dance; there are health, count"):
            send(tmp_path / "s", {"do": "dance"})
    finally:
        control.close()
        thread.join(60)


@pytest.mark.parametrize("fields", [{}, {"do": None}, {"do": ["ban"]}])
def test_a_request_without_a_command_is_refused(fields):
    with pytest.raises(Refused, match="there is no command"):
        CommandTable([]).answer(fields)


def test_a_daemon_has_every_command_of_the_command_line():
    table = daemon_commands(
        Inbox(),
        health=Healthy(),
        streams={},
        details=None,
        oddities=None,
        access_logs=AccessLogs(),
        firewall=None,
        inputs=None,
        reloader=None,
        evidence=Store(),
        explainer=Explainer(),
        fleet=None,
        tally=Tally(1.0),
        recent=RecentEvents(),
    )

    assert table.answer({"do": "health"}) == {"live": True, "ready": True, "why": []}
    with pytest.raises(Refused, match="there are health, status, reload, bans, history, explain, ban, unban"):
        table.answer({"do": "dance"})
