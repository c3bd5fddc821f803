"""Banned addresses stay banned, whatever other programs do to the host's firewall, and whatever else is in it."""

import random
import socket
import subprocess
import time
from contextlib import closing
from ipaddress import ip_network

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn, Unban
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall, FirewallError, NftTable, RepairKind
from sidecar.firewall.kernel import Kernel
from tests.support.cable import HOST4, ROUTER4, SO_RCVBUFFORCE, inside, stream, watched
from tests.support.waiting import wait_until

ANN, BOB = Address("203.0.113.11"), Address("203.0.113.12")
ANN6, ANNS64, BOB6 = "2001:db8:bad:1::11", Address("2001:db8:bad:1::/64"), "2001:db8:bad:2::12"
LASTS = 900.0


def ban(address, jail="login"):
    now = time.time()
    return Ban(jail, Address(address), now, now + LASTS, "failures")


class DisturbedKernel(Kernel):
    """A kernel in which other programs do something just before our table is read."""

    def __init__(self, host):
        super().__init__()
        # What nft runs before each reading, as long as there is something.
        self.before_shape = []
        self._host = host

    def shape(self):
        if self.before_shape and (lines := self.before_shape.pop(0)):
            self._host.nft(lines)
        return super().shape()


@pytest.fixture
def kernel(host):
    return DisturbedKernel(host)


@pytest.fixture
def firewall(kernel):
    with closing(Firewall(NftTable(kernel), [Jail("login")])) as firewall:
        firewall.start([ban(ANN), ban(ANNS64), *(ban(f"198.18.0.{n}") for n in range(100))], time.time())
        yield firewall


# A client can connect where its packets pass and those of the host to it.
FLUSH = "flush chain inet wp_sidecar prerouting\nflush chain inet wp_sidecar answers\n"
RULE_OF_BAN4 = "ip saddr @ban4 meta l4proto { tcp, udp } th dport @ports goto dropping"
# nft cannot rename a set, so its elements move to another one.
RENAMED = (
    FLUSH + "delete set inet wp_sidecar ban4\n"
    "add set inet wp_sidecar renamed { typeof ip saddr; flags timeout; elements = { 203.0.113.11 timeout 900s }; }\n"
    "add rule inet wp_sidecar prerouting ip saddr @renamed counter"
)
HARMS = {
    "ruleset flushed": "flush ruleset",
    "table deleted": "delete table inet wp_sidecar",
    "element deleted": "delete element inet wp_sidecar ban4 { 203.0.113.11 }",
    "set flushed": "flush set inet wp_sidecar ban4",
    "set renamed": RENAMED,
    "chain deleted": FLUSH + "delete chain inet wp_sidecar prerouting",
    "rules deleted": FLUSH,
    "accepted before": "insert rule inet wp_sidecar prerouting accept\ninsert rule inet wp_sidecar output accept",
    "table asleep": "add table inet wp_sidecar { flags dormant; }",
    "ports opened": "delete element inet wp_sidecar ports { 80, 443 }",
    "allowed": "add element inet wp_sidecar allow4 { 203.0.113.0/24 }",
}


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_the_table_is_repaired_under_attack_and_the_ratio_falls_and_returns(host, firewall, harm):
    """A banned sender all the while. How long its packets passed is printed; the benchmark `repair` limits it to 100 ms."""
    host.nft("table inet another { set s { typeof ip saddr; elements = { 203.0.113.12 }\n}\n}")
    with watched(firewall) as found, stream(host, ANN, port=80) as passed:
        wait_until(lambda: firewall.dropped()[4].packets > 10)
        passed()
        before = len(found)
        host.nft(harm)
        wait_until(lambda: [repair for repair, _ in found[before:] if repair])
        wait_until(lambda: len(host.kernel.elements("ban4")) == 101)
        came = passed()
        dropped = firewall.dropped()[4].packets
        # It goes on, and is dropped.
        wait_until(lambda: firewall.dropped()[4].packets > dropped + 10)
        came += passed()

    first, (present, wanted) = next(each for each in found[before:] if each[0])
    assert (wanted, present < wanted) == (102, True), first
    firewall.repair(time.time())
    assert firewall.enforced() == (102, 102)
    assert host.lets_in(ANN, BOB, ANN6, BOB6) == {BOB, BOB6}
    if "flush ruleset" not in harm:
        assert "203.0.113.12" in shown("list table inet another")
    open_for = 1000 * (max(came) - min(came)) if came else 0.0
    print(f"{harm.splitlines()[-1][:60]}: {len(came)} packets in {open_for:.1f} ms")  # noqa: T201


