"""Many addresses of one network, each below `maxretry`, are one attacker."""

from dataclasses import replace

import pytest

from sidecar.core.address import Address, networks_of
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, BanCause, Hit, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail, Success
from sidecar.core.network_failures import NetworkFailures
from sidecar.core.refused_bans import RefusalReason

SITE = Origin("docker", "blog", "stdout", ("login",))
LOGIN = Jail("login", maxretry=5, findtime=600, bantime=3600, success=Success.RESET)


def customer(n, network=0):
    """A /64 of one /48: the first 256 are of its first /56."""
    return Address(f"2001:db8:{network:x}:{n:x}::/64") if n else Address(f"2001:db8:{network:x}::/64")


def host(n):
    return Address(f"203.0.113.{n}")


def guesses(addresses, each=1, at=0.0):
    return [Hit("login", address, at, SITE, "wrong password") for address in addresses for _ in range(each)]


def banned(decisions):
    return [(each.address, each.cause) for each in decisions if isinstance(each, Ban)]


class Kernel:
    """Knows these addresses."""

    def __init__(self, *seen):
        self._seen = set(seen)
        self.asked = 0

    def add(self, *seen):
        self._seen |= set(seen)

    def seen(self, address):
        self.asked += 1
        return address in self._seen


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("203.0.113.7", ("203.0.113.0/24",)),
        ("203.0.113.0/24", ()),
        ("2001:db8:1:2ff::/64", ("2001:db8:1:200::/56", "2001:db8:1::/48")),
        ("2001:db8::/64", ("2001:db8::/56", "2001:db8::/48")),
        ("2001:db8::/48", ()),
    ],
)
def test_networks_of_an_address(address, networks):
    assert networks_of(Address(address)) == networks


def test_customers_of_one_56_with_four_guesses_each_are_banned_at_the_15th():
    guard = Guard([LOGIN], Allowlist())
    storm = guesses(map(customer, range(256)), each=4)

    decisions = [guard.hits([guess], now=1) for guess in storm]

    assert banned(decisions[14]) == [("2001:db8::/56", BanCause.GROUP)]
    assert not any(decisions[15:])
    assert guard.view.ignored["banned already"] == len(storm) - 15


def test_one_guess_from_each_customer_of_a_48_is_stopped_at_a_hundred():
    guard = Guard([LOGIN], Allowlist())
    everywhere = [customer(n * 257 % 65_536) for n in range(5_000)]

    assert banned(guard.hits(guesses(everywhere), now=1)) == [("2001:db8::/48", BanCause.GROUP)]
    assert guard.view.ignored["banned already"] == 5_000 - 100


def test_a_24_is_banned_after_many_more_failures():
    guard = Guard([LOGIN], Allowlist())

    assert guard.hits(guesses(map(host, range(149))), now=1) == []
    [ban] = guard.hits(guesses([host(149)]), now=1)

    assert (ban.address, ban.cause, ban.failures) == ("203.0.113.0/24", BanCause.GROUP, 150)
    assert ban.reason == "150 failures of at least 64 of its addresses, the last of 203.0.113.149"


def test_few_addresses_of_a_24_never_ban_it():
    guard = Guard([LOGIN], Allowlist(), witness=Kernel())

    decisions = guard.hits(guesses(map(host, range(15)), each=100), now=1)

    assert decisions == []


def test_bans_of_single_hosts_count_for_their_network_too():
    guard = Guard([LOGIN], Allowlist())

    found = banned(guard.hits(guesses(map(host, range(40)), each=5), now=1))

    assert found == [*((host(n), BanCause.FAILURES) for n in range(30)), ("203.0.113.0/24", BanCause.GROUP)]


def test_a_network_is_not_counted_where_the_jail_says_so():
    guard = Guard([replace(LOGIN, aggregate=False)], Allowlist())

    assert guard.hits(guesses(map(host, range(254)), each=4), now=1) == []


def test_failures_far_apart_do_not_add_up():
    guard = Guard([LOGIN], Allowlist())

    for n in range(300):
        assert guard.hits(guesses([customer(n % 256)], at=n * 100.0), now=n * 100.0) == []


def test_a_network_of_people_that_log_in_is_not_banned_for_a_hundred_mistakes():
    guard = Guard([LOGIN], Allowlist())
    logins = [Hit("login", host(200 + n), 0.0, SITE, "", success=True) for n in range(20)]

    decisions = guard.hits([*guesses([host(0)]), *logins, *guesses(map(host, range(1, 200)))], now=1)

    assert decisions == []


