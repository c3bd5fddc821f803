"""Where lines come from. Each source is a thread that turns bytes into batches of whole lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sidecar.core.events import Batch, Cursor, Origin
from sidecar.runtime.problems import Problems

# Four of the parts in which Docker stores a long line. Web servers refuse request lines over 8 KiB, so what a
# filter looks at stands before.
MAX_LINE = 64 * 1024

Emit: TypeAlias = Callable[[Batch, Cursor | None], None]
"""Hands a batch on, and how far the log is read once this batch counts. Blocks while the loop is behind."""


class Report(Protocol):
    """Told by whom, and in one sentence, that something is wrong; with None, that it is right again."""

    def __call__(self, name: str, sentence: str | None, /, *, critical: bool = True) -> None:
        """`grave`: while it is so, the sidecar does not do what it is there for."""


def untold(name: str, sentence: str | None, /, *, critical: bool = True) -> None:
    """A Trouble that tells nobody."""


class StreamListener(Protocol):
    """Told how reading goes, from the readers' threads. `name` is a container's name or a file's path."""

    def following(self, name: str, up: bool) -> None:  # noqa: FBT001  it is what is told
        """Whether the log is being read right now."""

    def unreadable(self, name: str) -> None:
        """It cannot be read, and is not, until `following` says so."""

    def reconnected(self, name: str, reason: str) -> None:
        """It was opened again.

        It "ended", was "idle", "lost" or "stuck" (Docker has more, and does not send it), or we were "frozen"; a
        file was "rotated" or "truncated". "gap": what was read last is no longer there; lines may have been rotated
        away unread.
        """

    def read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None:
        """One batch was read: so many new lines, their bytes, and the time of the last."""

    def overlong(self, name: str, count: int = 1) -> None:
        """So many lines were longer than MAX_LINE; their ends were dropped."""

    def forget(self, name: str) -> None:
        """It is gone for good."""


class Silent:
    """A listener that tells nobody."""

    def following(self, name: str, up: bool) -> None: ...  # noqa: FBT001
    def unreadable(self, name: str) -> None: ...
    def reconnected(self, name: str, reason: str) -> None: ...
    def read(self, origin: Origin, lines: int, size: int, last: float | None = None) -> None: ...
    def overlong(self, name: str, count: int = 1) -> None: ...
    def forget(self, name: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where a source's lines go, and where it reports how reading goes and what is wrong."""

    emit: Emit
    listener: StreamListener
    problems: Problems
