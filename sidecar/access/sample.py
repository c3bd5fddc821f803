"""How much of a log is understood, by a sample of its lines.

Filters only look at lines that may be failures. Whether a log's format is known has to show in any line, so lines are
read as requests from the first one on until one is understood, and later one in each second: a format may change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

from sidecar.access.detect import AccessLog

# After this many lines without a request the log's format is not known. What a server says when it starts is shorter.
MIN_LINES: Final = 200
# This many in a row say that it is not known any more. A program may write much else between two requests.
MIN_LATER_LINES: Final = 400
INTERVAL_S: Final = 1.0
# In each interval, as long as the last line was not understood.
LINES_IN_DOUBT: Final = 8
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
        # When the next lines are due: unix seconds.
        self.due = -math.inf
        self._log = log
        self._was_understood = False
        # The lines since the last one that was understood.
        self._missed = 0

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
        if self._missed >= (MIN_LATER_LINES if self._was_understood else MIN_LINES):
            # A plugin's messages need no requests beside them.
            return self.has_matched and not self.format
        return True if self._was_understood or self.has_matched else None

    @property
    def wanted(self) -> int:
        """How many lines are to be sampled, once it is due."""
        if self._was_understood and not self._missed:
            return 1
        return LINES_IN_DOUBT if self._was_understood else max(MIN_LINES - self.lines, LINES_IN_DOUBT)

    def add(self, texts: Iterable[str], now: float) -> None:
        """Take these lines, without their transport's headers, into the sample, up to the first that is understood."""
        for text in texts:
            self.lines += 1
            if self._log.learn(text) or _PLUGIN.match(text):
                self._missed = 0
                if not self._was_understood:
                    self._was_understood = True
                    break
            else:
                self._missed += 1
                if text.strip():
                    self.examples = (*self.examples[-(MAX_EXAMPLES - 1) :], text[:MAX_EXAMPLE_CHARS])
        if self._was_understood or self.lines >= MIN_LINES:
            self.due = now + INTERVAL_S