@pytest.mark.parametrize(
    "again",
    [HARMS["table asleep"], HARMS["rules deleted"], HARMS["accepted before"], HARMS["table deleted"]],
)
def test_a_change_during_a_repair_is_noticed(host, firewall, kernel, again):
    """It comes between our transaction and the reading of what it left."""
    kernel.before_shape = [None, again]
    host.nft("delete table inet wp_sidecar")
    assert firewall.repair(time.time()).kind is RepairKind.TABLE
    assert (kernel.before_shape, host.answers(ANN)) == ([], True)

    assert firewall.repair(time.time())
    assert host.lets_in(ANN, BOB) == {BOB}
    assert firewall.repair(time.time()) is None


def test_another_program_may_change_its_own_table_during_a_repair(host, firewall, kernel):
    kernel.before_shape = ["add table ip another\ndelete table ip another"] * 2
    host.nft("delete table inet wp_sidecar")
    assert firewall.repair(time.time()).kind is RepairKind.TABLE
    assert kernel.before_shape == []
    assert firewall.repair(time.time()) is None


def test_the_table_of_another_program_changes_nothing(host, firewall):
    with watched(firewall) as found, stream(host, ANN, port=80) as passed:
        host.nft("table inet another { chain c { type filter hook prerouting priority -400; accept; }\n}")
        host.nft("delete table inet another")
        firewall.repair(time.time())
        wait_until(lambda: firewall.dropped()[4].packets > 10)
        came = passed()

    assert (came, [repair for repair, _ in found]) == ([], [None])
    assert firewall.enforced() == (102, 102)


def test_a_ban_that_the_kernel_refused_is_missing_until_it_is_repaired(host, firewall):
    host.nft("delete table inet wp_sidecar")
    with pytest.raises(FirewallError):
        firewall.apply(Turn(time.time(), (ban(BOB),)))
    assert firewall.enforced() == (102, 103)

    # It finds that no ban is in force, and repairs that.
    firewall.repair(time.time())
    assert firewall.enforced() == (0, 103)
    firewall.repair(time.time())
    assert firewall.enforced() == (103, 103)


# Tables of other programs, with their names and hooks; the rules in them are made up.
DOCKER_NFT = """
table ip docker-bridges {
  map filter-forward-in-jumps { type ifname : verdict; elements = { "docker0" : jump filter-forward-in__docker0 }
  }
  chain filter-FORWARD { type filter hook forward priority filter; policy accept;
    oifname vmap @filter-forward-in-jumps; }
  chain filter-forward-in__docker0 { ct state established,related accept
    tcp dport 80 accept
    drop; }
  chain nat-PREROUTING { type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local tcp dport 8080 dnat to 198.51.100.10:80; }
  chain raw-PREROUTING { type filter hook prerouting priority raw; policy accept;
    ip daddr 172.17.0.2 iifname != "docker0" counter drop; }
}
table ip6 docker-bridges {
  chain raw-PREROUTING { type filter hook prerouting priority raw; policy accept; }
}
"""
DOCKER_IPTABLES = """
table ip nat {
  chain DOCKER { tcp dport 8080 counter dnat to 198.51.100.10:80
  }
  chain PREROUTING { type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local counter jump DOCKER; }
}
table ip filter {
  chain DOCKER-USER { counter return
  }
  chain FORWARD { type filter hook forward priority filter; policy drop; counter jump DOCKER-USER
  }
}
table ip raw {
  chain PREROUTING { type filter hook prerouting priority raw; policy accept; counter
  }
}
"""
FIREWALLD = """
table inet firewalld {
  chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; policy accept; }
  chain nat_PREROUTING { type nat hook prerouting priority dstnat + 10; policy accept; }
  chain filter_PREROUTING { type filter hook prerouting priority filter + 10; policy accept;
    icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept; }
  chain filter_INPUT { type filter hook input priority filter + 10; policy accept;
    ct state { established, related } accept
    iifname "lo" accept
    tcp dport { 22, 80, 8080 } accept
    icmpv6 type != 1 accept
    meta l4proto tcp reject with icmpx admin-prohibited; }
}
"""
UFW = """
table ip filter {
  chain ufw-user-input { tcp dport { 22, 80, 8080 } counter accept
  }
  chain ufw-before-input { iifname "lo" counter accept
    ct state established,related counter accept
    counter jump ufw-user-input; }
  chain INPUT { type filter hook input priority filter; policy drop; counter jump ufw-before-input
  }
}
table ip6 filter {
  chain ufw6-user-input { tcp dport { 22, 80, 8080 } counter accept
  }
  chain INPUT { type filter hook input priority filter; policy drop; meta l4proto icmpv6 accept
    ct state established,related accept
    counter jump ufw6-user-input; }
}
"""
NEIGHBOURS = {
    "docker, nft": DOCKER_NFT,
    "docker, iptables": DOCKER_IPTABLES,
    "firewalld": FIREWALLD,
    "ufw": UFW,
}


