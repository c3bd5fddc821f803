"""Our table: adopted, replaced, upgraded, written in large transactions."""

import math
import shutil
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.firewall import Firewall, NftTable
from tests.firewall.decisions import (
    ANN,
    ANN6,
    ANNS64,
    BOB,
    BOB6,
    EVE,
    JAILS,
    LOGIN,
    ban,
    left,
    turn,
    unban,
)
from tests.support.cable import stream
from tests.support.waiting import wait_until


def test_a_start_adopts_the_table_and_brings_it_to_the_desired_state(host, firewall, start):
    firewall.apply(turn(ban(ANN, lasts=100), ban(BOB), ban("203.0.113.96/28")))
    handles = host.kernel.shape().sets

    again = start(ban(ANN, lasts=9000), ban(ANNS64))

    assert host.kernel.shape().sets == handles
    assert host.lets_in(ANN, BOB, EVE, ANN6) == {BOB, EVE}
    assert left(host, ANN) == pytest.approx(9000, abs=3)
    assert again.repair(time.time()) is None


def test_a_table_of_this_version_is_adopted_without_repair(host, start):
    """The file is what `nft list ruleset` showed of a table with bans that an earlier version had written."""
    before, firewall = adopted(host, start, "schema_5.nft")

    after = host.kernel.shape()
    assert (after.table, after.sets, after.counters) == (before.table, before.sets, before.counters)
    assert firewall.repair(time.time(), whole=True) is None


@pytest.mark.parametrize("schema", [3, 4])
def test_a_table_of_a_version_before_is_upgraded_with_its_bans_and_ports(host, start, schema):
    """The files are what `nft list ruleset` showed of tables with bans that commits 8981da6 and f494c76 had written."""
    _, firewall = adopted(host, start, f"schema_{schema}.nft")

    assert host.kernel.shape().schema == "wp-sidecar schema 5"
    assert firewall.repair(time.time(), whole=True) is None


def adopted(host, start, file):
    """Start over the table in this file. Return the table's shape before that, and the firewall."""
    host.nft((Path(__file__).parent / file).read_text())
    before = host.kernel.shape()
    firewall = start(*recovered())

    assert firewall.enforced() == (4, 4)
    assert host.lets_in(ANN, BOB, EVE, ANN6, BOB6) == {BOB, BOB6}
    assert host.lets_in(ANN, BOB, BOB6, port=8080) == {BOB6}
    assert host.lets_in(ANN, BOB, port=22) == {ANN}
    return before, firewall


def recovered():
    """The bans in the kernel."""
    with closing(Firewall(NftTable(), JAILS)) as found:
        return found.adoptable(time.time())


OTHER_SCHEMA = """
table inet wp_sidecar { comment "wp-sidecar schema 0"; }
table inet wp_sidecar {
  set old { typeof ip saddr; flags timeout; elements = { 203.0.113.11 }
  }
  chain pre { type filter hook prerouting priority -310; ip saddr @old drop; }
}
"""


def test_a_table_with_another_schema_is_replaced(host, start):
    host.nft(OTHER_SCHEMA)
    firewall = start(ban(ANN))

    assert (host.kernel.shape().schema, host.kernel.shape().chains.keys()) == (
        "wp-sidecar schema 5",
        {"prerouting", "presence", "dropping", "forward", "output", "answers", "rejected"},
    )
    assert not host.answers(ANN)
    assert firewall.repair(time.time()) is None


def test_a_start_with_other_jails_replaces_the_port_groups(host, firewall, start):
    firewall.apply(turn(ban(BOB, "ssh")))
    start(ban(ANN), jails=[LOGIN])

    assert "ban4_22" not in host.kernel.shape().sets
    assert [host.answers(ANN), host.answers(BOB, 22)] == [False, True]


