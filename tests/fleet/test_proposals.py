"""Traffic that enters by one node while another has the log: which of them bans."""

from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.fleet.limits import OWN_PROPOSALS
from tests.support.peers import EVENTS, LOGIN, agree, publish_lines
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.7"), Address("203.0.113.8"), Address("2001:db8:bad:1::/64")
KEY = b"k" * 32


class Packets:
    """A witness that saw packets of these addresses."""

    def __init__(self, *seen):
        self.seen_addresses = set(seen)

    def seen(self, address):
        return address in self.seen_addresses


def test_the_node_that_saw_the_packets_bans_for_the_node_that_has_the_log(redis, fleet):
    (balancer,) = fleet("balancer", keys=(KEY,), witness=Packets(ANN))
    web, other = fleet("web", "other", keys=(KEY,), witness=Packets())
    for _ in range(3):
        web.fail(ANN)
    agree([balancer, web, other], [ANN])

    causes = {peer.name: [(ban.cause, ban.failures) for ban in peer.bans] for peer in (balancer, web, other)}
    assert causes == {"balancer": [("failures", 3)], "web": [("fleet", 3)], "other": [("fleet", 3)]}
    (made,) = balancer.bans
    assert made.origin_name == "(web)"
    # It is refused no longer.
    assert web.inbox.query(lambda view, _: list(view.refused_bans)).result(10) == []
    assert balancer.budget_asked > 0


def test_an_address_that_sent_no_packet_to_any_node_is_not_banned(redis, fleet):
    a, b = fleet("a", "b", witness=Packets(BOB))
    for address in (ANN, EVE):
        for _ in range(6):
            a.fail(address)
    for _ in range(3):
        a.fail(BOB)
    agree([a, b], [BOB])
    wait_until(lambda: a.heard.counts["sent", "proposed"] >= 2)

    assert b.heard.rejections == {}


def test_the_node_that_bans_decides_as_for_its_own_logs(redis, fleet):
    jails = (LOGIN, replace(LOGIN, name="dry", observe=True))
    packets = Packets(ANN, BOB, EVE)
    (b,) = fleet("b", jails=jails, allowlist=Allowlist({"ignoreip": ["203.0.113.8"]}), witness=packets)
    now = round(b.clock() * 1000)
    proposals = [
        f"P {BOB} login - {now} 3 -",
        f"P {EVE} unknown - {now} 3 -",
        f"P {ANN} dry - {now} 3 -",
        f"P {EVE} login - {now - 61_000} 3 -",
    ]
    publish_lines(redis, proposals)
    wait_until(lambda: b.heard.rejections == {"expired": 1})
    agree([b], [ANN])
    (ban,) = b.bans
    assert (ban.jail, ban.dry_run) == ("dry", True)

    publish_lines(redis, [f"P {ANN} login - {now} 3 -"])
    wait_until(lambda: [each.jail for each in b.bans] == ["login", "dry"])


def test_a_dry_run_is_no_proposal_and_one_that_was_unbanned_is_stale(redis, fleet):
    (b,) = fleet("b", keys=(KEY,), witness=Packets(ANN))
    (a,) = fleet("a", keys=(KEY,), jails=(replace(LOGIN, observe=True),), witness=Packets())
    for _ in range(3):
        a.fail(ANN)
    b.ban(BOB)
    agree([a, b], [BOB])

    assert redis.client().xlen(EVENTS) == 1


def test_without_a_seal_a_proposal_is_not_believed_where_the_fleet_has_a_key(redis, fleet):
    (b,) = fleet("b", keys=(KEY,), witness=Packets(ANN))
    publish_lines(redis, [f"P {ANN} login - {round(b.clock() * 1000)} 3 -"])
    wait_until(lambda: b.heard.rejections == {"unsealed": 1})

    assert b.banned == set()


def test_a_flood_of_proposals_costs_little(redis, fleet):
    """A log that names endless strangers, and a node that publishes endless proposals."""
    strangers = [Address(f"198.18.{n >> 8}.{n & 255}") for n in range(5_000)]
    (b,) = fleet("b", witness=Packets(*strangers))
    now = round(b.clock() * 1000)
    for at in range(0, len(strangers), 100):
        publish_lines(redis, [f"P {each} login - {now} 3 -" for each in strangers[at : at + 100]])
    # 1,000 were considered at once, and 10 a second.
    wait_until(lambda: 3_500 < b.heard.rejections["budget"] <= 4_000)
    wait_until(lambda: b.bans)
    (sentence,) = b.problems["the fleet's bans"]
    assert sentence.startswith("evil publishes more than is believed at once")

    (a,) = fleet("a", witness=Packets())
    for stranger in strangers[2_000:2_400]:
        for _ in range(3):
            a.fail(stranger)
    wait_until(lambda: a.heard.counts["sent", "proposed"])
    a.ban(BOB)
    wait_until(lambda: BOB in b.banned)

    assert a.heard.counts["sent", "proposed"] <= 2 * OWN_PROPOSALS.burst


def test_no_network_is_proposed(redis, fleet):
    """A jail counts failures by network too, and each network needs a witness."""
    jails = (replace(LOGIN, maxretry=2),)
    (a,) = fleet("a", jails=jails, witness=Packets())
    for number in range(1, 30):
        for _ in range(2):
            a.fail(Address(f"203.0.113.{number}"))
    a.ban(BOB)
    wait_until(lambda: a.heard.counts["sent", "proposed"] and not a.heard.waiting)
    wait_until(lambda: redis.client().xlen(EVENTS))
    texts = [fields["t"] for _, fields in redis.client().xrange(EVENTS)]

    refused = a.inbox.query(lambda view, _: {ban.address for ban in view.refused_bans}).result(10)
    assert "203.0.113.0/24" in refused
    assert any(line.startswith("P 203.0.113.1 ") for text in texts for line in text.split("\n"))
    assert "/24" not in "".join(texts)
