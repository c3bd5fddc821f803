"""The ban budget in the daemon: clients are counted for its share, and it is reported while it is exceeded."""

from __future__ import annotations

import math
from typing import Protocol

from sidecar.advice.ban_budget import budget_exceeded
from sidecar.config.settings import BudgetSettings
from sidecar.core.ban_budget import BanBudget
from sidecar.core.events import Turn
from sidecar.runtime.problems import Problem


class BudgetMetrics(Protocol):
    """Shows whether the budget is exceeded."""

    def budget(self, *, exceeded: bool) -> None: ...


class BudgetMonitor:
    """A Sink. The budget itself is the guard's."""

    name = "ban budget monitor"

    def __init__(
        self, settings: BudgetSettings, budget: BanBudget, metrics: BudgetMetrics, problem: Problem
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._metrics = metrics
        self._problem = problem

    def reconfigure(self, settings: BudgetSettings) -> None:
        """Apply these limits. The same limits again forget no ban."""
        if settings != self._settings:
            self._settings = settings
            self._budget.reconfigure(*settings.rate, settings.share)

    def apply(self, turn: Turn) -> None:
        # Only the share needs the clients, and they take memory.
        if self._budget.max_share < math.inf:
            for hit in turn.hits:
                self._budget.client_failed(hit.address, turn.at)
        if turn.decisions:
            self._show()

    def report(self, now: float) -> None:
        """Report whether it is exceeded. While no ban is made, only this finds that it has recovered."""
        self._budget.is_exceeded(now)
        self._show()

    def _show(self) -> None:
        exceeded = self._budget.exceeded
        self._metrics.budget(exceeded=exceeded)
        if exceeded:
            self._problem.set(budget_exceeded(self._budget))
        else:
            self._problem.clear()
