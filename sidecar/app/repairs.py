"""Alerts people that another program changed the firewall's table."""

from __future__ import annotations

from collections import deque
from typing import Final

from sidecar.advice.repair import describe_repair, describe_repairs
from sidecar.firewall import Repair
from sidecar.runtime.problems import Problem, ProblemListener

TABLE: Final = "the firewall table"

# This many repairs within the period are one problem, which lasts until there was none for as long.
FREQUENT_REPAIRS: Final = 3
PERIOD_S: Final = 600.0
# A rate is shown up to this count. The table can be repaired some hundred times a second.
MAX_COUNTED: Final = 100_000


class RepairAlerts:
    """A `RepairListener`. A rare repair is alerted as a problem that is over; frequent ones are one that lasts."""

    def __init__(self, alerts: ProblemListener, problem: Problem) -> None:
        """`problem`: set while the table is changed again and again."""
        self._alerts = alerts
        self._problem = problem
        # When the repairs of the period were.
        self._times: deque[float] = deque(maxlen=MAX_COUNTED)

    def table_repaired(self, repair: Repair, now: float) -> None:
        """Alert people that the table was changed, and that it is repaired."""
        self._forget(now)
        self._times.append(now)
        if len(self._times) >= FREQUENT_REPAIRS:
            self._problem.set(describe_repairs(repair, len(self._times), now - self._times[0]))
        else:
            self._alerts.problem_changed(TABLE, describe_repair(repair))
            self._alerts.problem_changed(TABLE, None)

    def report(self, now: float) -> None:
        """End the problem where there was no repair for a while."""
        if self._times and not 0 <= now - self._times[-1] < PERIOD_S:
            self._times.clear()
        if not self._times:
            self._problem.clear()

    def _forget(self, now: float) -> None:
        """Forget what is older than the period, and what is later than now: the clock was set."""
        while self._times and not 0 <= now - self._times[0] < PERIOD_S:
            self._times.popleft()
