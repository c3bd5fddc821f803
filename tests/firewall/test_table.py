"""Against the kernel, with packets."""

import math
import shutil
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn, Unban
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall, FirewallError, NoPermission, Repair
from sidecar.firewall.nft import Nft
from tests.support.cable import HOST4, inside, stream
from tests.support.waiting import wait_until

ANN, BOB, EVE = Address("203.0.113.11"), Address("203.0.113.12"), Address("203.0.113.99")
ANN6, ANN6_TOO, BOB6 = "2001:db8:bad:1::11", "2001:db8:bad:1:ffff::99", "2001:db8:bad:2::12"
ANNS64 = Address("2001:db8:bad:1::/64")
LOGIN = Jail("login")
SSH = Jail("ssh", ports=frozenset({22}))
EVERYTHING = Jail("everything", ports=None)
JAILS = [LOGIN, Jail("probes"), SSH, EVERYTHING]


def ban(address, jail="login", lasts=3600.0, at=None):
    now = time.time() if at is None else at
    return Ban(jail, Address(address), now, now + lasts, "failures")


def unban(address, jail="login"):
    return Unban(jail, Address(address), time.time(), "manual")


def turn(*decisions):
    return Turn(time.time(), decisions)


@pytest.fixture
def start(host):  # it is entered
    """Start a firewall, as the program does."""
    with ExitStack() as stack:

        def start(bans, jails=JAILS):
            firewall = stack.enter_context(closing(Firewall(jails)))
            firewall.start(bans, time.time())
            return firewall

        yield start


@pytest.fixture
def firewall(start):
    return start([])


def test_the_banned_are_dropped_and_their_neighbours_are_not(host, firewall):
    firewall.apply(turn(ban(ANN), ban(ANNS64)))

    # (the second of Ann's IPv6 addresses is another one in her /64)
    assert host.lets_in(ANN, BOB, ANN6, ANN6_TOO, BOB6) == {BOB, BOB6}
    assert host.lets_in(ANN, port=22) == {ANN}  # not a port of this jail's


def test_an_open_connection_is_cut(host, firewall):
    with socket.create_server((HOST4, 8443)) as server:
        firewall.surround([], frozenset({8443}))
        client = host.dial(ANN, 8443)
        answered, _ = server.accept()
        with answered:
            client.send(b"one")
            assert answered.recv(9) == b"one"
            firewall.apply(turn(ban(ANN)))
            client.send(b"two")
            answered.settimeout(0.25)
            with pytest.raises(TimeoutError):
                answered.recv(9)


def test_datagrams_are_dropped_too(host, firewall):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((HOST4, 443))  # HTTP/3
        server.settimeout(0.25)
        send(host, BOB, b"before")
        assert server.recv(99) == b"before"
        firewall.apply(turn(ban(BOB)))
        send(host, BOB, b"after")
        with pytest.raises(TimeoutError):
            server.recv(99)


def send(host, source, data):
    with inside(host.outside), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.sendto(data, (HOST4, 443))


def test_each_jail_closes_its_ports(host, firewall):
    firewall.apply(turn(ban(ANN, "login"), ban(BOB, "ssh"), ban(EVE, "everything")))

    assert {port: host.lets_in(ANN, BOB, EVE, port=port) for port in (22, 80, 8080)} == {
        22: {ANN},
        80: {BOB},
        8080: {ANN, BOB},
    }


def test_published_ports_are_closed_as_well_and_open_again_when_nobody_publishes_them(host, firewall):
    firewall.apply(turn(ban(ANN)))
    firewall.surround([], frozenset({8080}))
    assert not host.answers(ANN, 8080)
    firewall.surround([], frozenset())
    assert host.answers(ANN, 8080)


def test_a_ban_of_a_jail_that_is_not_configured_any_more_closes_the_web_ports(host, firewall):
    firewall.apply(turn(ban(ANN, "forgotten")))

    assert not host.answers(ANN)


def test_the_never_banned_pass_whatever_is_decided(host, firewall):
    firewall.surround(["203.0.113.11/32", "2001:db8:bad:1::11/128"], frozenset())
    firewall.apply(turn(ban(ANN), ban(ANNS64), ban("203.0.113.0/24")))

    assert host.lets_in(ANN, ANN6, BOB) == {ANN, ANN6}


