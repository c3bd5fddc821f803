import math

import pytest

from sidecar.core.address import Address
from sidecar.core.ban_history import BanHistory
from sidecar.core.ban_register import BanRegister
from sidecar.core.events import Ban, BanCause, Hit, Origin, Unban, UnbanCause
from sidecar.core.jail import Jail
from sidecar.core.jail_states import JailStates

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
LOGIN = Jail("login")


class Bench:
    def __init__(self):
        self.jails, self.history = JailStates([LOGIN]), BanHistory()
        self.register = BanRegister(self.jails, self.history)
        self.login = self.jails.by_name["login"]

    def ban(self, address=ANN, until=60.0, cause=BanCause.FAILURES, jail="login"):
        return self.register.put(Ban(jail, address, 0.0, until, cause, ban_count=2))

    def remembered(self):
        return self.history.ban_count("login", ANN, now=61.0)


@pytest.fixture
def bench():
    return Bench()


def test_a_ban_is_in_force_until_its_end(bench):
    ban = bench.ban()
    assert (bench.login.bans.get(ANN), bench.register.next_end) == (ban, 60.0)
    assert bench.register.end_expired(59.0) == []

    assert bench.register.end_expired(60.0) == [Unban("login", ANN, 60.0, UnbanCause.EXPIRED)]
    assert (len(bench.login.bans), bench.register.next_end) == (0, math.inf)


def test_a_ban_of_an_unknown_jail_adds_its_state(bench):
    ban = bench.ban(jail="shop")

    shop = bench.jails.by_name["shop"]
    assert (shop.is_removed, shop.bans.get(ANN)) == (True, ban)
    assert bench.register.end_expired(60.0) == [Unban("shop", ANN, 60.0, UnbanCause.EXPIRED)]


def test_a_replaced_ban_ends_at_its_new_end_only(bench):
    bench.ban(until=60.0)
    bench.ban(until=90.0)

    assert bench.register.end_expired(60.0) == []
    assert [unban.at for unban in bench.register.end_expired(90.0)] == [90.0]


@pytest.mark.parametrize(
    ("ban_cause", "unban_cause", "remembered"),
    [
        (BanCause.FAILURES, UnbanCause.EXPIRED, 2),
        (BanCause.MANUAL, UnbanCause.EXPIRED, 0),
        (BanCause.FAILURES, UnbanCause.MANUAL, 0),
        (BanCause.FAILURES, UnbanCause.WEB, 0),
        (BanCause.FAILURES, UnbanCause.ALLOWED, 0),
    ],
)
def test_only_a_ban_that_expired_is_remembered_and_none_by_hand(bench, ban_cause, unban_cause, remembered):
    bench.ban(cause=ban_cause)
    bench.register.end(bench.login, ANN, 60.0, unban_cause)

    assert bench.remembered() == remembered


def test_a_lifted_ban_clears_the_history_too(bench):
    bench.history.add("login", ANN, 1, 50.0)
    bench.ban()
    bench.register.end(bench.login, ANN, 60.0, UnbanCause.MANUAL)

    assert bench.remembered() == 0


def test_the_end_of_a_ban_clears_what_was_counted_meanwhile(bench):
    bench.ban()
    for address in (ANN, BOB):
        hit = Hit("login", address, 1.0, Origin("docker", "blog"), "a line")
        bench.login.failures.add(LOGIN, hit, 1.0, 1)
    bench.register.end_expired(60.0)

    assert [address in bench.login.failures.window for address in (ANN, BOB)] == [False, True]
