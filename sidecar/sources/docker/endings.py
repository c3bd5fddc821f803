"""Why a connection to a log ends, and what happens next."""

from __future__ import annotations

import enum

from sidecar.sources.base import ReopenReason


class Next(enum.Enum):
    """What a log reader does when a connection to its log has ended."""

    # Wait until the container runs again.
    REST = enum.auto()
    # Wait until the container has another name, under which the reason is published again.
    REST_UNTIL_RENAMED = enum.auto()
    # Open the log again: this is part of the work.
    REOPEN = enum.auto()
    # Open the log again, and say so in our own log.
    LOG = enum.auto()
    # Open the log again and log a warning; if it fails again, report a problem.
    REPORT = enum.auto()


class Ending(enum.Enum):
    """Why a connection to a log ended. A member has the reason that is published if the log is reopened, and `next`."""

    # The container stopped, and its log is read to the end.
    STOPPED = ReopenReason.STOPPED, Next.REST
    # The container's log driver cannot be read.
    UNREADABLE = ReopenReason.LOST, Next.REST_UNTIL_RENAMED
    # The Engine ended the stream, or it was cut.
    ENDED = ReopenReason.ENDED, Next.REOPEN
    # Nothing came for so long that the stream may be dead.
    IDLE = ReopenReason.IDLE, Next.REOPEN
    # This process did not read for so long that Docker may have skipped a rotated file.
    FROZEN = ReopenReason.FROZEN, Next.LOG
    # Lines were left out of the stream, between others that came.
    INCOMPLETE = ReopenReason.INCOMPLETE, Next.LOG
    # The log has more lines than the stream (Docker before 23).
    STUCK = ReopenReason.STUCK, Next.LOG
    # The log has more lines than the stream: its file was truncated (moby#45728).
    BLIND = ReopenReason.TRUNCATED, Next.LOG
    # The line that was read last is not in the log, or Docker cannot read it there.
    MARK_MISSING = ReopenReason.DAMAGED, Next.LOG
    # A part of the stream began and did not end: it was damaged.
    UNFINISHED = ReopenReason.DAMAGED, Next.REPORT
    # The log could not be opened, or an error ended the stream.
    LOST = ReopenReason.LOST, Next.REPORT

    def __init__(self, reason: ReopenReason, then: Next) -> None:
        self.reason = reason
        self.next = then


class ReadingEnded(Exception):  # noqa: N818
    """Raised where reading cannot go on over this connection."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.name)
        self.ending = ending
