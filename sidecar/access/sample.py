"""How much of a log is understood, by a sample of its lines.

Filters only look at lines that may be failures. Whether a log's format is known has to show in any line, so the first
lines of each log are read as requests, and later one in a while: no more than the time of one line in each second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

from sidecar.access.detect import AccessLog

# So many lines without a request say that the log's format is not known. What a server says when it starts is shorter.
MIN_LINES: Final = 200
# Later the newest of the sample decide, so that a format that changes is noticed.
NEWEST_LINES: Final = 64
INTERVAL_S: Final = 1.0
MAX_EXAMPLES: Final = 3
MAX_EXAMPLE_CHARS: Final = 300
# What a plugin wrote, failure or not, at the beginning of a line: our mu-plugin and WP fail2ban, as PHP logs them.
_PLUGIN: Final = re.compile(
    r'(?:\[[^\]]{1,40}\] |(?:\[[^\]]{1,40}\] )?WARNING: \[pool [\w.-]{1,60}\] child \d+ said into std(?:err|out): "'
    r"|NOTICE: PHP message: )?"
    r"(?:wp-sidecar:(?: key=[\w-]{16,64})? ip=|(?:wordpress|wp)(?:\([^ ]*\))?\[\d+\]: )"
)


class LogSample:
    """The sample of one log. Owned by the thread that reads the log; other threads may look at it."""

    def __init__(self, log: AccessLog) -> None:
        self.lines = 0
        # Whether a filter found a failure, or a login that worked, in any line so far.
        self.has_matched = False
        # The newest lines that were not understood, shortened; they hold whatever a client wrote.
        self.examples: tuple[str, ...] = ()
        # When the next line is due: unix seconds.
        self.due = -math.inf
        self._log = log
        # The newest lines, a bit for each: whether it was understood.
        self._newest = 0

    @property
    def format(self) -> str:
        """The name of the log's format, for people; "" while it is not known."""
        return self._log.format

    @property
    def declared(self) -> str:
        """The name of the format that a person configured; "" where it is detected."""
        return self._log.declared

    @property
    def is_understood(self) -> bool | None:
        """Whether there are lines in the log that mean something to us; None: too few were seen."""
        if self._newest or (self.has_matched and not self.format):
            return True
        return False if self.lines >= MIN_LINES else None

    @property
    def wanted(self) -> int:
        """How many lines are to be sampled, once it is due."""
        return max(1, MIN_LINES - self.lines)

    def add(self, texts: Iterable[str], now: float) -> None:
        """Take these lines, without their transport's headers, into the sample."""
        for text in texts:
            self.lines += 1
            understood = bool(self._log.learn(text) or _PLUGIN.match(text))
            self._newest = (self._newest << 1 | understood) & (1 << NEWEST_LINES) - 1
            if not understood and text.strip():
                self.examples = (*self.examples[-(MAX_EXAMPLES - 1) :], text[:MAX_EXAMPLE_CHARS])
        if self.lines >= MIN_LINES:
            self.due = now + INTERVAL_S
