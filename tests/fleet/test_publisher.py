"""What is told to the others, and when."""

import time

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Hit, Turn, Unban
from sidecar.core.guard import Guard
from sidecar.fleet.publisher import completed, told_to_others
from tests.support.peers import LOGIN, SITE, Peer

ANN, BOB, NET = Address("203.0.113.7"), Address("203.0.113.8"), Address("198.51.100.0/24")


def test_a_sink_never_waits_and_holds_only_so_much(redis):
    """As many as come while the engine is away; the oldest go, and are told again when it is back."""
    redis.kill()
    peer = Peer("a", redis.url)
    publisher = peer.fleet.publisher
    began = time.perf_counter()
    for number in range(0, 150_000, 1_000):
        bans = tuple(
            Ban("login", Address(str(at)), 1.0, 2.0, "manual") for at in range(number, number + 1_000)
        )
        publisher.apply(Turn(1.0, bans))
    took = time.perf_counter() - began
    peer.stop()
    redis.start()

    assert took < 5
    assert len(peer.fleet._state.outbox) == 100_000
    assert peer.heard.counts["sent", "dropped"] == 50_000


def test_what_was_only_observed_or_came_from_others_is_not_told_on():
    ban = Ban("login", ANN, 1.0, 2.0, "failures")

    assert told_to_others(ban)
    assert told_to_others(Unban("login", ANN, 1.0, "manual"))
    assert not told_to_others(Ban("login", ANN, 1.0, 2.0, "failures", dry_run=True))
    assert told_to_others(Ban("login", NET, 1.0, 2.0, "group"))
    assert not told_to_others(Ban("login", ANN, 1.0, 2.0, "fleet"))
    assert [told_to_others(Unban("login", ANN, 1.0, cause)) for cause in ("expired", "allowed", "fleet")] == [
        False
    ] * 3


def test_whom_all_nodes_together_saw_too_often_is_banned_as_the_guard_bans():
    guard = Guard([LOGIN], Allowlist({"ignoreip": ["203.0.113.8"]}))
    hit = Hit("login", ANN, 5.0, SITE, "fail", "admin")
    guard.hit(hit, 5.0)

    (ban,) = completed(guard, hit, 6.0)
    assert (ban.address, ban.until, ban.failures) == (ANN, 5.0 + LOGIN.bantime, 3)
    assert ban.evidence == ("fail", *["(counted with the other nodes of the fleet)"] * 2)
    assert completed(guard, hit, 6.0) == []
    assert completed(guard, hit._replace(address=BOB), 6.0) == []
    assert completed(guard, hit._replace(jail="gone"), 6.0) == []