def test_networks_and_hosts_in_them_are_banned_and_let_in_apart(host, firewall):
    firewall.apply(turn(ban("203.0.113.0/24"), ban("203.0.113.0/28"), ban(ANN), ban("2001:db8:bad::/48")))
    assert host.lets_in(ANN, BOB, EVE, ANN6) == set()

    firewall.apply(turn(unban("203.0.113.0/24"), unban("2001:db8:bad::/48")))
    assert host.lets_in(ANN, BOB, EVE, ANN6) == {EVE, ANN6}

    firewall.apply(turn(unban("203.0.113.0/28")))
    assert host.lets_in(ANN, BOB) == {BOB}


def test_an_unban_lets_them_in_and_may_be_repeated(host, firewall):
    firewall.apply(turn(ban(ANN), ban(ANNS64)))
    firewall.apply(turn(unban(ANN), unban(ANNS64)))
    firewall.apply(turn(unban(ANN), unban(ANNS64), unban("203.0.113.0/24")))

    assert host.lets_in(ANN, ANN6) == {ANN, ANN6}


def test_a_ban_and_its_end_in_one_turn_leave_nothing(host, firewall):
    firewall.apply(turn(ban(ANN), unban(ANN), unban(BOB), ban(BOB)))

    assert host.kernel.elements("ban4").keys() == {socket.inet_aton(BOB)}


def test_whom_two_jails_ban_stays_for_the_longer_until_both_let_go(host, firewall):
    now = time.time()
    firewall.apply(turn(ban(ANN, "login", 1000), ban(ANN, "probes", 5000)))
    assert left(host, ANN) == pytest.approx(5000, abs=3)
    firewall.apply(Turn(now, (unban(ANN, "probes"),)))
    assert left(host, ANN) == pytest.approx(1000, abs=3)
    firewall.apply(turn(unban(ANN, "login")))
    assert host.answers(ANN)


def test_a_longer_ban_is_longer_in_the_kernel(host, firewall):
    firewall.apply(turn(ban(ANN, lasts=100), ban(BOB, lasts=100)))
    firewall.apply(turn(ban(ANN, lasts=9000), ban(BOB, lasts=math.inf)))

    assert left(host, ANN) == pytest.approx(9000, abs=3)
    assert left(host, BOB) == math.inf


def test_after_the_clock_was_set_a_whole_look_sets_the_timeouts(host, firewall):
    firewall.apply(turn(ban(ANN, lasts=1000), ban("203.0.113.96/28", lasts=1000)))
    back = time.time() - 500

    assert firewall.reconcile(back) is None
    assert firewall.reconcile(back, whole=True) == Repair("bans", 1)
    assert left(host, ANN) == pytest.approx(1500, abs=3)
    assert list(host.kernel.intervals("net4").values()) == [pytest.approx(1500, abs=3)]
    assert firewall.enforced() == (2, 2)  # nobody was let in
    assert firewall.reconcile(back, whole=True) is None


def left(host, address):
    return host.kernel.elements("ban4")[socket.inet_aton(address)]


def test_bans_end_by_themselves_when_nobody_is_left_to_end_them(host, firewall):
    firewall.apply(turn(ban(ANN, lasts=1), ban("203.0.113.96/28", lasts=1)))
    assert not host.answers(ANN)
    del firewall
    wait_until(lambda: host.lets_in(ANN, EVE) == {ANN, EVE})


def test_what_was_dropped_is_counted_and_never_counted_down(host, firewall):
    assert firewall.counters() == {"4": (0, 0), "6": (0, 0)}
    firewall.apply(turn(ban(ANN), ban(ANNS64)))
    assert host.lets_in(ANN, ANN6) == set()
    before = firewall.counters()
    assert all(packets >= 1 and size >= 60 for packets, size in before.values())

    host.nft("flush ruleset")
    assert firewall.counters() == before
    firewall.reconcile(time.time())
    assert firewall.counters() == before
    assert not host.answers(ANN)
    assert firewall.counters()["4"] > before["4"]


