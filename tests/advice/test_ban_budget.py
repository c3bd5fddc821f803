from sidecar.advice.ban_budget import budget_exceeded
from sidecar.core.ban_budget import BanBudget


def test_the_sentence_names_the_limits_and_the_setting():
    assert budget_exceeded(BanBudget(10, 60)).startswith(
        "more than 10 bans within 60 s were about to be made"
    )
    assert budget_exceeded(BanBudget(10, 60, 0.5)).startswith(
        "more than 10 bans within 60 s, or of 50% of the clients seen, were"
    )
    assert budget_exceeded(BanBudget(10, 60)).endswith("raise banbudget")
