"""SIGTERM, SIGINT and SIGHUP from the process's first moment on: what they ask for is kept until it can be done."""

from __future__ import annotations

import signal
from types import FrameType
from typing import Final, Protocol

STOP: Final = (signal.SIGTERM, signal.SIGINT)


class Process(Protocol):
    """What signals are for. Both are called in a signal handler, and take no lock."""

    def stop(self) -> None: ...

    def request_reload(self) -> None: ...


class Signals:
    """Catches the signals; what comes before there is a process to stop is done as soon as there is one.

    A process that is the first of its container does not even end by a signal that nobody catches: without this,
    `docker stop` during a start would be lost, and ten seconds later the process would be killed.
    """

    def __init__(self) -> None:
        self._process: Process | None = None
        self._to_stop = False
        self._to_reload = False

    def catch(self) -> None:
        """Catch the signals from now on. Only the main thread can."""
        for number in STOP:
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._reload)

    def hand_to(self, process: Process) -> None:
        """Have this process obey, also what was asked for before."""
        self._process = process
        if self._to_stop:
            process.stop()
        if self._to_reload:
            process.request_reload()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self._to_stop = True
        if self._process:
            self._process.stop()

    def _reload(self, _number: int, _frame: FrameType | None) -> None:
        self._to_reload = True
        if self._process:
            self._process.request_reload()