SCHEMA_1 = """
table inet wp_sidecar { comment "wp-sidecar schema 1"; }
table inet wp_sidecar {
  counter dropped4 {
  }
  counter dropped6 {
  }
  set allow4 { typeof ip saddr; flags interval; auto-merge;
  }
  set allow6 { typeof ip6 saddr; flags interval; auto-merge;
  }
  set ports { typeof th dport; elements = { 80, 443, 8080 }
  }
  set ban4 { typeof ip saddr; flags timeout; elements = { 203.0.113.11 timeout 1h }
  }
  set net4 { typeof ip saddr; flags interval, timeout; elements = { 203.0.113.96/28 timeout 1h }
  }
  set ban6 { typeof ip6 saddr; flags timeout; elements = { 2001:db8:bad:1:: }
  }
  set net6 { typeof ip6 saddr; flags interval, timeout;
  }
  chain prerouting { type filter hook prerouting priority -310; policy accept;
    iif lo accept
    ip saddr @allow4 accept
    ip6 saddr @allow6 accept
    meta l4proto { tcp, udp } th dport @ports ip saddr @ban4 counter name dropped4 drop
    meta l4proto { tcp, udp } th dport @ports ip saddr @net4 counter name dropped4 drop
    meta l4proto { tcp, udp } th dport @ports ip6 saddr & ffff:ffff:ffff:ffff:: @ban6 counter name dropped6 drop
    meta l4proto { tcp, udp } th dport @ports ip6 saddr @net6 counter name dropped6 drop
  }
}
"""


SCHEMA_3, SCHEMA_4 = ((Path(__file__).parent / f"schema_{number}.nft").read_text() for number in (3, 4))


@pytest.mark.parametrize(
    "before",
    ["", OTHER_SCHEMA, SCHEMA_1, SCHEMA_3, SCHEMA_4],
    ids=["adopted", "replaced", "upgraded from 1", "upgraded from 3", "upgraded from 4"],
)
def test_no_packet_passes_while_a_table_is_taken_over(host, start, before):
    """A banned stream, and twenty starts under it."""
    bans = [ban(ANN), *(ban(f"203.0.112.{n}") for n in range(200))]
    firewall = start(*bans)
    with stream(host, ANN) as passed:
        for _ in range(20):
            if before:
                host.nft("add table inet wp_sidecar\ndelete table inet wp_sidecar\n" + before)
            start(*bans)
        wait_until(lambda: firewall.dropped()[4].packets)

        assert passed() == []


