"""An exceeded ban budget: what it means, and what to change."""

from __future__ import annotations

from sidecar.core.ban_budget import BanBudget
from sidecar.core.site_budget import SiteBudgets
from sidecar.core.text import printable


def budget_exceeded(budget: BanBudget) -> str:
    """Return which limit is exceeded, what follows from it, and what to change."""
    limit = f"more than {budget.bans_per_period:,.0f} bans within {budget.period_s:.0f} s"
    if budget.max_share < 1:
        limit += f", or of {budget.max_share:.0%} of the clients seen,"
    return (
        f"{limit} were about to be made: new bans are a dry run until half as many are asked for. Bans in force stay. "
        "Check whether a filter is wrong or addresses are forged; if the attack is that large, raise banbudget"
    )


def site_budget_exceeded(site: str, budgets: SiteBudgets) -> str:
    """Return that one log uses more than its part of the ban budget, what follows from it, and what to change."""
    return (
        f"more than {budgets.bans_per_period:,.0f} bans within {budgets.period_s:.0f} s were about to be made because "
        f"of the log of {printable(site)}: those beyond are a dry run, so that the other sites keep their part of the "
        "ban budget. Check whether somebody else writes that log; if the attack is that large, raise banbudget or "
        "siteshare"
    )
