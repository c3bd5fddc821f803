"""The ban budget in the daemon: clients are counted for its share, and it is reported while it is exceeded."""

from __future__ import annotations

import math
from typing import Final, Protocol

from sidecar.advice.ban_budget import budget_exceeded, site_budget_exceeded
from sidecar.config.settings import BudgetSettings
from sidecar.core.ban_budget import BanBudget
from sidecar.core.events import Turn
from sidecar.runtime.problems import Problems

BUDGET_PROBLEM: Final = "the ban budget"
SITE_PROBLEM: Final = "the ban budget of "


class BudgetMetrics(Protocol):
    """Shows whether the budget is exceeded."""

    def budget(self, *, exceeded: bool) -> None: ...


class BudgetMonitor:
    """A Sink. The budget itself is the guard's."""

    name = "ban budget monitor"

    def __init__(
        self, settings: BudgetSettings, budget: BanBudget, metrics: BudgetMetrics, problems: Problems
    ) -> None:
        self._settings = settings
        self._budget = budget
        self._metrics = metrics
        self._problems = problems

    def reconfigure(self, settings: BudgetSettings) -> None:
        """Apply these limits. The same limits again forget no ban."""
        if settings != self._settings:
            self._settings = settings
            self._budget.reconfigure(*settings.rate, settings.share, settings.site_share)

    def apply(self, turn: Turn) -> None:
        # Only the share needs the clients, and they take memory.
        if self._budget.max_share < math.inf:
            for hit in turn.hits:
                self._budget.client_failed(hit.address, turn.at)
        if turn.decisions:
            self._show(turn.at)

    def report(self, now: float) -> None:
        """Report whether it is exceeded. While no ban is made, only this finds that it has recovered."""
        self._budget.is_exceeded(now)
        self._show(now)

    def _show(self, now: float) -> None:
        sites = self._budget.sites.exceeded(now)
        self._metrics.budget(exceeded=self._budget.exceeded or bool(sites))
        sentence = budget_exceeded(self._budget) if self._budget.exceeded else None
        self._problems.report(BUDGET_PROBLEM, sentence, critical=False)
        self._problems.replace(
            SITE_PROBLEM,
            {f"{SITE_PROBLEM}{name}": site_budget_exceeded(name, self._budget.sites) for name in sites},
        )
