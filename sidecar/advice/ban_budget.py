"""An exceeded ban budget: what it means, and what to change."""

from __future__ import annotations

from sidecar.core.ban_budget import BanBudget


def budget_exceeded(budget: BanBudget) -> str:
    """Return which limit is exceeded, what follows from it, and what to change."""
    limit = f"more than {budget.max_bans:,.0f} bans within {budget.period_s:.0f} s"
    if budget.max_share < 1:
        limit += f", or of {budget.max_share:.0%} of the clients seen,"
    return (
        f"{limit} were about to be made: new bans are a dry run until half as many are asked for. Bans in force stay. "
        "Check whether a filter is wrong or addresses are forged; if the attack is that large, raise banbudget"
    )
