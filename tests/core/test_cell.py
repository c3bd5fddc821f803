from dataclasses import replace

import pytest

from sidecar.core.cell import GRACE, Cell, slash24
from sidecar.core.events import Ban, Hit, Leak, Origin, Who
from sidecar.core.jail import Jail
from sidecar.core.policy import Policy

ANN, BOB, SIX = Who("203.0.113.7"), Who("203.0.113.8"), Who("2001:db8:bad:1::/64")
LOGIN = Jail("login")
BAN = Ban("login", ANN, 0.0, 60.0, "failures", 3, "blog", ("one line",), decided=1.0)


def hit(at, site="blog"):
    return Hit("login", ANN, at, Origin("docker", site), "a line")


def test_a_ban_is_kept_without_its_lines():
    cell = Cell.of(LOGIN)

    assert cell.keep(BAN) == replace(BAN, evidence=())
    assert cell.ban_of(ANN) is cell.bans[ANN]
    assert cell.lift(ANN) == replace(BAN, evidence=())
    assert cell.ban_of(ANN) is None


def test_who_is_kept_out_is_counted_by_ip_version_and_who_is_observed_is_not():
    cell = Cell.of(LOGIN)
    for ban in (BAN, BAN, replace(BAN, who=SIX), replace(BAN, who=BOB, observed=True)):
        cell.keep(ban)
    assert cell.active == {4: 1, 6: 1}

    cell.keep(replace(BAN, observed=True))
    cell.lift(BOB)
    assert cell.active == {4: 0, 6: 1}


def test_a_sites_rules_are_made_once():
    cell = Cell.of(LOGIN)
    policies = {"blog": Policy(findtime=9e9)}

    assert cell.rules_at("blog", policies) is cell.rules_at("blog", policies)
    assert (cell.rules_at("shop", policies), cell.findtime) == (cell.rules, 9e9)
    cell.forget_rules()
    assert cell.rules_at("blog", {}) is cell.rules


@pytest.mark.parametrize(
    ("who", "net"),
    [(ANN, "203.0.113.0/24"), (SIX, None), (Who("198.51.100.0/24"), None)],
)
def test_the_neighbourhood_of_a_host(who, net):
    assert slash24(who) == net


def test_a_leak_is_told_once_for_each_ban():
    cell = Cell.of(LOGIN)
    cell.keep(BAN)
    late = hit(BAN.decided + GRACE + 1)

    assert cell.leak(BAN, hit(BAN.decided + GRACE)) is None
    assert cell.leak(BAN, late._replace(origin=Origin("docker", "shop"))) is None
    assert cell.leak(replace(BAN, observed=True), late) is None
    assert cell.leak(replace(BAN, decided=0.0), hit(BAN.at + GRACE)) is None  # after a restart
    assert cell.leak(BAN, late) == Leak("login", ANN, late.at, "blog")
    assert cell.leak(BAN, late) is None
    cell.lift(ANN)
    assert cell.leak(BAN, late)
