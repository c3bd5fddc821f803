"""No address of the allowlist is ever banned: random addresses and two hundred chosen ones, on random topologies.

A hundred thousand here, and a million in `make fuzz`. The allowlist is computed here once more, by plain comparison of
numbers, and the guard and the text for the kernel are compared with it.
"""

import os
import random
import re
import socket
from bisect import bisect_right
from ipaddress import ip_address, ip_network

import pytest

from sidecar.config import cdn
from sidecar.core.address import Address, parse_address, parse_ban_target
from sidecar.core.allowlist import (
    CONTAINERS,
    GATEWAY,
    IGNOREIP,
    OWN,
    PROXY,
    RESOLVER,
    Allowlist,
    of_cdn,
)
from sidecar.core.events import Ban, Hit, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.firewall import elements, ruleset
from sidecar.firewall.desired import DesiredState
from sidecar.firewall.edits import Put
from sidecar.firewall.port_groups import PortGroup
from tests.support.seed import SEED

TOPOLOGIES = 20
EACH = int(os.environ.get("TRUST", "100000")) // TOPOLOGIES // 4 * 4
SITE = Origin("docker", "blog", jails=("web",))
ALWAYS = (
    "0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "168.63.129.16",
    "100.100.100.200", "192.0.0.0/24", "192.88.99.0/24", "::/128", "::1/128",
    "fe80::/10", "ff00::/8", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32",
)  # fmt: skip
PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7", "fec0::/10")
# Forms of one address, neighbours of the special, what a proxy or a slip may write; with `{}` for one of our own.
CHOSEN = """
127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 1.0.0.0 255.255.255.255 255.255.255.254 223.255.255.255 224.0.0.1 239.255.255.250
169.254.169.254 169.253.255.255 169.255.0.0 10.0.0.0 10.255.255.255 9.255.255.255 11.0.0.0 172.15.255.255 172.16.0.0
172.17.0.1 172.18.0.1 172.31.255.255 172.32.0.0 192.167.255.255 192.168.0.1 192.168.255.255 192.169.0.0 100.63.255.255
100.64.0.1 100.127.255.255 100.128.0.0 8.8.8.8 1.1.1.1 104.16.0.0 104.31.255.255 104.32.0.0 151.101.1.1 130.176.0.1
35.191.255.255 130.211.3.255 130.211.4.0 45.60.0.1 192.88.134.1 173.245.48.1 172.64.0.1 172.71.255.255 172.72.0.0
198.18.0.1 240.0.0.1 192.0.2.1 198.51.100.1 203.0.113.1
:: ::1 ::2 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:8.8.8.8 ::ffff:172.17.0.1 ::ffff:0:127.0.0.1 ::127.0.0.1 ::8.8.8.8 ::1:0:0:0
0:0:0:1::1 fe80::1 fe80::1%eth0 febf:ffff::1 fec0::1 feff::1 ff02::1 ff0e::1 fc00::1 fd00:6:6::1 fdff:ffff::1 fbff::1 fe00::1
64:ff9b::7f00:1 64:ff9b::808:808 64:ff9b:0:0:1::1 64:ff9b:1:2::1 64:ff9b:2::1 64:ff9a::1 2001::1 2001:0:ffff::1 2001:1::1
2001:db8::1 2002:7f00:1::1 2002:a00:1::1 2002:c0a8:101::1 2002:808:808::1 2002:ac11:1::1 2002:e000:1::1 2003::1 2000::1
2400:cb00::1 2606:4700:4700::1111 2606:4701::1 2a04:4e42::1 2a04:4e41::1 2600:9000:1000::1 2600:2d00:1:1::1 2600:2d00:1:2::1
[::1] [2001:db8::1] {} ::ffff:{} 64:ff9b::{} [{}]
127.0.0.0/8 127.0.0.1/32 10.0.0.0/16 172.17.0.0/16 192.168.1.0/24 169.254.0.0/16 224.0.0.0/16 100.64.0.0/16 0.0.0.0/16
255.255.0.0/16 8.8.0.0/16 8.8.8.0/24 104.16.0.0/16 104.0.0.0/16 151.101.0.0/24 203.0.0.0/16 198.51.100.0/24 192.0.2.0/28
2001::/32 2001:db8::/32 2002::/32 2002:7f00::/32 2002:808::/32 fe80::/32 fd00::/32 fd00:6:6::/48 ff02::/32 64:ff9b::/96 64:ff9b::/32
2606:4700::/32 2606:4700::/48 2400::/32 2a04:4e42::/64 ::/64 ::/32 ::ffff:0:0/112 ::ffff:127.0.0.0/104 ::ffff:8.8.8.0/120 {}/24 {}/16
{}/32 2003::/32 2a00::/32 128.0.0.0/16 191.255.0.0/16 126.255.255.255 128.0.0.0 169.254.0.0 169.254.255.255 172.16.0.1 172.31.0.1
10.0.0.5 10.0.0.6 10.0.0.5/32 10.0.0.0/29 172.17.0.2 172.17.255.255 172.20.0.1 127.0.0.53 100.64.0.0/16 100.127.0.0/16
103.21.244.1 103.21.248.0 131.0.72.255 131.0.76.0 141.101.64.1 162.158.0.1 162.160.0.0 188.114.96.1 190.93.240.1 197.234.240.1
23.235.32.1 23.235.48.0 146.75.0.1 146.75.128.0 199.232.0.1 15.158.0.1 18.68.0.1 64.252.64.1 107.154.0.1 66.248.200.1
2405:8100::1 2803:f800::1 2a06:98c7:ffff::1 2a06:98c8::1 2c0f:f248::1 2a02:e980::1 2a02:fe87:ffff::1 2a02:fe88::1
172.18.0.0/24 172.19.0.1 172.20.255.255 192.168.0.0 192.168.255.254 10.0.0.1 10.0.0.1/32 100.100.100.200 fd00::1 fd12:3456:789a::1
""".split()  # noqa: SIM905 - two hundred strings are two pages