def test_a_start_adopts_the_table_and_brings_it_to_what_is_wanted(host, firewall, start):
    firewall.apply(turn(ban(ANN, lasts=100), ban(BOB), ban("203.0.113.96/28")))
    handles = host.kernel.shape().sets

    again = start([ban(ANN, lasts=9000), ban(ANNS64)])

    assert host.kernel.shape().sets == handles
    assert host.lets_in(ANN, BOB, EVE, ANN6) == {BOB, EVE}
    assert left(host, ANN) == pytest.approx(9000, abs=3)
    assert again.reconcile(time.time()) is None


OTHERS = """
table inet wp_sidecar { comment "wp-sidecar schema 0"; }
table inet wp_sidecar {
  set old { typeof ip saddr; flags timeout; elements = { 203.0.113.11 }
  }
  chain pre { type filter hook prerouting priority -310; ip saddr @old drop; }
}
"""


def test_a_table_of_another_make_is_replaced(host, start):
    host.nft(OTHERS)
    firewall = start([ban(ANN)])

    assert (host.kernel.shape().schema, host.kernel.shape().chains.keys()) == (
        "wp-sidecar schema 3",
        {"prerouting", "presence"},
    )
    assert not host.answers(ANN)
    assert firewall.reconcile(time.time()) is None


def test_other_jails_replace_the_gates_of_the_last_run(host, firewall, start):
    firewall.apply(turn(ban(BOB, "ssh")))
    start([ban(ANN)], jails=[LOGIN])

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


@pytest.mark.parametrize("before", ["", OTHERS, SCHEMA_1], ids=["adopted", "replaced", "upgraded"])
def test_no_packet_passes_while_a_table_is_taken_over(host, start, before):
    """A banned stream, and twenty starts under it."""
    bans = [ban(ANN), *(ban(f"203.0.112.{n}") for n in range(200))]
    firewall = start(bans)
    with stream(host, ANN) as passed:
        for _ in range(20):
            if before:
                host.nft("add table inet wp_sidecar\ndelete table inet wp_sidecar\n" + before)
            start(bans)
        wait_until(lambda: firewall.counters()["4"][0])  # there is a stream

        assert passed() == []


def test_an_upgrade_keeps_the_bans_their_time_and_the_published_ports(host, start):
    host.nft(SCHEMA_1)
    found = {each.address: each.until for each in start_of(host, start)}

    assert found.keys() == {ANN, "203.0.113.96/28", ANNS64}
    assert (round(found[ANN] - time.time(), -1), found[ANNS64]) == (3600, math.inf)
    assert host.kernel.shape().schema == "wp-sidecar schema 3"
    assert host.lets_in(ANN, BOB, EVE, ANN6, BOB6, port=8080) == {BOB, BOB6}


def start_of(host, start):
    """Those whom a start finds and goes on with."""
    with closing(Firewall(JAILS)) as before:
        bans = before.adoptable(time.time())
    start(bans)
    return bans


def test_what_is_found_in_a_table_of_ours_goes_on_at_the_same_ports(host, firewall, start):
    firewall.apply(turn(ban(ANN), ban(BOB, "ssh"), ban("198.18.0.0/16"), ban(ANNS64, "everything")))

    assert {(each.jail, each.address, each.cause) for each in start_of(host, start)} == {
        ("manual", ANN, "adopted"),
        ("ssh", BOB, "adopted"),
        ("manual", "198.18.0.0/16", "adopted"),
        ("everything", ANNS64, "adopted"),
    }
    assert host.lets_in(ANN, BOB, ANN6, port=22) == {ANN}


@pytest.mark.parametrize(
    "there", ["", OTHERS, SCHEMA_1.replace("inet", "ip6")], ids=["none", "strange", "not ours"]
)
def test_nobody_else_is_adopted(host, there):
    host.nft(there.partition("  counter")[0] + "}" if "ip6" in there else there)
    with closing(Firewall(JAILS)) as firewall:
        assert firewall.adoptable(time.time()) == []


