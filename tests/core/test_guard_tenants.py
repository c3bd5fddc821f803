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


def test_lines_that_a_container_dates_back_use_up_no_failures_of_others():
    jail = Jail("login", maxretry=5, findtime=600.0, bantime=3_600.0, witness=False)
    guard = Guard([jail], Allowlist())
    now = 1_000_000.0
    for number in range(4):
        guard.hit(Hit("login", ANN, now + number, BLOG, "failed"), now + number)
    for number in range(20):
        guard.hit(Hit("login", ANN, now - 86_400.0 + number, HOSTILE, "failed"), now + 4)
    assert guard.view.bans == ()
    guard.hit(Hit("login", ANN, now + 5, BLOG, "failed"), now + 5)

    assert [ban.address for ban in guard.view.bans] == [ANN]


def test_a_label_has_no_failures_of_others_forgotten_while_a_witness_is_awaited():
    class Later:
        """Nothing is known at first."""

        known = False

        def seen(self, _):
            return True if self.known else None

    witness = Later()
    guard = Guard([Jail("login", maxretry=5, findtime=600.0)], Allowlist(), witness=witness)
    guard.set_overrides({"hostile": Overrides({"maxretry": 1})})
    for at in range(1, 5):
        guard.hit(Hit("login", ANN, float(at), BLOG, "failed"), float(at))
    guard.hit(Hit("login", ANN, 5.0, HOSTILE, "failed"), 5.0)
    witness.known = True
    guard.hit(Hit("login", ANN, 6.0, BLOG, "failed"), 6.0)

    assert [ban.address for ban in guard.view.bans] == [ANN]
