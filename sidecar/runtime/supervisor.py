"""Keeps what runs for long running: each service in its thread, started again when it fails."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Protocol

from sidecar.runtime.backoff import Backoff
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)

# Pauses before a service is started again.
FIRST_RESTART_DELAY_S = 1.0
MAX_RESTART_DELAY_S = 60.0

# How long the end of one service is waited for when the daemon stops.
STOP_TIMEOUT_S = 5.0


class Service(Protocol):
    """Anything that runs for long: a log source, the control socket, the HTTP server."""

    @property
    def name(self) -> str: ...

    def run(self) -> None:
        """Block until done. After an exception it is run again later."""

    def close(self) -> None:
        """Make `run()` return shortly. Any thread may call this."""


class Supervisor:
    """Runs services. Owned by one thread at a time."""

    def __init__(self, problems: Problems, first_delay_s: float = FIRST_RESTART_DELAY_S) -> None:
        self._problems = problems
        self._first_delay_s = first_delay_s
        self._running: dict[Service, threading.Thread] = {}
        self._stop = threading.Event()

    def start(self, service: Service) -> None:
        """Run the service in a thread of its own, until it returns or `close()`."""
        thread = threading.Thread(target=self._keep_running, args=(service,), name=service.name, daemon=True)
        self._running[service] = thread
        thread.start()

    def close(self, timeout_s: float = STOP_TIMEOUT_S) -> None:
        """Close all services, the last started first, and wait for each at most this long."""
        self._stop.set()
        for service in reversed(self._running):
            service.close()
        for service, thread in reversed(self._running.items()):
            thread.join(timeout_s)
            if thread.is_alive():
                log.warning("%s did not end within %.0f s", service.name, timeout_s)
        self._running.clear()

    def _keep_running(self, service: Service) -> None:
        backoff = Backoff(self._first_delay_s, MAX_RESTART_DELAY_S)
        problem = self._problems.problem(service.name)
        while not self._stop.is_set():
            try:
                service.run()
            except Exception as err:
                if self._stop.is_set():
                    return
                delay_s = backoff.next()
                log.exception("%s failed and is restarted in %.0f s", service.name, delay_s)
                problem.set(f"{service.name} failed: {err}")
            else:
                return
            self._stop.wait(delay_s)
            problem.clear()


class PeriodicTask:
    """A service that calls one function again and again, the first time at once."""

    def __init__(self, name: str, function: Callable[[], object], interval_s: float) -> None:
        self.name = name
        self._function = function
        self._interval_s = interval_s
        self._closed = threading.Event()

    def run(self) -> None:
        while not self._closed.is_set():
            self._function()
            self._closed.wait(self._interval_s)

    def close(self) -> None:
        self._closed.set()
