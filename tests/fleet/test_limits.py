import pytest

from sidecar.fleet.limits import LIFTS, MAX_PEERS, PROPOSALS, LiftKind, PeerBudget


def test_a_peer_may_ban_so_many_at_once_and_then_so_many_a_second():
    budget = PeerBudget(peer=(10, 1.0), total=(100, 100.0))

    assert [budget.take(8, now, "a") for now in (0.0, 0.0, 1.0, 1.5, 100.0, 50.0)] == [8, 2, 1, 0, 8, 2]
    assert budget.take(8, 100.0, "b") == 8
    assert [budget.room(100.0, peer) for peer in ("a", "b", "c", None)] == [10, 2, 10, 92]


def test_bans_that_are_known_already_cost_little():
    budget = PeerBudget(peer=(100, 0.0), total=(200, 0.0))
    for _ in range(5):
        budget.refund("a", budget.take(50, 0.0, "a"))

    assert [budget.room(0.0, "a"), budget.room(0.0)] == [75, 175]
    budget.refund("an unknown peer", 10)
    assert budget.room(0.0, "a") == 75


def test_all_peers_together_have_a_limit_too():
    budget = PeerBudget(peer=(10, 1.0), total=(25, 0.0))

    assert [budget.take(10, 0.0, peer) for peer in "abcd"] == [10, 10, 5, 0]
    assert PeerBudget(total=(25, 0.0)).take(30, 0.0) == 25


def test_made_up_names_do_not_fill_the_memory():
    """The peers that were silent for the longest are forgotten, and are new peers when they come again."""
    budget = PeerBudget(peer=(1, 0.0))
    taken = [budget.take(1, 0.0, f"peer {number}") for number in range(MAX_PEERS + 10)]

    assert sum(taken) == MAX_PEERS + 10
    assert budget.take(1, 0.0, f"peer {MAX_PEERS + 9}") == 0
    assert budget.take(1, 0.0, "peer 0") == 1


@pytest.mark.parametrize("kind", LiftKind)
def test_few_lifts_are_believed(kind):
    budget, (burst, per_s) = PeerBudget(), LIFTS[kind]

    def believed(now):
        return sum(budget.take_lift(kind, now) for _ in range(round(burst) + 1))

    assert [believed(now) for now in (0.0, 0.0, 2 / per_s)] == [burst, 0, 2]


def test_few_proposals_are_considered():
    budget, (burst, per_s) = PeerBudget(), PROPOSALS

    assert [budget.take_proposals(round(burst) + 1, now) for now in (0.0, 0.0, 2 / per_s)] == [burst, 0, 2]


def test_three_lifts_of_everyone_are_believed_in_an_hour():
    assert LIFTS[LiftKind.WIDE] == (3, 3 / 3600)
