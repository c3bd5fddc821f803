from sidecar.core.address import Address
from sidecar.core.ban_history import BanHistory, PastBans

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")


def test_bans_are_remembered_until_they_are_too_old():
    history = BanHistory([PastBans("login", ANN, 2, until=100.0)], age_s=50)

    assert (history.ban_count("login", ANN, 149), history.ban_count("login", ANN, 150)) == (2, 0)
    assert (history.ban_count("probe", ANN, 0), history.ban_count("login", BOB, 0)) == (0, 0)


def test_all_that_is_remembered_can_be_listed():
    past = [PastBans("login", ANN, 2, 100.0), PastBans("probe", BOB, 1, 50.0)]

    assert [*BanHistory(past)] == past


def test_the_last_ban_replaces_those_before():
    history = BanHistory()
    history.add("login", ANN, 1, 10.0)
    history.add("login", ANN, 2, 20.0)

    assert (history.ban_count("login", ANN, 20), len(history)) == (2, 1)
    history.clear("login", ANN)
    history.clear("login", ANN)
    assert history.ban_count("login", ANN, 20) == 0


def test_bans_that_count_no_more_are_forgotten():
    history = BanHistory([PastBans("login", ANN, 1, 10.0), PastBans("login", BOB, 1, 20.0)], age_s=5)
    history.forget(15)

    assert len(history) == 1


def test_the_address_banned_longest_ago_is_dropped_when_there_are_too_many():
    history = BanHistory([PastBans("login", ANN, 1, 10.0), PastBans("login", BOB, 1, 20.0)], max_addresses=1)

    assert (len(history), history.dropped, history.ban_count("login", BOB, 20)) == (1, 1, 1)
