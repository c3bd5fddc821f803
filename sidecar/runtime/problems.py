"""What is wrong right now. Each problem is logged and reported once when it begins, and once when it is over.

An object that can notice a problem takes `Problems` and names it, or takes one `Problem`. It reports as often as it
likes and keeps no flag of its own. A critical problem makes the daemon unready; any other is only reported.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Protocol

log = logging.getLogger(__name__)


class ProblemListener(Protocol):
    """Notified of each change, in the thread that reported it."""

    def problem_changed(self, name: str, sentence: str | None) -> None:
        """The problem began, with a sentence that says what to change; None: it is over."""


class Problem:
    """One thing that may be wrong, under its name. Any thread may set or clear it, as often as it likes."""

    def __init__(self, problems: Problems, name: str, *, critical: bool) -> None:
        self.name = name
        self.critical = critical
        self._problems = problems

    def set(self, sentence: str) -> None:
        """Report it, with a sentence that says what to change."""
        self._problems.report(self.name, sentence, critical=self.critical)

    def clear(self) -> None:
        """Report that it is over. Does nothing where it was not set."""
        self._problems.report(self.name, None)


class Problems:
    """All that is wrong, by name. Any thread may use it."""

    def __init__(self, *listeners: ProblemListener) -> None:
        self._listeners = listeners
        self._sentences: dict[str, str] = {}
        self._critical: set[str] = set()
        self._lock = threading.Lock()

    def add_listener(self, listener: ProblemListener) -> None:
        """Notify one more, of the changes from now on."""
        self._listeners = (*self._listeners, listener)

    def problem(self, name: str, *, critical: bool = True) -> Problem:
        """Return a handle for the problem of this name."""
        return Problem(self, name, critical=critical)

    def report(self, name: str, sentence: str | None, /, *, critical: bool = True) -> None:
        """Set the problem of this name, or clear it (None)."""
        # The usual case, on every turn of the loop.
        if sentence is None and name not in self._sentences:
            return
        with self._lock:
            known = name in self._sentences
            self._critical.discard(name)
            if sentence is None:
                self._sentences.pop(name, None)
            else:
                self._sentences[name] = sentence
                if critical:
                    self._critical.add(name)
        if known == (sentence is None):
            self._changed(name, sentence, critical=critical)

    def replace(self, prefix: str, sentences: Mapping[str, str], *, critical: bool = False) -> None:
        """Make these all the problems of this prefix: set each, and clear the others that have it."""
        with self._lock:
            over = [name for name in self._sentences if name.startswith(prefix) and name not in sentences]
        for name in over:
            self.report(name, None)
        for name, sentence in sentences.items():
            self.report(name, sentence, critical=critical)

    def about(self, name: str) -> str | None:
        """Return the sentence of this problem; None where it is not set."""
        return self._sentences.get(name)

    @property
    def critical(self) -> bool:
        """Whether any problem makes the daemon unready."""
        return bool(self._critical)

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence for each problem, the oldest first."""
        with self._lock:
            return tuple(self._sentences.values())

    def _changed(self, name: str, sentence: str | None, *, critical: bool) -> None:
        if sentence is None:
            log.info("resolved: %s", name)
        else:
            log.log(logging.ERROR if critical else logging.WARNING, "%s", sentence)
        for listener in self._listeners:
            listener.problem_changed(name, sentence)
