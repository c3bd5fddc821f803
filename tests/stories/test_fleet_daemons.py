"""Three hosts with a firewall each, and one Redis: daemons in network namespaces, on cables that can be cut."""

import pytest

from tests.support.hosts import fleet
from tests.support.waiting import wait_until

ANN, BOB, EVE, JOE = "203.0.113.7", "203.0.113.8", "203.0.113.9", "203.0.113.10"


@pytest.fixture
def hosts(tmp_path):
    with fleet(tmp_path) as (hosts, _):
        yield hosts


def drop(hosts, *addresses):
    """Whether exactly these are in the sets of every kernel."""
    listed = [host.ruleset for host in hosts]
    return all(
        {address for address in (ANN, BOB, EVE, JOE) if f"{address} " in each} == set(addresses)
        for each in listed
    )


def test_an_attacker_of_one_host_is_dropped_by_all(hosts):
    a, b, c = hosts
    a.fail(ANN, 3)
    took = wait_until(lambda: drop(hosts, ANN))
    for host in hosts:
        host.fail(BOB, 1)
    wait_until(lambda: drop(hosts, ANN, BOB))
    assert sorted(ban["cause"] for ban in b.ask("bans")["bans"] if ban["ip"] == ANN) == ["fleet"]
    print(f"banned in three kernels after {took:.3f} s")  # noqa: T201

    c.cut()
    c.fail(EVE, 3)
    a.fail(JOE, 3)
    wait_until(lambda: drop([c], ANN, BOB, EVE) and drop([a, b], ANN, BOB, JOE))
    wait_until(lambda: c.metric("wp_sidecar_fleet_connected") == 0)
    assert c.ask("health")["ready"]
    # Longer than any answer is waited for.
    wait_until(lambda: "This host goes on banning" in c.said)
    c.mend()
    took = wait_until(lambda: drop(hosts, ANN, BOB, EVE, JOE))
    print(f"all agree {took:.2f} s after the cable is mended")  # noqa: T201

    assert {ban["ip"] for ban in c.ask("bans", fleet=True)["bans"]} == {ANN, BOB, EVE, JOE}
    assert "bans that the fleet knew and every node lifts: 1\n" in b.cli("unban", "--fleet", ANN)
    wait_until(lambda: drop(hosts, BOB, EVE, JOE))
    assert JOE in a.cli("bans", "--fleet")
    assert all(host.metric("wp_sidecar_fleet_peers") >= 2 for host in hosts)
    assert not any("a-secret" in host.said or "Traceback" in host.said for host in hosts)


def banned(host):
    """The bans that are in force in the host's kernel. The sets of senders in its table name other addresses too."""
    bans = host.ask("bans")["bans"]
    enforced = host.ask("status")["firewall"]["enforced"]
    return {ban["ip"]: ban["cause"] for ban in bans} if enforced == [len(bans)] * 2 else {}


def test_the_host_where_the_packets_arrive_bans_for_the_host_that_has_the_log(tmp_path):
    """As behind a balancer. The kernels are the witnesses; the messages are sealed."""
    with fleet(tmp_path, witness="on", key="k" * 64) as (hosts, _):
        balancer, web, other = hosts
        # BOB's packet arrives, EVE's does not.
        balancer.send_packet(BOB)
        web.fail(BOB, 3)
        web.fail(EVE, 6)
        took = wait_until(lambda: all(map(banned, hosts)))
        print(f"banned in three kernels after {took:.3f} s")  # noqa: T201

        assert [banned(host) for host in hosts] == [{BOB: "failures"}, {BOB: "fleet"}, {BOB: "fleet"}]
        assert web.metric('wp_sidecar_fleet_bans_total{direction="sent",result="proposed"}') >= 2
        # Her next failure comes with a packet to the third.
        other.send_packet(EVE)

        def is_banned_after_one_more():
            web.fail(EVE, 1)
            return all(set(banned(host)) == {BOB, EVE} for host in hosts)

        # A kernel is asked about an address once a second.
        wait_until(is_banned_after_one_more, interval=0.5)
        assert banned(other)[EVE] == "failures"
        assert all(host.metric("wp_sidecar_fleet_rejected_total") == 0 for host in hosts)
