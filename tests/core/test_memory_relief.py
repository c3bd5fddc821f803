"""Short memory: evidence, history and old failures go, and do not grow again."""

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import BanHistory, PastBans
from sidecar.core.events import Hit, Origin
from sidecar.core.evidence import MIN_EVIDENCE_BYTES, Evidence
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.windows import WINDOWS

SITE = Origin("docker", "blog", "stdout", ("login",))


def address(n):
    return Address(f"198.18.{n // 256}.{n % 256}")


@pytest.mark.parametrize("kind", WINDOWS)
def test_the_older_half_of_the_failures_goes_and_the_rest_does_not_grow(kind):
    window = WINDOWS[kind]()
    for n in range(4_000):
        window.add(address(n), float(n), maxretry=5, findtime=600)
    window.shrink()
    left = len(window)
    for n in range(4_000, 8_000):
        window.add(address(n), float(n), maxretry=5, findtime=600)

    assert (left, address(0) in window, address(7_999) in window) == (2_000, False, True)
    assert len(window) <= left
    assert window.dropped >= 2_000

    window.grow()
    for n in range(4_000):
        window.add(address(n), 9_000.0 + n, maxretry=5, findtime=600)
    assert len(window) > 4_000


@pytest.mark.parametrize("kind", WINDOWS)
def test_the_newest_failures_are_never_forgotten_however_long_memory_is_short(kind):
    """It may stay short for another reason: then a slow guesser would have as many tries as he likes."""
    window = WINDOWS[kind]()
    for n in range(4_000):
        window.add(address(n), float(n), maxretry=5, findtime=600)
    for _ in range(100):
        window.shrink()

    assert (len(window), address(3_000) in window, address(2_999) in window) == (1_000, True, False)


@pytest.mark.parametrize("kind", WINDOWS)
def test_some_failures_are_always_counted(kind):
    window = WINDOWS[kind]()
    window.shrink()
    for n in range(1_000):
        window.add(address(n), float(n), maxretry=5, findtime=600)

    assert (len(window), window.dropped) == (1_000, 0)


def test_half_of_the_history_goes():
    history = BanHistory(PastBans("login", address(n), 1, float(n)) for n in range(4_000))
    history.clear("mail", address(1))
    history.add("mail", address(1), 1, 5.0)
    history.clear("mail", address(1))
    history.shrink()

    assert (len(history), history.dropped) == (2_000, 2_000)
    for n in range(4_000, 8_000):
        history.add("login", address(n), 1, float(n))
    assert len(history) <= 2_000


def test_the_newest_of_the_history_is_never_forgotten():
    history = BanHistory(PastBans("login", address(n), 1, float(n)) for n in range(1_500))
    history.add("mail", address(1), 2, 5.0)
    for _ in range(100):
        history.shrink()

    assert (len(history), history.ban_count("mail", address(1), 0.0)) == (1_001, 2)
    assert history.ban_count("login", address(1_499), 0.0) == 1


def test_half_of_the_evidence_goes():
    evidence = Evidence()
    for n in range(4_000):
        evidence.add("login", address(n), "x" * 100, 5)
    evidence.shrink()

    assert sum(len(evidence.take("login", address(n))) for n in range(4_000)) < 2_000
    assert evidence.dropped > 2_000


def test_some_evidence_is_always_kept():
    evidence = Evidence()
    evidence.shrink()
    evidence.add("login", address(1), "x" * (MIN_EVIDENCE_BYTES // 2), 5)

    assert len(evidence.take("login", address(1))) == 1


def test_a_guard_that_forgot_the_oldest_still_bans():
    guard = Guard([Jail("login", maxretry=2, aggregate=False)], Allowlist())
    guard.hits([Hit("login", address(n), 0.0, SITE, "a line") for n in range(4_000)], now=0)
    guard.relieve_memory()

    [ban] = guard.hits([Hit("login", address(3_999), 1.0, SITE, "a line")], now=1)

    assert ban.address == address(3_999)
    assert guard.hits([Hit("login", address(0), 1.0, SITE, "a line")], now=1) == []


def test_a_slow_guesser_is_banned_while_memory_is_short():
    guard = Guard([Jail("login", maxretry=5, findtime=600)], Allowlist())
    for n in range(4):
        assert guard.hits([Hit("login", address(1), 8.0 * n, SITE, "a line")], now=8.0 * n) == []
        for _ in range(8):
            guard.relieve_memory()

    [ban] = guard.hits([Hit("login", address(1), 32.0, SITE, "a line")], now=32.0)
    assert ban.address == address(1)


def test_everything_grows_again_when_there_is_enough():
    guard = Guard([Jail("login", maxretry=1, aggregate=False)], Allowlist())
    guard.relieve_memory()
    guard.memory_recovered()
    guard.hits([Hit("login", address(n), 0.0, SITE, "a line") for n in range(4_000)], now=0)

    assert guard.view.ban_count == 4_000
    guard.tick(1e9)
    assert guard.view.usage.history_addresses == 4_000
