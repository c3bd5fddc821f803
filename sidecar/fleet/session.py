"""What publisher and subscriber share, and what is said to the engine."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

from sidecar.core.events import Ban, Decision, Unban
from sidecar.fleet import protocol
from sidecar.fleet.protocol import MOST, Clock, Lift, Outbox, Told, Unsound
from sidecar.fleet.redis import Board
from sidecar.runtime.loop import Work

BEAT = 1.0  # seconds between looks whether the fleet is still the same one; a reader waits as long for news
FIRST, LONGEST = 0.1, 2.0  # seconds before the engine is tried again: all agree within 5 once it is back
SLICE = 1_000  # bans that the loop takes at once: some 10 ms of its time
PATIENCE = 30.0  # seconds for the loop to take a slice

Ask: TypeAlias = Callable[[Work], Future[Sequence[Decision]]]
Report: TypeAlias = Callable[[str, str | None], None]
T = TypeVar("T")


class Listener(Protocol):
    """Who counts what goes on between the nodes."""

    def connected(self, *, up: bool) -> None: ...

    def peers(self, count: int) -> None: ...

    def lag(self, peer: str, seconds: float) -> None: ...

    def bans(self, direction: str, result: str, count: int) -> None: ...

    def outbox(self, length: int) -> None: ...

    def rejected(self, reason: str, count: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Node:
    """Who we are to the others."""

    name: str
    secret: bytes = b""  # with which the fleet seals what it says; b"": it does not
    run: str = ""  # another one each time: two hosts may be given one name

    @property
    def full(self) -> str:
        return f"{self.name}/{self.run}"


class State:
    """What publisher and subscriber share."""

    def __init__(self, board: Board, node: Node, clock: Callable[[], float], listener: Listener) -> None:
        self.board, self.node, self.clock, self.listener = board, node, clock, listener
        self.outbox, self.changed = Outbox(), threading.Condition()  # the one guards the other
        self.ahead = Clock()
        self.epoch = ""
        self.joined = threading.Event()  # what was missed is read: only now do we tell
        self.closed = threading.Event()


def publish(state: State, told: Sequence[Told | Unban], clock: Clock) -> None:
    """One entry of the stream, and the sets as it says. Raises StoreError."""
    secret = state.node.secret
    bans: list[tuple[int | str, str]] = []
    lifts: list[tuple[str, str, int]] = []
    for each in told:
        name = protocol.key(each)
        if isinstance(each, Ban):
            bans.append((protocol.end(each, clock), protocol.member(name, secret)))
        else:
            lifts.append(
                (protocol.member(name, secret), protocol.member(name, secret, "U"), clock.theirs(each.at))
            )
    lines = [protocol.line(each, state.node.full, clock, secret) for each in told]
    state.board.tell(state.node.full, lines, bans, lifts)


def listed(state: State, clock: Clock, now: float) -> Iterator[Ban]:
    for page in state.board.bans():
        for member, until in page:
            try:
                yield protocol.listed(member, until, clock, now, state.node.secret)
            except Unsound:
                continue


def lifts(state: State, now: float) -> Iterator[Lift]:
    for page in state.board.lifts():
        for member, at in page:
            try:
                yield protocol.listed_lift(member, at, state.ahead, now, state.node.secret)
            except Unsound:
                continue


def parts(values: Sequence[T], size: int = MOST) -> Iterator[list[T]]:
    return ([*values[at : at + size]] for at in range(0, len(values), size))


def fresh() -> str:
    return secrets.token_hex(8)
