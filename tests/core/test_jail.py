import math

import pytest

from sidecar.core.bantime_increment import Escalation
from sidecar.core.jail import Jail, is_asked_for


def test_a_plain_jails_bans_all_last_its_bantime():
    jail = Jail("login", bantime=600)

    assert jail.longest_bantime == 600
    assert [jail.bantime_after(bans, chance=0.9) for bans in (0, 1, 9)] == [600, 600, 600]
    assert not jail.counts_bans_of_all_jails


def test_an_escalating_jails_bans_grow_up_to_a_longest_one():
    escalation = Escalation(maxtime=3600, rndtime=60, overalljails=True)
    jail = Jail("login", bantime=600, escalation=escalation)

    assert [jail.bantime_after(bans, chance=0.0) for bans in (0, 1, 9)] == [600, 1200, 3600]
    assert jail.longest_bantime == jail.bantime_after(9, chance=1.0) == 3660
    assert jail.counts_bans_of_all_jails


def test_a_jail_that_bans_permanently_has_no_longer_ban():
    assert Jail("login", bantime=math.inf, escalation=Escalation(maxtime=3600)).longest_bantime == math.inf


@pytest.mark.parametrize(
    ("asked", "is_meant"),
    [("", True), ("wordpress", True), ("wordpress@shop", True), ("wordpress@blog", False), ("other", False)],
)
def test_who_names_a_jail_means_it_at_each_site(asked, is_meant):
    assert is_asked_for("wordpress@shop", asked) is is_meant
