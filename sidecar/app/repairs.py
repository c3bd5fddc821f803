"""Alerts people that another program changed the firewall's table."""

from __future__ import annotations

from typing import Final

from sidecar.advice.repair import describe_repair
from sidecar.firewall import Repair
from sidecar.runtime.problems import ProblemListener

TABLE: Final = "the firewall table"


class RepairAlerts:
    """A `RepairListener`: each repair is alerted as a problem that is over."""

    def __init__(self, alerts: ProblemListener) -> None:
        self._alerts = alerts

    def table_repaired(self, repair: Repair) -> None:
        """Alert people that the table was changed, and that it is repaired."""
        self._alerts.problem_changed(TABLE, describe_repair(repair))
        self._alerts.problem_changed(TABLE, None)
