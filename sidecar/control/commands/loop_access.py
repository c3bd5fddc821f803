"""How a command reaches the loop: it waits for the outcome, and whatever goes wrong is a refusal."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Final, TypeVar

from sidecar.control.protocol import Refused
from sidecar.core.events import Decision
from sidecar.core.queries import GuardView
from sidecar.runtime.loop import Closed, Command, Inbox, Query

T = TypeVar("T")

# A person waits no longer than this for the loop. Its longest true turn is a second, of 100,000 bans.
LOOP_TIMEOUT_S: Final = 10.0
STOPPING: Final = "wp-sidecar is stopping"


class LoopAccess:
    """Runs commands and questions in the loop's thread. Both methods raise Refused, also what the command raises."""

    def __init__(self, inbox: Inbox, timeout_s: float = LOOP_TIMEOUT_S) -> None:
        self._inbox = inbox
        self._timeout_s = timeout_s

    def decide(self, command: Command) -> Sequence[Decision]:
        """Return what the command decided, once every sink has acted on it."""
        try:
            return self._outcome(self._inbox.decide(command))
        except Closed:
            raise Refused(STOPPING) from None

    def query(self, question: Query[T]) -> T:
        """Return the answer to a question about the guard."""
        try:
            return self._outcome(self._inbox.query(question))
        except Closed:
            raise Refused(STOPPING) from None

    def _outcome(self, future: Future[T]) -> T:
        try:
            return future.result(self._timeout_s)
        except TimeoutError:
            raise Refused(
                f"wp-sidecar is busy: no answer within {self._timeout_s:.0f} s; try again"
            ) from None


def check_jail(view: GuardView, name: str) -> None:
    """Raise Refused where this is not the name of a jail. A reload may change the jails, so the loop calls it."""
    names = [jail.name for jail in view.jails]
    if name and name not in names:
        raise Refused(f"no jail is named {name}; there are {', '.join(names)}")
