from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Bypass, Hit, Origin
from sidecar.core.jail import Jail
from sidecar.core.jail_state import GRACE, JailState, neighbourhood
from sidecar.core.overrides import Overrides

ANN, BOB, SIX = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
LOGIN = Jail("login")
BAN = Ban("login", ANN, 0.0, 60.0, "failures", 3, "blog", ("one line",), decided_at=1.0)


def hit(at, site="blog"):
    return Hit("login", ANN, at, Origin("docker", site), "a line")


def test_a_ban_is_kept_without_its_lines():
    state = JailState.of(LOGIN)

    assert state.keep(BAN) == replace(BAN, evidence=())
    assert state.ban_of(ANN) is state.bans[ANN]
    assert state.lift(ANN) == replace(BAN, evidence=())
    assert state.ban_of(ANN) is None


def test_who_is_kept_out_is_counted_by_ip_version_and_who_is_observed_is_not():
    state = JailState.of(LOGIN)
    for ban in (BAN, BAN, replace(BAN, address=SIX), replace(BAN, address=BOB, dry_run=True)):
        state.keep(ban)
    assert state.active == {4: 1, 6: 1}

    state.keep(replace(BAN, dry_run=True))
    state.lift(BOB)
    assert state.active == {4: 0, 6: 1}


def test_a_sites_rules_are_made_once():
    state = JailState.of(LOGIN)
    policies = {"blog": Overrides({"findtime": 9e9})}

    assert state.rules_at("blog", policies) is state.rules_at("blog", policies)
    assert (state.rules_at("shop", policies), state.findtime) == (state.rules, 9e9)
    state.forget_rules()
    assert state.rules_at("blog", {}) is state.rules


@pytest.mark.parametrize(
    ("address", "net"),
    [(ANN, "203.0.113.0/24"), (SIX, None), (Address("198.51.100.0/24"), None)],
)
def test_the_neighbourhood_of_a_host(address, net):
    assert neighbourhood(address) == net


def test_a_leak_is_told_once_for_each_ban():
    state = JailState.of(LOGIN)
    state.keep(BAN)
    late = hit(BAN.decided_at + GRACE + 1)

    assert state.bypass(BAN, hit(BAN.decided_at + GRACE)) is None
    assert state.bypass(BAN, late._replace(origin=Origin("docker", "shop"))) is None
    assert state.bypass(replace(BAN, dry_run=True), late) is None
    assert state.bypass(replace(BAN, decided_at=0.0), hit(BAN.at + GRACE)) is None  # after a restart
    assert state.bypass(BAN, late) == Bypass("login", ANN, late.at, "blog")
    assert state.bypass(BAN, late) is None
    state.lift(ANN)
    assert state.bypass(BAN, late)