@pytest.mark.parametrize(
    "before", ["", SCHEMA_1, SCHEMA_4], ids=["adopted", "upgraded from 1", "upgraded from 4"]
)
def test_no_packet_passes_while_a_start_compares_many_bans(host, start, before):
    bans = [*(ban(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(100_000)), ban(ANN)]
    firewall = start(*([] if before else bans))
    with stream(host, ANN) as passed:
        if before:
            host.nft("add table inet wp_sidecar\ndelete table inet wp_sidecar\n" + before)
            # Those from before the table was written.
            passed()
        again = start(*bans)
        wait_until(lambda: firewall.dropped()[4].packets)

        assert passed() == []
    assert again.enforced() == (100_001, 100_001)


def test_an_upgrade_keeps_the_bans_their_time_and_the_published_ports(host, start):
    host.nft(SCHEMA_1)
    found = {each.address: each.until for each in restart(start)}

    assert found.keys() == {ANN, "203.0.113.96/28", ANNS64}
    assert (round(found[ANN] - time.time(), -1), found[ANNS64]) == (3600, math.inf)
    assert host.kernel.shape().schema == "wp-sidecar schema 5"
    assert host.lets_in(ANN, BOB, EVE, ANN6, BOB6, port=8080) == {BOB, BOB6}


def restart(start):
    """Start with the bans that are found in the kernel, and return them."""
    bans = recovered()
    start(*bans)
    return bans


def test_bans_found_in_our_table_are_adopted_for_the_same_ports(host, firewall, start):
    firewall.apply(turn(ban(ANN), ban(BOB, "ssh"), ban("198.18.0.0/16"), ban(ANNS64, "everything")))

    assert {(each.jail, each.address, each.cause) for each in restart(start)} == {
        ("manual", ANN, "adopted"),
        ("ssh", BOB, "adopted"),
        ("manual", "198.18.0.0/16", "adopted"),
        ("everything", ANNS64, "adopted"),
    }
    assert host.lets_in(ANN, BOB, ANN6, port=22) == {ANN}


@pytest.mark.parametrize(
    "there", ["", OTHER_SCHEMA, SCHEMA_1.replace("inet", "ip6")], ids=["none", "strange", "not ours"]
)
def test_nothing_is_adopted_from_other_tables(host, there):
    host.nft(there.partition("  counter")[0] + "}" if "ip6" in there else there)
    with closing(Firewall(NftTable(), JAILS)) as firewall:
        assert firewall.adoptable(time.time()) == []


def test_published_ports_stay_closed_over_a_start_until_the_container_engine_has_answered(
    host, firewall, start
):
    firewall.set_topology([], time.time(), frozenset({8080}))
    again = start(ban(ANN))
    assert host.lets_in(ANN, BOB, port=8080) == {BOB}

    again.set_topology(["10.0.0.0/8"], time.time())
    assert host.lets_in(ANN, BOB, port=8080) == {BOB}

    again.set_topology(["10.0.0.0/8"], time.time(), frozenset())
    assert host.lets_in(ANN, BOB, port=8080) == {ANN, BOB}


def test_other_tables_are_left_alone(host, firewall):
    host.nft("table ip f2b { set s { typeof ip saddr; elements = { 203.0.113.12 }\n}\n}")
    firewall.apply(turn(ban(ANN)))
    firewall.repair(time.time())
    firewall.flush()

    assert shown("list ruleset").startswith("table ip f2b")
    assert "wp_sidecar" not in shown("list ruleset")


def shown(command):
    return subprocess.run(["nft", *command.split()], check=True, capture_output=True, text=True).stdout


def test_a_thousand_at_a_time(host, firewall):
    many = [f"203.0.{n >> 8}.{n & 255}" for n in range(2500)]
    firewall.apply(turn(*map(ban, many)))
    # While the kernel resizes a set, it does not report all of its elements.
    wait_until(lambda: len(host.kernel.elements("ban4")) == 2500)

    firewall.apply(turn(*map(unban, many[1:])))
    assert host.kernel.elements("ban4").keys() == {socket.inet_aton(many[0])}


def test_all_bans_end_at_once(host, firewall):
    many = [f"203.0.{n >> 8}.{n & 255}" for n in range(2500)]
    firewall.apply(turn(*map(ban, many), ban(ANNS64)))
    firewall.apply(turn(*map(unban, many), ban(BOB, "ssh")))

    assert [len(host.kernel.elements(name)) for name in ("ban4", "ban6", "ban4_22")] == [0, 1, 1]
    assert firewall.enforced() == (2, 2)
    assert firewall.repair(time.time(), whole=True) is None


def test_nearly_all_bans_end_at_once_while_a_banned_address_sends(host, firewall):
    many = [f"203.0.{n >> 8}.{n & 255}" for n in range(2500)]
    firewall.apply(turn(ban(ANN, lasts=5000), *map(ban, many)))
    with stream(host, ANN) as passed:
        wait_until(lambda: firewall.dropped()[4].packets)
        passed()
        firewall.apply(turn(*map(unban, many)))
        assert passed() == []

    assert host.kernel.elements("ban4") == {socket.inet_aton(ANN): pytest.approx(5000, abs=5)}
    assert firewall.repair(time.time(), whole=True) is None


@pytest.mark.usefixtures("firewall")
def test_no_set_is_declared_by_type_which_would_crash_an_older_nft():
    assert " type ipv4_addr" not in shown("list ruleset")
    assert shown("list table inet wp_sidecar").count("typeof ip saddr") == 13


IN_A_USER_NAMESPACE = f"""
import math, time
from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.firewall import Firewall, NftTable
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.nft import Nft
Nft().run(['''{OTHER_SCHEMA}'''])
bans = [Ban("login", Address(f"203.{{n >> 8}}.113.{{n & 255}}"), 0, math.inf, "failures") for n in range(30_000)]
Firewall(NftTable(), []).start(bans, time.time())
print(Kernel().shape().schema, len(Kernel().elements("ban4")))
"""


def test_bans_that_do_not_fit_into_one_message_are_sent_in_several():
    assert shutil.which("unshare"), "this test needs `unshare`: install util-linux"
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-c", IN_A_USER_NAMESPACE],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "wp-sidecar schema 5 30000\n"


def test_the_same_topology_again_writes_nothing(host, firewall):
    firewall.set_topology(["10.0.0.0/8"], time.time(), frozenset({8080}))
    before = host.kernel.generation()
    firewall.set_topology(["10.0.0.0/8"], time.time(), frozenset({8080}))

    assert host.kernel.generation() == before
