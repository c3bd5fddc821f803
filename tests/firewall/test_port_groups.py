"""Port groups, and how bans move between them while they are in force."""

import time
from contextlib import closing

import pytest

from sidecar.core.address import Address
from sidecar.core.jail import WEB_PORTS, Jail, Scope
from sidecar.core.sites import Sites, with_sites
from sidecar.firewall import Firewall, NftTable
from sidecar.firewall.port_groups import PortGroup, PortGroups
from tests.firewall.decisions import ANN, ANN6, ANNS64, BOB, EVE, LOGIN, SSH, ban, turn
from tests.support.cable import stream

# EVE is in it.
NET = Address("203.0.113.96/29")
ALT = PortGroup(frozenset({8080}))
AT_8080 = Jail("login", ports=ALT.ports)
JAILS = [LOGIN, SSH]


@pytest.mark.parametrize(
    ("ports", "hosts", "networks", "port_set"),
    [
        (WEB_PORTS, "ban4", "net6", "ports"),
        (None, "ban4_all", "net6_all", None),
        (frozenset({22}), "ban4_22", "net6_22", "ports_22"),
        (frozenset({8443, 25}), "ban4_25_8443", "net6_25_8443", "ports_25_8443"),
        (frozenset(range(9000, 9100)), "ban4_xefac4169", "net6_xefac4169", "ports_xefac4169"),
    ],
)
def test_a_group_names_its_sets_after_its_ports(ports, hosts, networks, port_set):
    group = PortGroup(ports)

    assert (group.host_sets[4], group.network_sets[6], group.port_set) == (hosts, networks, port_set)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.7", "ban4_22"),
        ("2001:db8:1:2::/64", "ban6_22"),
        ("203.0.113.0/24", "net4_22"),
        ("2001:db8:1::/63", "net6_22"),
    ],
)
def test_an_address_has_one_set_in_a_group(address, expected):
    assert PortGroup(SSH.ports).set_of(Address(address)) == expected


def test_jails_with_the_same_ports_share_a_group_and_unknown_jails_have_the_default():
    groups = PortGroups([LOGIN, Jail("probes"), SSH])

    assert list(groups) == [PortGroup(WEB_PORTS), PortGroup(SSH.ports)]
    assert groups.of("probes") == groups.of("login") == groups.of("forgotten") == groups.default
    assert groups.host_sets == ("ban4", "ban6", "ban4_22", "ban6_22")
    assert groups.network_sets == {"net4": 4, "net6": 6, "net4_22": 4, "net6_22": 6}


def test_jails_that_move_are_those_with_other_ports():
    before = PortGroups([LOGIN, SSH, Jail("probes")])
    after = PortGroups([AT_8080, SSH, Jail("new"), Jail("mail", ports=frozenset({25}))])

    assert after.jails_moved_from(before) == ["login", "mail"]


def test_published_ports_are_closed_with_the_groups_own():
    assert PortGroup(frozenset({22})).closed_ports(frozenset({8080})) == {22, 8080}


@pytest.mark.parametrize(
    ("jail", "hosts", "port_set"),
    [
        (Jail("a", ports=frozenset({8081}), published=False), "ban4_8081_only", "ports_8081_only"),
        (Jail("a", published=False), "ban4_only", "ports_only"),
        (Jail("a", ports=None, published=False), "ban4_all", None),
    ],
)
def test_a_group_without_the_published_ports_has_sets_of_its_own(jail, hosts, port_set):
    group = PortGroup.of(jail)

    assert (group.host_sets[4], group.port_set) == (hosts, port_set)
    assert group.closed_ports(frozenset({8080})) - {8080} == (jail.ports or set())
    assert (8080 in group.closed_ports(frozenset({8080}))) == (jail.ports is None)


def test_the_bans_of_one_site_leave_the_ports_of_the_other_open(host, start):
    """`published = no`: jails for one site each, on a host where sites do not trust each other."""
    shop = Jail("shop", ports=frozenset({8080}), published=False)
    blog = Jail("blog", ports=frozenset({80}), published=False)
    firewall = start(ban(ANN, "shop"), ban(BOB, "blog"), ban(EVE), jails=[shop, blog, LOGIN])
    firewall.set_topology([], time.time(), frozenset({80, 8080}))

    assert {port: host.lets_in(ANN, BOB, EVE, port=port) for port in (22, 80, 8080)} == {
        22: {ANN, BOB, EVE},
        80: {ANN},
        8080: {BOB},
    }
    assert firewall.repair(time.time(), whole=True) is None
    firewall.reconfigure([Jail("shop", ports=frozenset({8080})), blog, LOGIN], time.time())
    assert host.lets_in(ANN, port=80) == set()
    assert firewall.repair(time.time(), whole=True) is None


def test_bans_of_a_jail_move_from_its_old_ports_to_its_new_ones(host, start):
    firewall = start(ban(ANN), ban(ANNS64), ban(NET), ban(BOB, "ssh"), jails=JAILS)
    firewall.reconfigure([AT_8080, SSH], time.time())

    addresses = (ANN, ANN6, EVE, BOB)
    assert {port: host.lets_in(*addresses, port=port) for port in (22, 80, 8080)} == {
        22: {ANN, ANN6, EVE},
        80: {ANN, ANN6, EVE, BOB},
        8080: {BOB},
    }
    assert firewall.repair(time.time(), whole=True) is None
    assert firewall.enforced() == (4, 4)


