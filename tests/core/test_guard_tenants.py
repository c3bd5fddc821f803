"""What one container says, by its labels and by its log, weakens no other container."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Hit, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides

ANN = Address("203.0.113.7")
BLOG, HOSTILE = Origin("docker", "blog"), Origin("docker", "hostile")

LABELS = st.fixed_dictionaries(
    {},
    optional={
        "maxretry": st.integers(1, 10_000),
        "findtime": st.floats(1.0, 1e9),
        "bantime": st.floats(1.0, 1e9),
        "observe": st.booleans(),
    },
)


@pytest.mark.parametrize("window", ["sliding", "fail2ban"])
@given(
    labels=LABELS,
    ignoreip=st.sampled_from([(), ("203.0.113.7",), ("0.0.0.0/0",)]),
    noise=st.lists(st.integers(0, 9), max_size=12),
)
@settings(max_examples=300, deadline=None)
def test_an_attacker_is_banned_at_the_last_allowed_failure_whatever_another_container_says(
    window, labels, ignoreip, noise
):
    jail = Jail("login", maxretry=5, findtime=600.0, bantime=3_600.0, window=window, witness=False)
    guard = Guard([jail], Allowlist())
    guard.set_overrides({"hostile": Overrides(labels, ignoreip=ignoreip, trusted_proxies=ignoreip)})
    at = 1_000.0
    # Before each of the attacker's failures, some of the hostile container's.
    for number in range(jail.maxretry):
        for _ in range(noise[number] if number < len(noise) else 0):
            at += 1.0
            guard.hit(Hit("login", ANN, at, HOSTILE, "failed"), at)
        at += 10.0
        guard.hit(Hit("login", ANN, at, BLOG, "failed"), at)

    assert [(ban.address, ban.dry_run, ban.until >= at + 3_000) for ban in guard.view.bans] == [
        (ANN, False, True)
    ]


@given(labels=LABELS)
@settings(max_examples=200, deadline=None)
def test_proofs_of_login_at_another_container_excuse_no_more_than_those_of_the_jail(labels):
    def guesses(overrides):
        """How many guesses a container lets pass while the hostile one proves a login after each."""
        jail = Jail("login", maxretry=5, findtime=600.0, bantime=3_600.0, witness=False)
        guard = Guard([jail], Allowlist())
        guard.set_overrides(overrides)
        for number in range(200):
            at = 1_000.0 + number
            guard.hit(Hit("login", ANN, at, BLOG, "failed"), at)
            if guard.view.bans:
                return number
            guard.hit(Hit("login", ANN, at + 0.5, HOSTILE, "worked", success=True), at + 0.5)
        return 200

    assert guesses({"hostile": Overrides(labels)}) == guesses({}) < 100