def test_who_is_only_observed_is_not_kept_out_and_one_who_was_is_let_in(host, firewall, start):
    firewall.apply(turn(ban(ANN), replace(ban(BOB), dry_run=True)))
    assert host.lets_in(ANN, BOB) == {BOB}

    firewall.apply(turn(replace(ban(ANN), dry_run=True)))
    assert host.lets_in(ANN, BOB) == {ANN, BOB}

    start([replace(ban(ANN), dry_run=True), ban(BOB)])
    assert host.lets_in(ANN, BOB) == {ANN}


NO_RULES = "flush chain inet wp_sidecar prerouting"
NO_SET = f"{NO_RULES}\ndelete set inet wp_sidecar ban4"
STRANGE_SET = f"{NO_SET}\nadd set inet wp_sidecar ban4 {{ typeof ip saddr; flags interval; }}"


@pytest.mark.parametrize(
    ("harm", "repair"),
    [
        ("flush ruleset", Repair("table", restored=2)),
        ("delete table inet wp_sidecar", Repair("table", restored=2)),
        (NO_RULES, Repair("structure")),
        (NO_SET, Repair("structure", restored=2)),
        (STRANGE_SET, Repair("structure", restored=2)),
        ("insert rule inet wp_sidecar prerouting accept", Repair("structure")),
        ("add chain inet wp_sidecar prerouting { policy drop; }", Repair("structure")),
        ("add chain inet wp_sidecar another", Repair("structure", restored=2)),
        ("add table inet wp_sidecar { flags dormant; }", Repair("structure", restored=2)),
        ("delete element inet wp_sidecar ban4 { 203.0.113.11 }", Repair("bans", restored=1)),
        ("flush set inet wp_sidecar ban6", Repair("bans", restored=1)),
        ("add element inet wp_sidecar ban4 { 203.0.113.12 }", Repair("bans", removed=1)),
        ("flush set inet wp_sidecar net4", Repair("bans")),
        ("flush set inet wp_sidecar ports", Repair("surroundings")),
        ("add element inet wp_sidecar allow4 { 203.0.113.0/24 }", Repair("surroundings")),
    ],
)
def test_what_others_break_is_whole_again_with_the_time_that_was_left(host, firewall, harm, repair):
    firewall.apply(turn(ban(ANN, lasts=5000), ban(ANNS64), ban("203.0.113.96/28")))
    assert firewall.reconcile(time.time()) is None
    host.nft(harm)

    assert firewall.reconcile(time.time()) == repair
    assert firewall.reconcile(time.time()) is None
    assert host.lets_in(ANN, BOB, EVE, ANN6, BOB6) == {BOB, BOB6}
    assert left(host, ANN) == pytest.approx(5000, abs=5)


def test_other_tables_are_left_alone(host, firewall):
    host.nft("table ip f2b { set s { typeof ip saddr; elements = { 203.0.113.12 }\n}\n}")
    firewall.apply(turn(ban(ANN)))
    firewall.reconcile(time.time())
    firewall.flush()

    assert shown("list ruleset").startswith("table ip f2b")
    assert "wp_sidecar" not in shown("list ruleset")


def shown(command):
    return subprocess.run(["nft", *command.split()], check=True, capture_output=True, text=True).stdout


def test_flush_lets_everyone_in_and_a_start_after_it_works(host, firewall):
    firewall.apply(turn(ban(ANN)))
    firewall.flush()
    assert host.answers(ANN)
    firewall.flush()
    firewall.start([ban(ANN)], time.time())
    assert not host.answers(ANN)


def test_bans_that_the_kernel_did_not_take_are_made_up_for(host, firewall):
    host.nft("flush ruleset")
    with pytest.raises(FirewallError, match="No such file or directory"):
        firewall.apply(turn(ban(ANN)))
    assert firewall.reconcile(time.time()) == Repair("table", restored=1)
    assert not host.answers(ANN)


def test_one_who_cannot_be_banned_does_not_keep_the_others_in(host, firewall):
    with pytest.raises(FirewallError, match="'localhost' cannot be banned"):
        firewall.apply(turn(ban(ANN), ban("localhost"), ban(BOB)))

    assert host.lets_in(ANN, BOB) == set()


