"""The way from the logs to the loop, as one thing that a reload changes: the sources, and the intake's matcher."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sidecar.access.logs import AccessLogs
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.config.settings import Settings
from sidecar.filters.loader import Filter, equivalent
from sidecar.filters.matcher import Matcher
from sidecar.runtime.clock import Clock
from sidecar.runtime.problems import Problems
from sidecar.runtime.supervisor import Supervisor
from sidecar.sources.base import SourceUnavailable
from sidecar.sources.intake import Intake
from sidecar.sources.registry import NewSources, SourceRegistry


@dataclass(frozen=True, slots=True)
class PreparedReading:
    """What new settings need, made and not in use yet."""

    settings: Settings
    sources: NewSources
    # None: the filters are the same, so the matcher stays with what it remembers of earlier lines.
    matcher: Matcher | None


class LogReading:
    """`prepare` may be called by one thread at a time, `reconfigure` by the loop's."""

    def __init__(
        self,
        *,
        filters: Mapping[str, Filter],
        access_logs: AccessLogs,
        intake: Intake,
        sources: SourceRegistry,
        supervisor: Supervisor,
        problems: Problems,
        clock: Clock,
    ) -> None:
        """`filters` are those of the intake's matcher."""
        self._filters = filters
        self._access_logs = access_logs
        self._intake = intake
        self._sources = sources
        self._supervisor = supervisor
        self._problems = problems
        self._clock = clock

    def prepare(self, settings: Settings) -> PreparedReading:
        """Compile the filters and open the sources, which may take seconds. Raises ConfigErrors; changes nothing."""
        try:
            sources = self._sources.prepare(settings, self._clock())
        except (SourceUnavailable, OSError) as err:
            raise ConfigErrors([ConfigError("environment", "", "", str(err))]) from err
        same = equivalent(self._filters, settings.filters)
        matcher = (
            None
            if same
            else Matcher(settings.filters, problems=self._problems, access_logs=self._access_logs)
        )
        return PreparedReading(settings, sources, matcher)

    def reconfigure(self, prepared: PreparedReading, now: float) -> None:
        """Read by the prepared settings from now on. A batch that is being scanned keeps its matcher."""
        if prepared.matcher:
            self._intake.reconfigure(prepared.matcher)
            self._filters = prepared.settings.filters
        self._sources.reconfigure(prepared.settings, prepared.sources, now)
        for service in prepared.sources.services:
            self._supervisor.start(service)
