"""Keeps what runs for long running: each service in its thread, started again when it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger(__name__)


class Service(Protocol):
    """Anything that runs for long: a log source, the control socket, the HTTP server."""

    @property
    def name(self) -> str: ...

    def run(self) -> None:
        """Block until done; an exception means: try again later."""

    def close(self) -> None:
        """Make `run()` return soon. Any thread may call this."""


class Services:
    """The supervisor."""

    def __init__(
        self, problem: Callable[[str, str | None], None], pause: float = 1.0, longest: float = 60.0
    ) -> None:
        """`trouble(name, sentence)` is told of a failure. Pauses are seconds, doubled at each failure in a row."""
        self._trouble, self._pause, self._longest = problem, pause, longest
        self._running: dict[Service, threading.Thread] = {}
        self._stop = threading.Event()

    def start(self, service: Service) -> None:
        thread = threading.Thread(target=self._keep, args=(service,), name=service.name, daemon=True)
        self._running[service] = thread
        thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Close all, the last started first, and wait for each at most this many seconds."""
        self._stop.set()
        for service in reversed(self._running):
            service.close()
        for service, thread in reversed(self._running.items()):
            thread.join(timeout)
            if thread.is_alive():
                log.warning("%s did not end within %.0f s", service.name, timeout)
        self._running.clear()

    def _keep(self, service: Service) -> None:
        pause = self._pause
        while not self._stop.is_set():
            try:
                service.run()
            except Exception as err:
                if self._stop.is_set():
                    return
                log.exception("%s failed; again in %.0f s", service.name, pause)
                self._trouble(service.name, f"{service.name} failed: {err}")
            else:
                return
            self._stop.wait(pause)
            pause = min(pause * 2, self._longest)
            self._trouble(service.name, None)


class Every:
    """A service that does one thing again and again; `pause()` says how many seconds lie between."""

    def __init__(self, name: str, do: Callable[[], object], pause: Callable[[], float]) -> None:
        self.name = name
        self._do, self._pause = do, pause
        self._closed = threading.Event()

    def run(self) -> None:
        while not self._closed.wait(self._pause()):
            self._do()

    def close(self) -> None:
        self._closed.set()