def test_a_thousand_at_a_time(host, firewall):
    many = [f"203.0.{n >> 8}.{n & 255}" for n in range(2500)]
    firewall.apply(turn(*map(ban, many)))
    wait_until(lambda: len(host.kernel.elements("ban4")) == 2500)  # while it grows, not all are told of

    firewall.apply(turn(*map(unban, many[1:])))
    assert host.kernel.elements("ban4").keys() == {socket.inet_aton(many[0])}


def test_everyone_out_at_once(host, firewall):
    many = [f"203.0.{n >> 8}.{n & 255}" for n in range(2500)]
    firewall.apply(turn(*map(ban, many), ban(ANNS64)))
    firewall.apply(turn(*map(unban, many), ban(BOB, "ssh")))

    assert [len(host.kernel.elements(name)) for name in ("ban4", "ban6", "ban4_22")] == [0, 1, 1]
    assert firewall.enforced() == (2, 2)
    assert firewall.reconcile(time.time(), whole=True) is None


def test_nearly_everyone_out_at_once_while_one_who_stays_sends(host, firewall):
    many = [f"203.0.{n >> 8}.{n & 255}" for n in range(2500)]
    firewall.apply(turn(ban(ANN, lasts=5000), *map(ban, many)))
    with stream(host, ANN) as passed:
        wait_until(lambda: firewall.counters()["4"][0])
        passed()
        firewall.apply(turn(*map(unban, many)))
        assert passed() == []

    assert host.kernel.elements("ban4") == {socket.inet_aton(ANN): pytest.approx(5000, abs=5)}
    assert firewall.reconcile(time.time(), whole=True) is None


@pytest.mark.usefixtures("firewall")
def test_no_set_is_declared_by_type_which_would_crash_an_older_nft():
    assert " type ipv4_addr" not in shown("list ruleset")
    assert shown("list table inet wp_sidecar").count("typeof ip saddr") == 9


IN_A_USER_NAMESPACE = f"""
import math, time
from sidecar.core.address import Address
from sidecar.core.events import Ban
from sidecar.firewall import Firewall
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.nft import Nft
Nft().run(['''{OTHERS}'''])
bans = [Ban("login", Address(f"203.{{n >> 8}}.113.{{n & 255}}"), 0, math.inf, "failures") for n in range(30_000)]
Firewall([]).start(bans, time.time())
print(Kernel().shape().schema, len(Kernel().elements("ban4")))
"""


