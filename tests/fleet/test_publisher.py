"""What a node publishes, and when."""

from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Hit, Read, Turn, Unban
from sidecar.core.guard import Guard
from sidecar.core.jail import Scope
from sidecar.fleet.publisher import COUNTED_ELSEWHERE, complete, is_shared
from tests.support.peers import LOGIN, SITE, Peer, agree
from tests.support.waiting import wait_until

ANN, BOB, NET = Address("203.0.113.7"), Address("203.0.113.8"), Address("198.51.100.0/24")


def test_the_loop_never_waits_and_the_outbox_is_bounded(redis):
    """As many decisions as come while the server is away. The oldest are dropped, and published again later."""
    redis.kill()
    peer = Peer("a", redis.url)
    publisher = peer.fleet.publisher
    for number in range(0, 150_000, 1_000):
        bans = tuple(
            Ban("login", Address(str(at)), 1.0, 2.0, "manual") for at in range(number, number + 1_000)
        )
        publisher.apply(Turn(1.0, bans))
    wait_until(lambda: peer.heard.waiting == 100_000)
    peer.stop()
    redis.start()

    assert peer.heard.counts["sent", "dropped"] == 50_000


def test_dry_runs_and_other_nodes_decisions_are_not_published():
    ban = Ban("login", ANN, 1.0, 2.0, "failures")

    assert is_shared(ban)
    assert is_shared(Unban("login", ANN, 1.0, "manual"))
    assert is_shared(Unban("login", ANN, 1.0, "web"))
    assert is_shared(Ban("login", NET, 1.0, 2.0, "group"))
    assert not is_shared(Ban("login", ANN, 1.0, 2.0, "failures", dry_run=True))
    assert not is_shared(Ban("login", ANN, 1.0, 2.0, "fleet"))
    # Elsewhere a container of that name is another site, or there is none.
    assert not is_shared(Ban("login@blog", ANN, 1.0, 2.0, "failures"))
    assert not is_shared(Unban("login@blog", ANN, 1.0, "manual"))
    for cause in ("expired", "allowed", "fleet"):
        assert not is_shared(Unban("login", ANN, 1.0, cause))


def test_after_a_reload_failures_are_counted_by_the_new_rules(fleet):
    peers = fleet("a", "b")
    for peer in peers:
        peer.reconfigure([replace(LOGIN, maxretry=2)])
        peer.fail(ANN)
    agree(peers, [ANN])


def test_addresses_that_all_nodes_together_saw_too_often_are_banned_by_the_guard():
    guard = Guard([LOGIN], Allowlist({"ignoreip": ["203.0.113.8"]}))
    hit = Hit("login", ANN, 5.0, SITE, "fail", "admin")
    guard.hit(hit, 5.0)

    (ban,) = complete([hit], guard, 6.0)
    assert (ban.address, ban.until, ban.failures) == (ANN, 5.0 + LOGIN.bantime, 3)
    assert ban.evidence == ("fail", COUNTED_ELSEWHERE, COUNTED_ELSEWHERE)
    banned_already, allowlisted, jail_removed = hit, hit._replace(address=BOB), hit._replace(jail="gone")
    assert complete([banned_already, allowlisted, jail_removed], guard, 6.0) == []


def test_failures_at_a_site_are_not_counted_on_all_nodes_together(fleet):
    of_site = replace(LOGIN, maxretry=3, scope=Scope.SITE)
    peers = fleet("a", "b")
    for peer in peers:
        peer.reconfigure([of_site, replace(LOGIN, name="other", maxretry=3)])
    for peer in peers:
        for _ in range(2):
            peer.fail(ANN)
            peer.inbox.read(Read(SITE, (Hit("other", BOB, peer.clock(), SITE, "fail"),)))

    agree(peers, [BOB])