@pytest.mark.parametrize("theirs", NEIGHBOURS.values(), ids=NEIGHBOURS)
@pytest.mark.parametrize("first", ["they are", "we are"])
def test_beside_other_firewalls_banned_addresses_are_dropped_and_other_tables_are_untouched(
    host, theirs, first
):
    if first == "they are":
        host.nft(theirs)
    with closing(Firewall(NftTable(), [Jail("login")])) as firewall:
        firewall.set_topology([], time.time(), frozenset({8080}))
        firewall.start([ban(ANN), ban(ANNS64)], time.time())
        if first == "we are":
            host.nft(theirs)

        for port in (80, 8080):
            assert host.lets_in(ANN, BOB, ANN6, BOB6, port=port) == {BOB, BOB6}
        firewall.apply(Turn(time.time(), (ban(BOB), Unban("login", ANN, 0.0, "manual"))))
        assert firewall.repair(time.time()) is None
        assert host.lets_in(ANN, BOB) == {ANN}
        firewall.flush()

    left = without_counts(shown("list ruleset"))
    host.nft("flush ruleset\n" + theirs)
    assert left == without_counts(shown("list ruleset"))


def without_counts(listed):
    return [line.partition("packets")[0] for line in listed.splitlines()]


def shown(command):
    return subprocess.run(["nft", *command.split()], check=True, capture_output=True, text=True).stdout


# Lets a socket send from addresses that the host does not have.
IP_TRANSPARENT = 19


@pytest.mark.parametrize("seed", range(3))
def test_of_networks_and_hosts_within_each_other_exactly_the_union_is_dropped(host, seed):
    """Random bans and unbans in one /24, and after each turn a datagram from all of its addresses."""
    chance = random.Random(seed)
    addresses = [str(address) for address in ip_network("203.0.113.0/24")]
    banned = set()
    with (
        closing(Firewall(NftTable(), [Jail("login"), Jail("probes")])) as firewall,
        Senders(host) as senders,
    ):
        firewall.start([], time.time())
        for _ in range(15):
            turn = [decided(chance, banned) for _ in range(chance.randint(1, 6))]
            firewall.apply(Turn(time.time(), tuple(turn)))
            inside_of = {str(host) for _, address in banned for host in ip_network(address)}

            assert senders.through(addresses) == set(addresses) - inside_of, f"seed {seed}: {sorted(banned)}"
        assert firewall.repair(time.time(), whole=True) is None


def decided(chance, banned):
    """One decision, and `banned` as it is after it."""
    if banned and chance.random() < 0.4:
        jail, address = chance.choice(sorted(banned))
        banned.discard((jail, address))
        return Unban(jail, Address(address), time.time(), "manual")
    length = chance.choice([24, 25, 26, 27, 28, 30, 31, 32, 32, 32])
    net = ip_network((f"203.0.113.{chance.randrange(256)}", length), strict=False)
    each = ban(str(net).removesuffix("/32"), chance.choice(["login", "probes"]))
    banned.add((each.jail, each.address))
    return each


class Senders:
    """Senders with any address, and the server that they send to."""

    def __init__(self, host):
        self._host = host
        self._server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
        self._server.bind((HOST4, 443))
        self._server.settimeout(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._server.close()

    def through(self, addresses):
        """Send from each address, and return those that arrive. The router is last, and never banned."""
        with inside(self._host.outside):
            for address in (*addresses, ROUTER4):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                    client.setsockopt(socket.SOL_IP, IP_TRANSPARENT, 1)
                    client.bind((address, 0))
                    client.sendto(b"?", (HOST4, 443))
        came = set()
        while (source := self._server.recvfrom(9)[1][0]) != ROUTER4:
            came.add(source)
        return came
