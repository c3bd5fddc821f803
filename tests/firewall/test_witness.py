"""From a log line to the kernel: whoever a line names is banned only if the kernel saw a packet of that address."""

import time
from contextlib import closing
from datetime import UTC, datetime

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Batch, Framing, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.refused_bans import RefusalReason
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.firewall import Firewall, NftTable, sightings
from tests.firewall.decisions import ANN, ANN6, BOB, turn

JAIL = Jail("wordpress", maxretry=3, findtime=3600.0)


class World:
    """A matcher, a guard and a real table, as the daemon joins them."""

    def __init__(self, firewall):
        self.firewall = firewall
        self._matcher = Matcher({"wordpress": load("wordpress")})
        self.guard = Guard([JAIL], Allowlist(ban_private=True), witness=firewall)

    def log(self, text, at, source="docker", name="blog"):
        """Read these lines, decide, and enforce. Return the addresses that were banned."""
        origin = Origin(source, name, "stderr", ("wordpress",))
        scan = self._matcher.scan(Batch(origin, text.encode(), Framing.NONE), at)
        decisions = self.guard.hits(scan.hits, at)
        self.firewall.apply(turn(*decisions))
        return [ban.address for ban in decisions]


@pytest.fixture
def world(host):
    with closing(Firewall(NftTable(), [JAIL])) as firewall:
        firewall.start([], time.time())
        yield World(firewall)


def failed(address, at):
    stamp = datetime.fromtimestamp(at, UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
    return f"[{stamp}] wordpress(blog)[7]: Authentication failure for admin from {address}\n"


# A PHP warning with a newline in it: all after the newline is the visitor's.
def php_newline(address, at):
    stamp = datetime.fromtimestamp(at, UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
    return f'[{stamp}] PHP Warning:  Undefined array key "x\n{failed(address, at)}" in /x.php on line 2\n'


def neighbour(address, at):
    return failed(address, at)


@pytest.mark.parametrize("aged", [True, False], ids=["old table", "new table"])
@pytest.mark.parametrize("forged", [php_newline, neighbour])
def test_a_forged_line_bans_no_stranger_and_a_client_after_one_packet(host, world, forged, aged):
    if aged:
        host.nft("delete element inet wp_sidecar missed { ipv4, ipv6 }")
    now = time.time()
    for second in range(10):
        assert world.log(forged(ANN, now + second) + forged(ANN6, now + second), now + second) == []
    (first, second) = world.guard.view.refused_bans
    assert {first.reason, second.reason} == {RefusalReason.NEVER_SEEN if aged else RefusalReason.UNKNOWN}
    assert host.lets_in(ANN, ANN6) == {ANN, ANN6}

    assert world.log(forged(ANN, now + 20) + forged(ANN6, now + 20), now + 20) == [
        ANN,
        Address("2001:db8:bad:1::/64"),
    ]
    assert host.lets_in(ANN, ANN6, BOB) == {BOB}


def test_in_a_flood_of_spoofed_senders_no_stranger_is_banned_and_an_attacker_is(host, world, monkeypatch):
    monkeypatch.setattr(sightings, "MAX_SENDERS", 1)
    with closing(Firewall(NftTable(), [JAIL])) as firewall:
        host.nft("delete table inet wp_sidecar")
        firewall.start([], time.time())
        world = World(firewall)
        # The flood: more senders than there is room for.
        host.lets_in("203.0.113.99", BOB)
        now = time.time()
        for second in range(5):
            host.answers(ANN)
            banned = world.log(failed(ANN, now + second) + failed("192.0.2.1", now + second), now + second)
            if banned:
                break

        # One failure more than without the flood.
        assert (banned, second) == ([ANN], 3)
        assert not host.answers(ANN)
        assert world.log(failed("192.0.2.1", now + 9) * 20, now + 9) == []
