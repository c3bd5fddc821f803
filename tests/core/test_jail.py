import math

from sidecar.core.bantime_increment import Escalation
from sidecar.core.jail import Jail


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
