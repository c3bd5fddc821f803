"""Finds the lines that Docker leaves out of a log that it follows.

Docker's follower reads the newest file of a log. If that is rotated twice before the follower gets to it, because its
client is slow or the machine is busy, it goes on with the newest file, and those in between are left out. From 23 on
dockerd's own log has a warning of it, and the client learns nothing (moby daemon/logger/loggerutils/follow.go).
A log that is read without being followed has no such hole: dockerd opens all of its files at once.

So what came over the stream is compared with the log now and then, and soon where lines came late.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from sidecar.sources.docker.cursor import CursorTracker, DockerCursor
from sidecar.sources.docker.wire import Line

# This many hashes are kept twice, at 8 bytes each: what 16,000 lines a second write in 4 s.
MAX_REMEMBERED_LINES = 64 * 1024
# As fast as dockerd writes a json-file on fast machines, about. A file takes longer than this to be filled and rotated.
MAX_WRITING_BYTES_PER_S = 50e6
MIN_LATE_S, MAX_LATE_S = 0.02, 2.0
# Where lines came late, a log is compared once they come in time again, or after this long.
MAX_LATE_PERIOD_S = 10.0
# Between two comparisons of a log that is never silent, if lines came late and if not; in readings, too.
DOUBTFUL_INTERVAL_S, DOUBTFUL_INTERVAL_IN_READINGS = 1.0, 100
USUAL_INTERVAL_S, USUAL_INTERVAL_IN_READINGS = 60.0, 1000


class UnverifiedLines:
    """What was read since the log is known to be read completely."""

    def __init__(self, cursor: DockerCursor) -> None:
        """`cursor`: up to there it is."""
        self.verified(cursor)

    def verified(self, cursor: DockerCursor) -> None:
        """Note that nothing is missing up to here."""
        # Up to here all is known to be read.
        self.since = cursor
        self._later = cursor
        # Hashes of the lines from `since` to `_later`, and from there on.
        self._older, self._newer = array("q"), array("q")

    def add(self, lines: Sequence[bytes], cursor: DockerCursor) -> None:
        """Note that these lines were read. `cursor`: up to there all was read, as far as is known."""
        self._newer.extend(map(hash, lines))
        if len(self._newer) > MAX_REMEMBERED_LINES:
            self.since, self._later = self._later, cursor
            self._older, self._newer = self._newer, array("q")

    def comparison(self) -> LogComparison:
        return LogComparison(self.since, {*self._older, *self._newer})


class LogComparison:
    """Compares a log, read without being followed, with what was read of it before."""

    def __init__(self, since: DockerCursor, read: set[int]) -> None:
        """`read`: hashes of all lines that were read after the cursor `since`."""
        self._tracker, self._read = CursorTracker(since), read
        # The first line that comes was read, or the log begins later by now.
        self._is_beginning = not since.stamp and bool(read)
        self._are_some_lost = False
        # The line at the cursor did not come, but later ones.
        self._begins_later = False
        # How many of those that were read came.
        self._found = 0

    def left_out(self, lines: list[Line], unread: list[Line]) -> list[Line]:
        """Return which of these lines were left out: earlier ones than `unread`, and they were not read."""
        later = set(map(id, unread))
        after = [line for line in self._tracker.unread(lines) if line[1]]
        earlier = [line for line in after if id(line) not in later]
        found = [line for line in earlier if hash(line[1]) not in self._read]
        self._found += len(earlier) - len(found)
        self._begins_later = self._begins_later or self._tracker.gap
        if after and (self._is_beginning or self._tracker.gap):
            # If the first line of a log that begins later was left out, so may have been those before.
            self._is_beginning = self._tracker.gap = False
            self._are_some_lost = found[:1] == after[:1]
        return found

    @property
    def are_some_gone(self) -> bool:
        """Whether lines that were read are no longer in the log, as far as it came; known once later ones come."""
        return self._begins_later or not self._tracker.mark_found or self._found < len(self._read)

    def take_lost(self) -> bool:
        """Return whether lines were left out that are no longer in the log, once."""
        lost, self._are_some_lost = self._are_some_lost, False
        return lost


class ComparisonPace:
    """When a log is compared. Times are monotonic."""

    def __init__(self, now: float) -> None:
        """`now`: when the log begins to be read."""
        # Lines may have been left out.
        self.is_doubtful = False
        self._compared_at = now
        self._late_since: float | None = None

    def came(self, delay_s: float, file_bytes: float, now: float) -> None:
        """Note that lines came this long after they were written. `file_bytes`: at which size files are rotated."""
        if delay_s <= min(max(MIN_LATE_S, file_bytes / MAX_WRITING_BYTES_PER_S), MAX_LATE_S):
            self._late_since = None
        else:
            self.is_doubtful = True
            self._late_since = now if self._late_since is None else self._late_since

    def compared(self, now: float) -> None:
        """Note a comparison."""
        self._compared_at, self.is_doubtful, self._late_since = now, False, None

    def is_due(self, now: float, reading_cost_s: float) -> bool:
        """Return whether to compare a log from which lines come. `reading_cost_s`: what that takes."""
        since_s = now - self._compared_at
        if not self.is_doubtful:
            return since_s > max(USUAL_INTERVAL_S, USUAL_INTERVAL_IN_READINGS * reading_cost_s)
        if self._late_since is not None and now - self._late_since < MAX_LATE_PERIOD_S:
            return False
        return since_s > max(DOUBTFUL_INTERVAL_S, DOUBTFUL_INTERVAL_IN_READINGS * reading_cost_s)
