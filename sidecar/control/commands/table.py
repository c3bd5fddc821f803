"""The table of commands, by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, TypeVar

from sidecar.access.logs import AccessLogs
from sidecar.control.commands.allow import AllowCommand, AllowedCommand, DisallowCommand
from sidecar.control.commands.bans import BanCommand, BansCommand, Fleet, UnbanCommand
from sidecar.control.commands.daemon import (
    DescribesLogs,
    FirewallState,
    HealthCommand,
    LabelsInForce,
    LogOddities,
    ReloadCommand,
    Reloader,
    StatusCommand,
    Tally,
)
from sidecar.control.commands.history import ExplainCommand, HistoryCommand, HistoryStore, LineExplainer
from sidecar.control.commands.import_judge import BoundedAllowlist
from sidecar.control.commands.loop_access import LoopAccess
from sidecar.control.commands.top import RecentEvents, TopCommand
from sidecar.control.commands.transfer import ImportCommand
from sidecar.control.protocol import ControlRequest, Refused
from sidecar.runtime.loop import Inbox
from sidecar.telemetry.http import HealthCheck

R = TypeVar("R", bound=ControlRequest[Any])


class Inputs(LabelsInForce, BoundedAllowlist, Protocol):
    """What the guard works with."""


class Command(Protocol[R]):
    """Answers one kind of request, in several threads at a time."""

    @property
    def request(self) -> type[R]:
        """The kind of request, which has the command's name."""

    def answer(self, request: R, /) -> Mapping[str, Any]:
        """Return the answer as JSON has it. Raises Refused, with a sentence for the person who asked."""


class CommandTable:
    """Every command that may be asked for, by its name."""

    def __init__(self, commands: Iterable[Command[Any]]) -> None:
        self._commands = {command.request.command: command for command in commands}

    def answer(self, fields: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the answer to a request as it was sent. Raises Refused."""
        command = self._commands.get(str(fields.get("do")))
        if command is None:
            raise Refused(f"there is no command {fields.get('do')}; there are {', '.join(self._commands)}")
        return command.answer(command.request.from_json(fields))


def daemon_commands(
    inbox: Inbox,
    *,
    health: HealthCheck,
    streams: Mapping[str, str],
    details: DescribesLogs,
    oddities: LogOddities,
    access_logs: AccessLogs,
    firewall: FirewallState,
    inputs: Inputs,
    reloader: Reloader,
    evidence: HistoryStore,
    explainer: LineExplainer,
    fleet: Fleet | None,
    tally: Tally,
    recent: RecentEvents,
) -> CommandTable:
    """Return the commands of a running daemon. `streams` is each log's state by its name."""
    loop = LoopAccess(inbox)
    return CommandTable(
        [
            HealthCommand(health),
            StatusCommand(
                loop,
                health=health,
                streams=streams,
                details=details,
                oddities=oddities,
                access_logs=access_logs,
                firewall=firewall,
                inputs=inputs,
                tally=tally,
            ),
            ReloadCommand(reloader),
            BansCommand(loop, evidence, firewall, fleet),
            HistoryCommand(loop, evidence),
            ExplainCommand(loop, evidence, firewall, explainer),
            BanCommand(loop),
            UnbanCommand(loop, fleet),
            TopCommand(loop, health=health, firewall=firewall, tally=tally, recent=recent),
            AllowCommand(loop, inputs, in_fleet=fleet is not None),
            DisallowCommand(loop, inputs),
            AllowedCommand(loop),
            ImportCommand(loop, inputs),
        ]
    )
