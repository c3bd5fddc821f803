import pytest

from sidecar.core.address import Address
from sidecar.core.excuses import FORGIVEN_ROUNDS, PROXY_ROUNDS, Excuses, Peers
from sidecar.core.jail import Jail

JAIL = Jail("login", maxretry=5, findtime=100.0)
ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")


def excused(excuses, failures, times, at=0.0, **how):
    return sum(failures for _ in range(times) if excuses.login_proved(JAIL, ANN, failures, at, **how))


def test_a_proof_excuses_a_few_times_maxretry():
    assert excused(Excuses(), 4, 10) == 12
    assert excused(Excuses(), 1, 100, is_peer=True) == PROXY_ROUNDS * 5
    # One proof for each failure is what an attacker with an account has.
    assert excused(Excuses(), 1, 30) == FORGIVEN_ROUNDS * 5


def test_many_logins_that_work_excuse_more_and_it_shows():
    excuses = Excuses()
    assert excused(excuses, 0, 200) == 0
    assert not excuses.looks_like_proxy(JAIL, ANN)

    assert excused(excuses, 1, 200) == PROXY_ROUNDS * 5
    assert excuses.looks_like_proxy(JAIL, ANN)
    assert not excuses.looks_like_proxy(JAIL, BOB)


def test_what_was_excused_fades():
    excuses = Excuses()
    excused(excuses, 5, 3)

    assert not excuses.login_proved(JAIL, ANN, 5, 30.0)
    assert excuses.login_proved(JAIL, ANN, 5, 100.0)


def test_a_late_proof_makes_nothing_grow():
    excuses = Excuses()
    excused(excuses, 5, 3, at=1e9)

    assert not excuses.login_proved(JAIL, ANN, 1, 0.0)
    assert excuses.login_proved(JAIL, ANN, 5, 1e9 + 100)


def test_a_ban_that_is_due_is_excused_where_people_share_the_address():
    excuses = Excuses()
    assert not excuses.excuse_due_ban(JAIL, ANN, 0.0)
    excused(excuses, 0, 40)

    # 40 logins that worked are enough for 20 that failed.
    assert [excuses.excuse_due_ban(JAIL, ANN, 0.0) for _ in range(5)] == [True] * 4 + [False]
    assert [excuses.excuse_due_ban(JAIL, BOB, 0.0, is_peer=True) for _ in range(11)] == [True] * 10 + [False]


def test_addresses_are_forgotten_and_bounded():
    excuses = Excuses(max_addresses=32)
    for number in range(100):
        excuses.login_proved(JAIL, Address(f"192.0.2.{number}"), 1, float(number))
    assert len(excuses) <= 32
    excuses.forget(99.0)
    assert len(excuses) == 1


@pytest.mark.parametrize("peer", ["203.0.113.8", "::ffff:203.0.113.8"])
def test_the_peer_of_three_clients_is_a_proxy(peer):
    peers = Peers()
    peers.add(peer, Address("192.0.2.1"))
    peers.add(peer, Address("192.0.2.1"))
    peers.add(peer, Address("192.0.2.2"))
    assert BOB not in peers
    peers.add(peer, Address("192.0.2.3"))

    assert BOB in peers
    assert ANN not in peers


def test_peers_are_bounded_and_what_is_no_address_is_none():
    peers = Peers(max_peers=8)
    peers.add("unix:", ANN)
    for number in range(100):
        for client in range(3):
            peers.add(f"192.0.2.{number}", Address(f"198.51.100.{client}"))

    assert sum(f"192.0.2.{number}" in peers for number in range(100)) <= 8
