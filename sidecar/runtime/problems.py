"""What is wrong right now, and who is told when that changes."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Problems:
    """The list of what is wrong, by the name of who said so. Any thread may report.

    `changed(name, sentence)` is called once when something breaks, and with None once when it works again.
    """

    def __init__(self, changed: Callable[[str, str | None], None]) -> None:
        self._changed = changed
        self._sentences: dict[str, str] = {}
        self._grave: set[str] = set()  # those of them that make us unready
        self._lock = threading.Lock()

    def report(self, name: str, sentence: str | None, /, *, critical: bool = True) -> None:
        """Something is wrong, in one sentence; None: it is right (again).

        Not `grave`: people are told, but it is no reason to be unready.
        """
        if sentence is None and name not in self._sentences:
            return  # the usual case, on every turn of the loop
        with self._lock:
            known = name in self._sentences
            self._grave.discard(name)
            if sentence and critical:
                self._grave.add(name)
            if sentence is None:
                self._sentences.pop(name, None)
            else:
                self._sentences[name] = sentence
        if known == (sentence is None):
            self._changed(name, sentence)

    def about(self, name: str) -> str | None:
        """What is wrong there, if anything."""
        return self._sentences.get(name)

    @property
    def critical(self) -> bool:
        """Is any of it a reason to be unready?"""
        return bool(self._grave)

    @property
    def sentences(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._sentences.values())