class Numbers:
    """Networks as disjoint pairs of numbers."""

    def __init__(self, texts):
        spans = {4: [], 6: []}
        for text in texts:
            net = ip_network(text)
            spans[net.version].append((int(net[0]), int(net[-1])))
            if net.version == 4:  # 6to4 wraps IPv4 addresses, so each of them has a second place
                shift = 128 - 16 - 32
                low, high = int(net[0]) << shift, (int(net[-1]) + 1 << shift) - 1
                spans[6].append(((0x2002 << 112) + low, (0x2002 << 112) + high))
        self.spans = {version: self._joined(sorted(some)) for version, some in spans.items()}
        self._lows = {version: [low for low, _ in some] for version, some in self.spans.items()}

    @staticmethod
    def _joined(spans):
        joined = []
        for low, high in spans:
            if joined and low <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
            else:
                joined.append((low, high))
        return joined

    def touch(self, version, low, high):
        """Return whether any of these addresses is in one of the networks."""
        at = bisect_right(self._lows[version], high)
        return at > 0 and self.spans[version][at - 1][1] >= low


class Topology:
    """A random host: its own addresses, the networks around it, and what its settings allow."""

    def __init__(self, chance):
        self.chance = chance
        public4 = [self.v4(32) for _ in range(chance.randrange(1, 4))]
        public6 = [self.v6(128) for _ in range(chance.randrange(3))]
        inside = [f"172.{17 + n}.0.0/16" for n in range(chance.randrange(4))]
        inside += [self.v4(chance.randrange(20, 29)) for _ in range(chance.randrange(2))]
        inside += [self.v6(64) for _ in range(chance.randrange(3))]
        cdns = chance.sample(cdn.bundled(), chance.randrange(7))
        self.ban_private = chance.random() < 0.3
        self.reasons = {
            OWN: [*public4, *public6, "172.17.0.1", "10.0.0.5"],
            GATEWAY: [self.v4(32), "10.0.0.1", self.v6(128)],
            RESOLVER: [self.v4(32), "127.0.0.53", *([self.v6(128)] if public6 else [])],
            CONTAINERS: inside,
            PROXY: self.some(chance.randrange(4)),
            IGNOREIP: self.some(chance.randrange(20)),  # names stand for some of these
            **{of_cdn(one.name): one.networks for one in cdns},
        }
        self.allowlist = Allowlist(self.reasons, ban_private=self.ban_private)
        texts = [text for some in self.reasons.values() for text in some]
        self.own = public4[0]
        self.never = Numbers([*texts, *ALWAYS, *(() if self.ban_private else PRIVATE)])

    def v4(self, length):
        low = self.chance.getrandbits(32) >> (32 - length) << (32 - length)
        return str(ip_network((low, length)))

    def v6(self, length):
        low = (1 << 125 | self.chance.getrandbits(125)) >> (128 - length) << (128 - length)
        return str(ip_network((low, length)))

    def some(self, number):
        return [
            self.v6(self.chance.choice([32, 48, 64, 128]))
            if self.chance.random() < 0.3
            else self.v4(self.chance.randrange(12, 33))
            for _ in range(number)
        ]

    def addresses(self, number):
        """Yield half of them from anywhere, and half in, at and just beside the networks of the allowlist."""
        chance, spans = self.chance, self.never.spans
        for _ in range(number // 4):
            yield socket.inet_ntoa(chance.randbytes(4))
            yield socket.inet_ntop(socket.AF_INET6, b"\x20" + chance.randbytes(15))
            version = chance.choice((4, 4, 6))
            low, high = chance.choice(spans[version])
            for at in (chance.randint(low, high), chance.choice((low, low - 1, high, high + 1))):
                yield str(ip_address(at % (1 << 32)) if version == 4 else ip_address(at % (1 << 128)))


def bounds(banned):
    """Return the IP version, and the first and last address as numbers."""
    text, _, length = banned.partition("/")
    version, family, bits = (6, socket.AF_INET6, 128) if ":" in text else (4, socket.AF_INET, 32)
    low = int.from_bytes(socket.inet_pton(family, text), "big")
    return version, low, low + (1 << bits - int(length or bits)) - 1


@pytest.fixture(params=[SEED], scope="module")  # a failure's name says which
def seed(request):
    return request.param


@pytest.mark.parametrize("number", range(TOPOLOGIES))
def test_no_address_of_the_allowlist_is_banned(seed, number):
    topology = Topology(random.Random(f"{seed} {number}"))
    never = topology.never
    jail = Jail("web", maxretry=1, bangroup=2)
    guard = Guard([jail], topology.allowlist)
    hits = [Hit("web", parse_address(text), 1.0, SITE, "") for text in topology.addresses(EACH)]
    decisions = guard.hits(hits, now=1.0)
    chosen = [text.replace("{}", topology.own) for text in CHOSEN]
    for text in chosen:
        if address := parse_address(text):
            decisions += guard.hits([Hit("web", address, 1.0, SITE, "")], now=1.0)
        try:
            meant = parse_ban_target(text)
        except ValueError:
            continue
        decisions += guard.ban(meant, now=1.0)
        decisions += guard.ban_from_fleet([Ban("web", meant, 1.0, 3600.0, "fleet")], now=1.0)

    assert len(hits) == EACH
    assert [ban.address for ban in decisions if never.touch(*bounds(ban.address))] == []
    let = {ban.address for ban in decisions}
    free = {hit.address for hit in hits} - let
    assert [
        one for one in free if not never.touch(*bounds(one)) and not _group(one, let)
    ] == []  # and others are
    assert len(let) > EACH / 4
    assert any("/24" in one for one in let)


def _group(one, let):
    return ":" not in one and f"{one.rpartition('.')[0]}.0/24" in let


@pytest.mark.parametrize("number", range(TOPOLOGIES))
def test_bans_of_addresses_that_join_the_allowlist_end(seed, number):
    """Bans of the last run, under the topology of this one."""
    before, now = Topology(random.Random(f"{seed} {number}")), Topology(random.Random(f"{seed} {number} now"))
    bans = [
        Ban("web", address, 1.0, 3600.0, "failures")
        for text in before.addresses(2_000)
        if (address := parse_address(text)) and before.allowlist.reason(address) is None
    ]
    guard = Guard([Jail("web")], before.allowlist, bans)
    guard.set_allowlist(now.allowlist, now=2.0)

    # Whoever may make a network would lift any ban with it.
    of_containers = Numbers(now.reasons[CONTAINERS])
    left = [bounds(ban.address) for ban in guard.view.bans]
    assert [each for each in left if now.never.touch(*each) and not of_containers.touch(*each)] == []
    assert len(left) > 100


@pytest.mark.parametrize("number", range(TOPOLOGIES))
def test_the_kernel_accepts_the_same_addresses(seed, number):
    """Its first rules accept exactly the allowlist, and no element of a ban is on it."""
    topology = Topology(random.Random(f"{seed} {number}"))
    allow = (*topology.allowlist.networks(4), *topology.allowlist.networks(6))
    desired = DesiredState([Jail("web", ports=frozenset({80}))])
    desired.set_topology(allow, frozenset())
    text = "\n".join(ruleset.structure(desired))
    accepted = {
        version: sorted(
            tuple(int(ip_address(part)) for part in (low, high or low))
            for elements in re.findall(rf"add element inet wp_sidecar allow{version} {{ (.*?) }}", text)
            for low, _, high in (element.partition("-") for element in elements.split(", "))
        )
        for version in (4, 6)
    }
    assert {version: Numbers._joined(spans) for version, spans in accepted.items()} == topology.never.spans

    guard, group = Guard([Jail("web", maxretry=1)], topology.allowlist), PortGroup(frozenset({80}))
    hits = [Hit("web", parse_address(text), 1.0, SITE, "") for text in topology.addresses(2_000)]
    edits = [
        Put(group.set_of(ban.address), elements.element(Address(ban.address)), 3600.0)
        for ban in guard.hits(hits, now=1.0)
    ]
    written = re.findall(r"[{,] ([0-9a-f.:]+) timeout", "\n".join(ruleset.element_lines(edits)))
    assert len(written) == len(edits) > 400
    assert [one for one in written if topology.never.touch(*bounds(f"{one}/64" if ":" in one else one))] == []


def test_two_hundred_addresses_are_chosen():
    assert len(set(CHOSEN)) >= 200
