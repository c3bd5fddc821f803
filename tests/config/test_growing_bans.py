"""Bans that begin with an hour and grow, against bans of a day: what either costs an attacker, and people who mistype.

Both are the built-in jail `wordpress-access`, and every second of a month is played. docs/wordpress.md has the figures.
"""

from dataclasses import replace

import pytest

from sidecar.config.jail_keys import default_jail
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Hit, Origin
from sidecar.core.guard import Guard

ANN = Address("203.0.113.7")
SITE = Origin("docker", "blog", "stdout", ("wordpress-access", "wordpress-auth"))
HOUR, DAY = 3_600.0, 86_400.0
GROWING = replace(default_jail("wordpress-access"), reads_requests=True)
OF_A_DAY = replace(GROWING, bantime=DAY, escalation=None)


def guesses(jail, days):
    """Return how many guesses an address has in this many days if it guesses whenever it is not banned, each second."""
    guard = Guard([jail], Allowlist())
    now, count = 0.0, 0
    while now < days * DAY:
        decisions = guard.hits([Hit(jail.name, ANN, now, SITE, "a guess")], now)
        count += 1
        ban = next((each for each in decisions if isinstance(each, Ban)), None)
        now = ban.until if ban else now + 1
        guard.tick(now)
    return count


@pytest.mark.parametrize(
    ("days", "growing", "of_a_day"),
    [(1, 10, 5), (7, 11, 35), (30, 15, 150)],
)
def test_what_an_attacker_gets(days, growing, of_a_day):
    assert (guesses(GROWING, days), guesses(OF_A_DAY, days)) == (growing, of_a_day)


@pytest.mark.parametrize(("jail", "hours"), [(GROWING, 1), (OF_A_DAY, 24)])
def test_what_a_person_with_a_forgotten_password_waits(jail, hours):
    guard = Guard([jail], Allowlist())

    [ban] = guard.hits([Hit(jail.name, ANN, float(n), SITE, "a mistake") for n in range(5)], now=5)

    assert ban.until - ban.at == hours * HOUR


@pytest.mark.parametrize("jails", [(GROWING,), (GROWING, default_jail("wordpress-auth"))])
def test_an_office_that_mistypes_seven_times_among_fifty_logins_is_not_banned(jails):
    """Within three hours. Where the plugin logs failures too, the pages that the access log shows prove the logins."""
    guard = Guard(jails, Allowlist())
    decisions = []
    for n in range(50):
        at = n * 216.0
        if n % 7 == 0:
            decisions += guard.hits([Hit(jail.name, ANN, at, SITE, "a mistake") for jail in jails], at)
        decisions += guard.hits([Hit("wordpress-access", ANN, at + 5, SITE, "", success=True)], at + 5)

    assert decisions == []


def test_a_login_that_only_the_plugin_reports_clears_nothing_by_default():
    """Where PHP writes a visitor's newlines into the log, he can write such a line himself."""
    jail = default_jail("wordpress-auth")
    guard = Guard([jail], Allowlist())

    assert jail.success == "proof"
    assert guard.hits([Hit(jail.name, ANN, float(n), SITE, "a guess") for n in range(3)], now=3)
