"""A reload: the configuration is read again, and is taken over whole or not at all.

    control socket (waits) ─┐
    SIGHUP (does not) ──────┴─▶ ReloadService ─▶ read ─▶ Reconfiguration (prepare, then one turn of the loop)

Whatever is wrong is found while it is read and prepared, in the thread that asked, so nothing has to be taken back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Protocol, TypeAlias

from sidecar.config.changes import ReloadOutcome, keep_fixed
from sidecar.config.errors import ConfigErrors
from sidecar.config.settings import Settings
from sidecar.runtime.clock import Clock
from sidecar.runtime.loop import Closed
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)

CONFIGURATION_PROBLEM: Final = "the configuration"
LEFT_OUT_PROBLEM: Final = "the jail at "

# Reads the environment and the jails file. Raises ConfigErrors.
ReadSettings: TypeAlias = Callable[[], Settings]


class SettingsApplier(Protocol):
    """Puts settings in force."""

    def apply(self, settings: Settings) -> None:
        """Return once they are in force. Raises ConfigErrors, and then nothing has changed; and Closed."""


class ReloadService:
    """A Service, for requests that do not wait. Any thread may call `reload`."""

    name = "reload"

    def __init__(
        self, settings: Settings, read: ReadSettings, applier: SettingsApplier, report: ReloadReport
    ) -> None:
        # In force now.
        self.settings = settings
        self._read = read
        self._applier = applier
        self._report = report
        # One reload at a time.
        self._lock = threading.Lock()
        # True asks for a reload, False ends the service. A signal handler may interrupt put() with another put();
        # Event.set() would deadlock then.
        self._requests: SimpleQueue[bool] = SimpleQueue()

    def reload(self) -> ReloadOutcome:
        """Take over what the files say now. Where anything in it is wrong, nothing changes. Raises Closed."""
        with self._lock:
            outcome = self._take_over()
            self.settings = outcome.settings
            self._report.reloaded(outcome)
            return outcome

    def request(self) -> None:
        """Have the service's thread reload. Safe in a signal handler."""
        self._requests.put(True)  # noqa: FBT003

    def run(self) -> None:
        while self._requests.get():
            # Requests that came meanwhile are one.
            while not self._requests.empty():
                if not self._requests.get():
                    return
            try:
                self.reload()
            except Closed:
                return

    def close(self) -> None:
        self._requests.put(False)  # noqa: FBT003

    def _take_over(self) -> ReloadOutcome:
        try:
            settings, restart = keep_fixed(self.settings, self._read_complete())
            self._applier.apply(settings)
        except ConfigErrors as err:
            return ReloadOutcome(self.settings, errors=err.errors)
        return ReloadOutcome(settings, restart=restart)

    def _read_complete(self) -> Settings:
        """Read the settings; an error in one jail refuses all of them.

        A start leaves that jail out, as the others are better than none. A reload has the old jails, which are better
        than that.
        """
        settings = self._read()
        if settings.errors:
            raise ConfigErrors(settings.errors)
        return settings


class ReloadMetrics(Protocol):
    """Shows whether the configuration that was read last is in force."""

    def reloaded(self, at: float, *, succeeded: bool) -> None: ...


class ReloadReport:
    """Logs and reports what came of starts and reloads."""

    def __init__(self, metrics: ReloadMetrics, problems: Problems, clock: Clock) -> None:
        self._metrics = metrics
        self._problems = problems
        self._clock = clock

    def started(self, settings: Settings) -> None:
        """Report what the first settings are, and the jails that they leave out."""
        self._metrics.reloaded(self._clock(), succeeded=True)
        _log_notes(settings)
        # An error in a section that holds all the same: something stands there twice.
        running = {"DEFAULT", *(jail.name for jail in settings.jails)}
        sentences = {
            f"{LEFT_OUT_PROBLEM}{error.file}:{error.line}": (
                str(error) if error.section in running else f"a jail is left out: {error}"
            )
            for error in settings.errors
        }
        self._problems.replace(LEFT_OUT_PROBLEM, sentences, critical=True)

    def reloaded(self, outcome: ReloadOutcome) -> None:
        """Report what came of a reload."""
        self._metrics.reloaded(self._clock(), succeeded=outcome.ok)
        problem = self._problems.problem(CONFIGURATION_PROBLEM, critical=False)
        if not outcome.ok:
            for error in outcome.errors:
                log.error("%s", error)
            more = len(outcome.errors) - 1
            others = f" (and {more} more: check-config has all)" if more else ""
            problem.set(f"the old configuration stays, the new one has errors: {outcome.errors[0]}{others}")
            return
        problem.clear()
        self._problems.replace(LEFT_OUT_PROBLEM, {})
        _log_notes(outcome.settings)
        if outcome.restart:
            log.warning("these changes need a restart: %s", ", ".join(outcome.restart))
        log.info("the new configuration is in force: %d jails", len(outcome.settings.jails))


def _log_notes(settings: Settings) -> None:
    for note in settings.notes:
        log.warning("%s", note)