def test_a_network_of_people_that_log_in_is_banned_for_a_thousand():
    guard = Guard([LOGIN], Allowlist())
    logins = [Hit("login", customer(60_000 + n), 0.0, SITE, "", success=True) for n in range(20)]
    storm = guesses([customer(n * 257 % 65_536) for n in range(1_000)])

    decisions = guard.hits([storm[0], *logins, *storm[1:-1]], now=1)

    assert decisions == []
    assert banned(guard.hits(storm[-1:], now=1)) == [("2001:db8::/48", BanCause.GROUP)]


def test_logins_count_in_ipv6_networks_too():
    guard = Guard([LOGIN], Allowlist())
    guard.hits(guesses([customer(0)]), now=1)
    guard.hits([Hit("login", customer(n), 0.0, SITE, "", success=True) for n in range(100)], now=1)

    assert guard.hits(guesses(map(customer, range(1, 100))), now=1) == []


def test_forged_lines_ban_no_network():
    """One real address, and a log in which it writes those of others."""
    guard = Guard([LOGIN], Allowlist(), witness=Kernel(host(0)))

    assert guard.hits(guesses(map(host, range(1, 255)), each=4), now=1) == []
    assert guard.view.refused_totals[RefusalReason.NEVER_SEEN] == 1


def test_a_flood_of_forged_lines_asks_for_the_members_of_a_network_once_a_second():
    kernel = Kernel()
    guard = Guard([LOGIN], Allowlist(), witness=kernel)
    for second in range(3):
        for tenth in range(5):
            # Each address fails once: none is due by itself.
            begin = 1_000 * (5 * second + tenth)
            addresses = map(customer, range(begin, begin + 1_000))
            at = second + tenth / 10
            guard.hits(guesses(addresses, at=at), now=at)

    # A /48 of up to 64 members that are remembered, and 60 networks /56 of up to 8.
    assert kernel.asked <= 3 * 64 + 60 * 8


def test_a_network_is_banned_once_its_members_sent_packets():
    kernel = Kernel()
    guard = Guard([LOGIN], Allowlist(), witness=kernel)
    guard.hits(guesses(map(host, range(1, 200))), now=0)
    kernel.add(*map(host, range(1, 200)))

    assert guard.hits(guesses(map(host, range(1, 200)), at=0.5), now=0.5) == []
    assert (Address("203.0.113.0/24"), BanCause.GROUP) in banned(
        guard.hits(guesses(map(host, range(1, 200)), at=1.5), now=1.5)
    )


def test_a_network_with_an_allowlisted_host_is_not_banned():
    guard = Guard([LOGIN], Allowlist({"ignoreip": ["203.0.113.9"]}))

    decisions = guard.hits(guesses([host(n) for n in range(10, 250)], each=4), now=1)

    assert decisions == []


def test_an_old_storm_bans_no_network():
    guard = Guard([LOGIN], Allowlist())

    assert guard.hits(guesses(map(customer, range(200)), at=0.0), now=5_000) == []


def test_a_network_that_is_unbanned_begins_anew():
    guard = Guard([LOGIN], Allowlist())
    guard.hits(guesses(map(customer, range(15))), now=1)
    guard.unban(Address("2001:db8::/56"), now=2)

    assert guard.hits(guesses(map(customer, range(14)), at=3.0), now=3) == []
    assert banned(guard.hits(guesses([customer(14)], at=3.0), now=3)) == [("2001:db8::/56", BanCause.GROUP)]


def test_a_host_can_be_banned_by_hand_and_its_network_counts_on():
    guard = Guard([LOGIN], Allowlist())
    guard.ban(Address("2001:db8::/56"), now=0, jail="login", bantime=3600)

    decisions = guard.hits(guesses([customer(n * 256) for n in range(1, 101)]), now=1)

    assert banned(decisions) == [("2001:db8::/48", BanCause.GROUP)]


def test_the_memory_of_networks_is_bounded():
    networks = NetworkFailures(max_networks=100)
    for n in range(1_000):
        networks.add(LOGIN, customer(0, n), float(n))
        networks.add(LOGIN, Address(f"198.18.{n % 250}.7"), float(n))

    assert len(networks) <= 100
    networks.forget(before=2_000.0)
    assert len(networks) == 0


def test_logins_of_strangers_are_not_remembered():
    networks = NetworkFailures()
    networks.login_proved(host(7))

    assert len(networks) == 0
