import math

import pytest

from sidecar.core.bantime_increment import Escalation
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides

LOGIN = Jail("login", maxretry=3, ignoreip=("192.0.2.1",))


def test_no_labels_leave_the_jail_as_it_is():
    assert Overrides().apply_to(LOGIN) == LOGIN


def test_labels_override_the_jail():
    overrides = Overrides(
        {"maxretry": 9, "findtime": 20_000.0, "bantime": 86_400.0, "observe": True}, ignoreip=("192.0.2.2",)
    )

    assert overrides.apply_to(LOGIN) == Jail(
        "login",
        maxretry=9,
        findtime=20_000.0,
        bantime=86_400.0,
        observe=True,
        ignoreip=("192.0.2.1", "192.0.2.2"),
    )


@pytest.mark.parametrize(
    ("jail", "bantime", "findtime"),
    [
        (LOGIN, 86_400.0, 86_400.0),
        (Jail("login", bantime=60.0, findtime=100_000.0), 60.0, 100_000.0),
        (Jail("login", bantime=60.0, escalation=Escalation(maxtime=600.0, rndtime=5.0)), 605.0, 86_400.0),
        (Jail("login", bantime=60.0, escalation=Escalation()), 60.0, 86_400.0),
        (Jail("login", bantime=math.inf), math.inf, 86_400.0),
    ],
)
def test_times_of_labels_are_limited_by_the_jails_own(jail, bantime, findtime):
    values = {"bantime": math.inf, "findtime": 1e9}
    limited = Overrides(values).apply_to(jail)

    assert (limited.bantime, limited.findtime) == (bantime, findtime)
    unlimited = Overrides(values, limited=False).apply_to(jail)
    assert (unlimited.bantime, unlimited.findtime) == (math.inf, 1e9)


def test_overrides_that_set_nothing_are_empty():
    assert Overrides(limited=False).is_empty
    assert not any(
        each.is_empty
        for each in (
            Overrides({"maxretry": 1}),
            Overrides(ignoreip=("192.0.2.1",)),
            Overrides(ignore_names=("a.example",)),
            Overrides(trusted_proxies=("192.0.2.1",)),
        )
    )


def test_proxies_are_the_containers_own_or_those_of_all():
    proxies = ("192.0.2.1",)

    assert (Overrides(trusted_proxies=proxies).own_proxies, Overrides(trusted_proxies=proxies).proxies_of_all) == (
        proxies, (),
    )  # fmt: skip
    for_all = Overrides(trusted_proxies=proxies, limited=False)
    assert (for_all.own_proxies, for_all.proxies_of_all) == ((), proxies)


def test_labels_do_not_shorten_times_or_keep_many_failures():
    values = {"bantime": 1.0, "findtime": 1.0, "maxretry": 10_000}
    limited = Overrides(values).apply_to(LOGIN)

    assert (limited.bantime, limited.findtime, limited.maxretry) == (86_400.0, 10_800.0, 100)
    unlimited = Overrides(values, limited=False).apply_to(LOGIN)
    assert (unlimited.bantime, unlimited.findtime, unlimited.maxretry) == (1.0, 1.0, 10_000)