def test_where_one_message_cannot_hold_them_all_they_are_banned_in_several():
    assert shutil.which("unshare"), "this test needs `unshare`: install util-linux"
    ran = subprocess.run(
        ["unshare", "--map-root-user", "--net", sys.executable, "-c", IN_A_USER_NAMESPACE],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout == "wp-sidecar schema 3 30000\n"


def test_surroundings_that_are_known_before_the_start_hold_from_the_start(host):
    with closing(Firewall(JAILS)) as firewall:
        firewall.surround(["203.0.113.11/32"], frozenset({8080}))
        firewall.start([ban(ANN), ban(BOB)], time.time())

        assert host.lets_in(ANN, BOB, port=8080) == {ANN}


def test_published_ports_stay_closed_over_a_start_until_the_engine_has_told_what_is_published(
    host, firewall, start
):
    firewall.surround([], frozenset({8080}))
    again = start([ban(ANN)])
    assert host.lets_in(ANN, BOB, port=8080) == {BOB}

    again.surround(["10.0.0.0/8"])
    assert host.lets_in(ANN, BOB, port=8080) == {BOB}

    again.surround(["10.0.0.0/8"], frozenset())
    assert host.lets_in(ANN, BOB, port=8080) == {ANN, BOB}


def test_the_same_surroundings_again_are_nothing_to_do(host, firewall):
    firewall.surround(["10.0.0.0/8"], frozenset({8080}))
    before = host.kernel.generation()
    firewall.surround(["10.0.0.0/8"], frozenset({8080}))

    assert host.kernel.generation() == before


def test_a_check_is_next_to_nothing_while_nobody_else_touches_the_hosts_rules(host, firewall, monkeypatch):
    firewall.apply(turn(ban(ANN)))
    asked, shape = [], firewall._kernel.shape
    monkeypatch.setattr(firewall._kernel, "shape", lambda: asked.append("shape") or shape())

    assert firewall.reconcile(time.time()) is None
    assert asked == []
    host.nft("add table ip another")
    assert firewall.reconcile(time.time()) is None
    assert asked == ["shape"]


def test_a_check_that_failed_is_made_again(host, firewall, monkeypatch):
    host.nft("delete table inet wp_sidecar")
    with monkeypatch.context() as patch:
        patch.setattr(firewall._kernel, "shape", broken)
        with pytest.raises(FirewallError):
            firewall.reconcile(time.time())

    assert firewall.reconcile(time.time()) == Repair("table")


def test_a_set_that_the_kernel_is_just_making_larger_is_read_again(host, firewall, monkeypatch):
    """It then tells of some elements twice and of others not at all; here of the first ten only, once."""
    firewall.apply(turn(*(ban(f"198.18.0.{n}") for n in range(100))))
    elements, times = firewall._kernel.elements, []

    def some(name):
        times.append(name)
        there = elements(name)
        return dict(list(there.items())[:10]) if times.count(name) == 1 else there

    monkeypatch.setattr(firewall._kernel, "elements", some)
    assert firewall.reconcile(time.time(), whole=True) is None
    assert times.count("ban4") == 2
    assert firewall.enforced() == (100, 100)


def test_what_the_kernel_goes_on_not_telling_of_is_nobodys_doing_unless_it_is_gone(
    host, firewall, monkeypatch
):
    firewall.apply(turn(*(ban(f"198.18.0.{n}") for n in range(100))))
    elements, times = firewall._kernel.elements, []

    def some(name):
        times.append(name)
        return dict(list(elements(name).items())[:10])

    with monkeypatch.context() as patch:
        patch.setattr(firewall._kernel, "elements", some)
        assert firewall.reconcile(time.time(), whole=True) is None
        asked = len(times)
        host.nft("delete element inet wp_sidecar ban4 { 198.18.0.77 }")
        assert firewall.reconcile(time.time()) == Repair("bans", restored=1)
        assert len(times) > asked
    assert firewall.reconcile(time.time()) is None
    assert len(elements("ban4")) == 100


def broken():
    raise FirewallError("reading the firewall failed: someone changes its rules all the time")


NO_CAPABILITY = """
import time
from sidecar.firewall import Firewall, NoPermission
from sidecar.firewall.nft import Nft
start, write = lambda: Firewall([]).start([], time.time()), lambda: Nft().run(["add table inet wp_sidecar"])
for attempt in start, write:
    try:
        attempt()
    except NoPermission as err:
        print(err)
"""


@pytest.mark.usefixtures("host")
def test_without_the_capability_one_sentence_says_what_to_change():
    assert shutil.which("setpriv"), "this test needs `setpriv`: install util-linux"
    less = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", sys.executable, "-c"]
    ran = subprocess.run([*less, NO_CAPABILITY], capture_output=True, text=True, check=True)

    assert ran.stdout.splitlines() == 2 * [str(NoPermission())]
    assert "`cap_add: [NET_ADMIN]`" in ran.stdout and "run as root" in ran.stdout


@pytest.mark.usefixtures("host")
def test_nft_says_what_it_did_not_like():
    with pytest.raises(
        FirewallError, match="nft refused a change: Error: Could not process rule: No such file"
    ):
        Nft().run(["flush table inet wp_sidecar"])


@pytest.mark.parametrize("before", ["", SCHEMA_1], ids=["adopted", "upgraded"])
def test_no_packet_passes_while_a_start_has_many_bans_to_compare(host, start, before):
    bans = [*(ban(f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(100_000)), ban(ANN)]
    firewall = start([] if before else bans)
    with stream(host, ANN) as passed:
        if before:
            host.nft("add table inet wp_sidecar\ndelete table inet wp_sidecar\n" + before)
            passed()  # the old run's, before it had a table
        again = start(bans)
        wait_until(lambda: firewall.counters()["4"][0])

        assert passed() == []
    assert again.enforced() == (100_001, 100_001)
