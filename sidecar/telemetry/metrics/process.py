"""The process itself: its version, its configuration, its problems, and its own log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from prometheus_client import ProcessCollector

from sidecar.telemetry.metrics.declare import LATER, Declaration, MirroredSum


class ProcessMetrics:
    """Figures about the process. The Prometheus client adds its own `process_*`: memory, CPU, open files."""

    def __init__(self, declare: Declaration, version: str) -> None:
        ProcessCollector(registry=declare.registry)
        declare.info("build_info", "The running version; always 1.", version=version)
        self._ready = declare.gauge(
            "ready", "Whether logs are read and bans are in force (1), as `/readyz` says, or not (0)."
        )
        self._problem = declare.gauge(
            "problem",
            "1 for each problem that there is now; `wp-sidecar status` has its sentence.",
            problem=LATER,
        )
        self._log_records = MirroredSum(
            declare.counter("log_records_dropped_total", "Log records dropped because stderr was blocked.")
        )
        self._reload_succeeded = declare.gauge(
            "config_last_reload_successful",
            "Whether the configuration that was read last is in force (1) or has errors (0).",
        )
        self._reloaded_at = declare.gauge(
            "config_last_reload_success_timestamp_seconds",
            "Unix time at which the configuration in force was read.",
        )

    def observe_readiness(self, is_ready: Callable[[], bool]) -> None:
        """Ask this at every scrape."""
        self._ready.set_function(is_ready)

    def problem_changed(self, name: str, sentence: str | None) -> None:
        """A problem began, or (None) is over. A ProblemListener."""
        if sentence is not None:
            self._problem.labels(name).set(1)
            return
        # One that was never reported here has no series.
        with contextlib.suppress(KeyError):
            self._problem.remove(name)

    def log_records_dropped(self, total: int) -> None:
        """Take the number of log records dropped so far."""
        self._log_records.update(total)

    def reloaded(self, at: float, *, succeeded: bool) -> None:
        """Take that a configuration was read at this unix time, and whether it is in force now."""
        self._reload_succeeded.set(succeeded)
        if succeeded:
            self._reloaded_at.set(at)
