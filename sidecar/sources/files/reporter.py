"""Reports the state of one log to the listener and to the problems."""

from __future__ import annotations

import logging

from sidecar.sources.base import Outputs, ReopenReason

log = logging.getLogger(__name__)


class LogReporter:
    """Reports each change of one log's state once, under the log's name."""

    def __init__(self, kind: str, outputs: Outputs) -> None:
        """`kind`: the first word of the problem's name."""
        self.name = ""
        self._kind = kind
        self._outputs = outputs
        self._reading = False
        # The reported problem. Not asked of `Problems`, because another log may report under the same name.
        self._sentence = ""
        self._unrecognised = False
        self.is_unsupported = False

    @property
    def has_problem(self) -> bool:
        return bool(self._sentence)

    def rename(self, name: str) -> None:
        """Report under this name from now on, and withdraw what was reported under the old one."""
        if name != self.name:
            self.forget()
            self.name, self._reading = name, False

    def forget(self) -> None:
        """Withdraw what was reported under the current name."""
        if self.name:
            self._report(None)
            self._outputs.listener.log_removed(self.name)

    def reading(self, *, up: bool) -> None:
        """Report whether the log is being read right now."""
        if up != self._reading:
            self._reading = up
            listener = self._outputs.listener
            (listener.log_opened if up else listener.log_closed)(self.name)

    def unreadable(self, sentence: str, *, critical: bool = True, exists: bool = True) -> None:
        """Report why the log cannot be read. A log that does not exist has no state."""
        if sentence != self._sentence:
            self._report(sentence, critical=critical)
            self._reading = False
            if exists:
                self._outputs.listener.log_unreadable(self.name)

    def set_unsupported(self, sentence: str) -> None:
        """Report why the log has no files that can be read; "" if it has. Nothing is wrong with the sidecar itself."""
        self.is_unsupported = bool(sentence)
        if sentence:
            self.unreadable(sentence, critical=False)

    def readable(self) -> None:
        """Report that the log was read to its end, so it has no problem."""
        self._report(None)
        self.reading(up=True)

    def reopened(self, reason: ReopenReason) -> None:
        """Report that reading continues in another file or at another position."""
        log.info("%s: the file was %s", self.name, reason)
        self._outputs.listener.log_reopened(self.name, reason)

    def gap(self, sentence: str) -> None:
        """Report that lines may have been lost. The problem ends at once, because nothing can be done about it."""
        self._outputs.listener.log_gap(self.name)
        self._report(None)
        self._report(sentence, critical=False)
        self._report(None)

    def overlong(self, count: int) -> None:
        if count:
            self._outputs.listener.lines_truncated(self.name, count)

    def unrecognised(self, count: int) -> None:
        if count and not self._unrecognised:
            self._unrecognised = True
            log.warning(
                "the log of %s has lines that no container runtime writes; they are ignored", self.name
            )

    def _report(self, sentence: str | None, *, critical: bool = True) -> None:
        if sentence or self._sentence:
            self._sentence = sentence or ""
            self._outputs.problems.report(f"{self._kind} {self.name}", sentence, critical=critical)