def test_an_address_that_two_jails_ban_stays_banned_from_the_ports_of_the_other(host, start):
    firewall = start(ban(ANN), ban(ANN, "probes"), jails=[LOGIN, Jail("probes")])
    firewall.reconfigure([AT_8080, Jail("probes")], time.time())

    assert [port for port in (22, 80, 8080) if not host.answers(ANN, port)] == [80, 8080]
    assert firewall.repair(time.time(), whole=True) is None


def test_a_ban_that_moves_keeps_the_time_that_was_left(host, start):
    firewall = start(ban(ANN, lasts=100), jails=JAILS)
    firewall.reconfigure([AT_8080], time.time())

    (left,) = host.kernel.elements(ALT.host_sets[4]).values()
    assert 90 < left <= 101


def test_a_group_without_a_jail_is_deleted_and_may_come_back(host, start):
    firewall = start(jails=JAILS)
    first, (table, _) = host.kernel.shape(), host.kernel.counters()
    for _ in range(3):
        firewall.reconfigure([LOGIN, SSH, Jail("alt", ports=ALT.ports)], time.time())
        assert ALT.host_sets[4] in host.kernel.shape().names[1]
        firewall.reconfigure([LOGIN, SSH], time.time())

    assert host.kernel.shape().names == first.names
    # The table was changed and not made again.
    assert host.kernel.counters()[0] == table
    assert firewall.repair(time.time()) is None


def test_bans_of_a_removed_jail_stay_in_force(host, start):
    firewall = start(ban(ANN), ban(BOB, "ssh"), jails=JAILS)
    # The ports of the jail are unknown now, so the ban closes the ports of the web.
    firewall.reconfigure([LOGIN], time.time())

    assert host.lets_in(ANN, BOB) == set()
    assert host.lets_in(ANN, BOB, port=22) == {ANN, BOB}


def test_no_packet_passes_while_bans_move_between_groups(host, start):
    """A jail has port 443, then 443 and 8080, then 443 again, while an address that it bans sends all the time."""
    narrow, wide = Jail("login", ports=frozenset({443})), Jail("login", ports=frozenset({443, 8080}))
    others = [Address(f"10.{i >> 8 & 255}.{i & 255}.7") for i in range(5_000)]
    firewall = start(ban(ANN), *(ban(address) for address in others), jails=[narrow])
    with stream(host, ANN) as came:
        for jail in [wide, narrow] * 5:
            firewall.reconfigure([jail], time.time())
        assert came() == []
    assert firewall.enforced() == (5_001, 5_001)


def test_the_same_jails_again_write_nothing(host, start):
    firewall = start(ban(ANN), jails=JAILS)
    before = host.kernel.generation()
    firewall.reconfigure([LOGIN, SSH], time.time())

    assert host.kernel.generation() == before


def test_a_table_that_is_gone_is_written_again(host, start):
    firewall = start(ban(ANN), jails=JAILS)
    host.nft("delete table inet wp_sidecar")
    firewall.reconfigure([AT_8080], time.time())
    firewall.repair(time.time())

    assert not host.answers(ANN, 8080)
    assert firewall.repair(time.time(), whole=True) is None


def test_later_bans_are_in_the_new_groups(host, start):
    firewall = start(jails=JAILS)
    firewall.reconfigure([AT_8080], time.time())
    firewall.apply(turn(ban(ANN), ban(NET)))

    assert host.lets_in(ANN, EVE, BOB, port=8080) == {BOB}


BLOG = Jail("web", scope=Scope.SITE).for_site("blog", frozenset({80}))
SITES = [Jail("web", ports=frozenset({443}), scope=Scope.SITE), BLOG]


def test_a_jail_of_a_site_that_is_not_known_closes_no_port():
    groups = PortGroups(SITES)

    assert groups.of("web@shop") == groups.unknown_site
    assert (groups.unknown_site.host_sets[4], groups.unknown_site.port_set) == (
        "ban4_none_only",
        "ports_none_only",
    )
    assert groups.unknown_site in tuple(groups)
    assert PortGroups([LOGIN]).of("web@shop") == PortGroups.default


def test_bans_of_a_site_close_its_ports_once_they_are_known(host, start):
    firewall = start(ban(ANN, "web@blog"), ban(BOB, "web@shop"), jails=SITES)
    firewall.set_topology([], time.time(), frozenset({80, 8080}))
    firewall.apply(turn(ban(NET, "web@shop")))

    assert {port: host.lets_in(ANN, BOB, EVE, port=port) for port in (80, 8080)} == {
        80: {BOB, EVE},
        8080: {ANN, BOB, EVE},
    }
    firewall.reconfigure([*SITES, SITES[0].for_site("shop", frozenset({8080}))], time.time())
    assert {port: host.lets_in(ANN, BOB, EVE, port=port) for port in (80, 8080)} == {
        80: {BOB, EVE},
        8080: {ANN},
    }
    assert firewall.repair(time.time(), whole=True) is None


def test_bans_of_a_site_are_adopted_with_its_jail(host, start):
    firewall = start(ban(ANN, "web@blog"), ban(BOB, "web@shop"), jails=SITES)
    sites = Sites.of_layout(firewall.layout.ports)

    with closing(Firewall(NftTable(), with_sites(SITES[:1], sites))) as again:
        assert [(each.jail, each.address) for each in again.adoptable(time.time())] == [("web@blog", ANN)]
    assert [jail.name for jail in firewall.layout.jails if jail.scope is Scope.SITE] == ["web@blog"]
