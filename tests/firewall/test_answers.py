"""Requests from before the ban are not answered any more: with real packets, on each way that answers take."""

import contextlib
import socket
import struct
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import NamedTuple

import pytest

from sidecar.core.address import Address
from sidecar.firewall import Firewall, NftTable, answers
from sidecar.firewall.answers import AnswerFilter
from sidecar.firewall.port_groups import PortGroup
from sidecar.firewall.schema import PROBE_TABLE
from tests.firewall.decisions import ANN, ANN6, ANNS64, BOB, BOB6, LOGIN, ban, left, turn, unban
from tests.support.cable import HOST4, HOST6, inside, ip
from tests.support.waiting import wait_until

# The port that clients connect to, the one of the container behind it, and one that no jail closes.
PUBLISHED, CONTAINER_PORT, SSH_PORT = 8443, 80, 2222
CONTAINER4, CONTAINER6 = "172.31.0.2", "fd00:31::2"
GATEWAY4, GATEWAY6 = "172.31.0.1", "fd00:31::1"
# What clients may get that the host sent before it knew of the ban.
ON_THE_WIRE = 10
REQUEST = b"POST /wp-login.php HTTP/1.1\r\n\r\n"
ANSWER = b"HTTP/1.1 302 Found\r\nSet-Cookie: wordpress_logged_in=1\r\n\r\n"

# What Docker's iptables backend does for a published port, and its nftables backend.
IPTABLES = """
table ip nat { chain PREROUTING { type nat hook prerouting priority dstnat;
  fib daddr type local meta l4proto { tcp, udp } th dport 8443 dnat to 172.31.0.2:80; }
}
table ip6 nat { chain PREROUTING { type nat hook prerouting priority dstnat;
  fib daddr type local meta l4proto { tcp, udp } th dport 8443 dnat to [fd00:31::2]:80; }
}
table ip filter { chain FORWARD { type filter hook forward priority filter; policy drop;
  ct state related,established accept
  ip daddr 172.31.0.2 tcp dport 80 accept
  ip daddr 172.31.0.2 udp dport 80 accept; }
}
"""
NFTABLES = IPTABLES.replace("ip nat", "ip docker-bridges").replace("ip6 nat", "ip6 docker-bridges")
MASQUERADE = (
    IPTABLES
    + """
table inet more { chain post { type nat hook postrouting priority srcnat;
  ip daddr 172.31.0.2 masquerade
  ip6 daddr fd00:31::2 masquerade; }
}
"""
)
OUTGOING = """
table ip nat { chain POSTROUTING { type nat hook postrouting priority srcnat;
  ip saddr 172.31.0.2 masquerade; }
}
"""
REDIRECT = f"""
table inet nat {{ chain pre {{ type nat hook prerouting priority dstnat;
  meta l4proto {{ tcp, udp }} th dport {PUBLISHED} redirect to :9000; }}
}}
"""


class Server:
    """Reads requests, and answers when the test says so. It counts the workers that were free again."""

    def __init__(self, listener):
        self.requests, self.sent = 0, 0
        # How many connections ended: reset by the kernel, or closed by Docker's proxy.
        self.freed = 0
        self._may_send = threading.Semaphore(0)
        self._lock = threading.Lock()
        self._listener = listener
        threading.Thread(target=self._accept, daemon=True).start()

    def answer(self, count):
        self._may_send.release(count)

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def _serve(self, connection):
        with connection:
            try:
                while received := connection.recv(65536):
                    count = received.count(REQUEST)
                    with self._lock:
                        self.requests += count
                    for _ in range(count):
                        self._may_send.acquire()
                        connection.sendall(ANSWER)
                        with self._lock:
                            self.sent += 1
            except (ConnectionResetError, BrokenPipeError):
                pass
            with self._lock:
                self.freed += 1


def relay(listener, family, target):
    """Carry each connection on to the target: what Docker's userland proxy does."""

    def carry(source, destination):
        with contextlib.suppress(OSError):
            while received := source.recv(65536):
                destination.sendall(received)
        for each in (source, destination):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def both_ways(client):
        with client, socket.socket(family, socket.SOCK_STREAM) as behind:
            behind.connect(target)
            back = threading.Thread(target=carry, args=[behind, client], daemon=True)
            back.start()
            carry(client, behind)
            back.join()

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=both_ways, args=[client], daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


@pytest.fixture(autouse=True)
def connections_forgotten(host):
    """Have the kernel forget the connections of other tests: a new one may have the same ports."""
    del host
    # IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST; for all families.
    message = struct.pack("IHHIIBBH", 20, 1 << 8 | 2, 1, 0, 0, 0, 0, 0)
    # NETLINK_NETFILTER
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12) as netlink:
        netlink.send(message)


@pytest.fixture
def container(host, cable):
    """The network namespace of a container, behind our host."""
    ours, _ = cable
    name = f"{ours}c"
    ip(f"netns add {name}")
    try:
        ip(f"link add bridge netns {ours} type veth peer name eth0 netns {name}")
        for where, device, address4, address6 in (
            (ours, "bridge", GATEWAY4, GATEWAY6),
            (name, "eth0", CONTAINER4, CONTAINER6),
        ):
            ip(f"-n {where} address add {address4}/24 dev {device}")
            ip(f"-n {where} address add {address6}/64 dev {device} nodad")
            ip(f"-n {where} link set {device} up")
        ip(f"-n {name} link set lo up")
        ip(f"-n {name} route add default via {GATEWAY4}")
        ip(f"-n {name} -6 route add default via {GATEWAY6}")
        for forwarding in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
            Path(f"/proc/sys/net/{forwarding}").write_text("1")
        yield name
    finally:
        # Sockets of the test may keep the namespace for a moment.
        ip(f"-n {ours} link delete bridge")
        ip(f"netns delete {name}")


@pytest.fixture
def firewall(host):
    with closing(Firewall(NftTable(), [LOGIN])) as firewall:
        firewall.set_topology([], time.time(), frozenset({PUBLISHED}))
        firewall.start([], time.time())
        yield firewall


@pytest.fixture
def listen():
    """Listen in this thread's network namespace, for IPv4 and IPv6."""
    with ExitStack() as stack:

        def listen(port):
            listener = stack.enter_context(
                socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=200)
            )
            # A socket is not closed while a thread waits for a client.
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return listener

        yield listen


def behind(container, listen):
    with inside(container):
        return Server(listen(CONTAINER_PORT))


def by_iptables(host, container, listen):
    host.nft(IPTABLES)
    return behind(container, listen)


def by_nftables(host, container, listen):
    host.nft(NFTABLES)
    return behind(container, listen)


def masqueraded(host, container, listen):
    host.nft(MASQUERADE)
    return behind(container, listen)


def by_proxy(host, container, listen):
    del host
    relay(listen(PUBLISHED), socket.AF_INET, (CONTAINER4, CONTAINER_PORT))
    return behind(container, listen)


def on_the_host(host, container, listen):
    del host, container
    return Server(listen(PUBLISHED))


def redirected_on_the_host(host, container, listen):
    del container
    host.nft(REDIRECT)
    return Server(listen(9000))


WAYS = (by_iptables, by_nftables, masqueraded, by_proxy, on_the_host, redirected_on_the_host)


@pytest.fixture(params=WAYS, ids=[way.__name__ for way in WAYS])
def server(request, host, container, firewall, listen):
    """A server that clients reach on its published port, each time on another way."""
    return request.param(host, container, listen)


@pytest.fixture
def connect(cable):
    """Connect from an address out there."""
    _, theirs = cable
    with ExitStack() as stack:

        def connect(source, port=PUBLISHED, kind=socket.SOCK_STREAM):
            family, target = (socket.AF_INET6, HOST6) if ":" in source else (socket.AF_INET, HOST4)
            with inside(theirs):
                client = stack.enter_context(socket.socket(family, kind))
            client.bind((source, 0))
            client.settimeout(60)
            client.connect((target, port))
            return client

        yield connect


def received(client):
    """What has arrived at a client by now."""
    client.settimeout(0)
    try:
        return client.recv(1 << 20)
    except BlockingIOError:
        return b""


class Clients(NamedTuple):
    """The address of an attacker, what is banned for it, and the address of a visitor."""

    attacker: str
    banned: Address
    visitor: str


CLIENTS = pytest.mark.parametrize(
    "clients", [Clients(ANN, ANN, BOB), Clients(ANN6, ANNS64, BOB6)], ids=["IPv4", "IPv6"]
)


@CLIENTS
def test_of_100_guesses_from_before_the_ban_none_is_answered(firewall, server, connect, clients):
    guesses = [connect(clients.attacker) for _ in range(100)]
    other = connect(clients.visitor)
    for client in (*guesses, other):
        client.sendall(REQUEST)
    wait_until(lambda: server.requests == 101)

    firewall.apply(turn(ban(clients.banned)))
    server.answer(101)
    # Sooner than the kernel gives up what nobody acknowledges: that takes it a quarter of an hour.
    wait_until(lambda: server.freed == 100)

    assert other.recv(4096) == ANSWER
    assert [each for each in map(received, guesses) if each] == []
    assert firewall.facts(clients.banned, "login", time.time(), time.time()).answer_rejected
    assert not firewall.facts(BOB, "login", time.time(), time.time()).answer_rejected


def test_of_60_pipelined_requests_those_are_answered_that_were_before_the_ban(firewall, server, connect):
    client, other = connect(ANN), connect(BOB)
    client.sendall(REQUEST * 60)
    wait_until(lambda: server.requests == 60)
    server.answer(5)
    wait_until(lambda: server.sent == 5)
    early = b""
    while len(early) < 5 * len(ANSWER):
        early += client.recv(4096)

    firewall.apply(turn(ban(ANN)))
    server.answer(55 + 1)
    wait_until(lambda: server.freed)

    other.sendall(REQUEST)
    assert other.recv(4096) == ANSWER
    assert (early + received(client)).count(b"Set-Cookie") <= ON_THE_WIRE


@pytest.mark.parametrize("attacker", [ANN, ANN6], ids=["IPv4", "IPv6"])
def test_another_port_of_a_banned_client_goes_on_and_an_unban_is_an_unban(
    firewall, server, connect, listen, attacker
):
    listener = listen(SSH_PORT)
    session = connect(attacker, SSH_PORT)
    shell = listener.accept()[0]
    banned = ANNS64 if ":" in attacker else ANN
    firewall.apply(turn(ban(banned)))
    with shell:
        session.sendall(b"ls")
        assert shell.recv(99) == b"ls"
        shell.sendall(b"README")
        assert session.recv(99) == b"README"

    firewall.apply(turn(unban(banned)))
    client = connect(attacker)
    client.sendall(REQUEST)
    server.answer(1)
    assert client.recv(4096) == ANSWER


@pytest.mark.usefixtures("firewall")
@CLIENTS
@pytest.mark.parametrize("way", [IPTABLES, MASQUERADE, None], ids=["container", "masqueraded", "host"])
def test_a_datagram_from_before_the_ban_is_not_answered(host, container, firewall, connect, *, way, clients):
    """HTTP/3."""
    if way:
        host.nft(way)
    with inside(container) if way else contextlib.nullcontext():
        udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    with udp:
        if way is None:
            # An answer has to have the address that the client sent to.
            udp.bind(("::ffff:" + HOST4 if ":" not in clients.attacker else HOST6, PUBLISHED))
        else:
            udp.bind(("::", CONTAINER_PORT))
        udp.settimeout(60)
        sockets = [connect(each, kind=socket.SOCK_DGRAM) for each in (clients.attacker, clients.visitor)]
        sources = []
        for client in sockets:
            client.send(b"?")
            sources.append(udp.recvfrom(99)[1])

        firewall.apply(turn(ban(clients.banned)))
        for source in sources:
            # A packet of the host's own that is dropped is an error to its sender.
            with contextlib.suppress(PermissionError):
                udp.sendto(b"!", source)

        assert sockets[1].recv(99) == b"!"
        assert received(sockets[0]) == b""


def test_what_a_container_connects_to_itself_goes_on(host, container, firewall, cable):
    """A webhook, an update, a relay of mail: to an address that is banned."""
    _, theirs = cable
    host.nft(OUTGOING)
    with inside(theirs), socket.create_server((ANN, 443)) as listener:
        with inside(container):
            outgoing = socket.create_connection((ANN, 443), timeout=60)
        with outgoing, listener.accept()[0] as peer:
            firewall.apply(turn(ban(ANN)))
            outgoing.sendall(b"GET")
            assert peer.recv(9) == b"GET"
            peer.sendall(b"200")
            assert outgoing.recv(9) == b"200"
            outgoing.sendall(b"GET")
            assert peer.recv(9) == b"GET"


def test_an_allowlisted_client_is_answered_even_if_it_is_banned(host, firewall, connect, listen):
    server = Server(listen(PUBLISHED))
    firewall.set_topology(["203.0.113.11"], time.time())
    client = connect(ANN)
    client.sendall(REQUEST)
    wait_until(lambda: server.requests)
    firewall.apply(turn(ban(ANN)))
    server.answer(1)

    assert client.recv(4096) == ANSWER


def without(monkeypatch, *missing):
    """Have the kernel refuse what needs these."""
    real = answers.probe

    def probe(supported, table):
        return ["add rule inet nothing nothing accept"] if supported in missing else real(supported, table)

    monkeypatch.setattr(answers, "probe", probe)


def test_without_connection_tracking_the_host_still_resets_and_it_is_reported(
    host, monkeypatch, container, connect, listen
):
    without(monkeypatch, AnswerFilter.ALL)
    with closing(Firewall(NftTable(), [LOGIN])) as firewall:
        firewall.set_topology([], time.time(), frozenset({PUBLISHED}))
        firewall.start([], time.time())
        server = by_proxy(host, container, listen)
        client = connect(ANN)
        client.sendall(REQUEST)
        wait_until(lambda: server.requests)
        firewall.apply(turn(ban(ANN)))
        server.answer(1)

        assert "does not track connections" in firewall.limitation
        wait_until(lambda: firewall.facts(ANN, "login", time.time(), time.time()).answer_rejected)
        assert received(client) == b""
        assert "ct direction" not in host.nft("list table inet wp_sidecar")
        assert firewall.repair(time.time(), whole=True) is None


def test_without_rejection_a_ban_drops_what_the_client_sends_and_it_is_reported(host, monkeypatch):
    without(monkeypatch, AnswerFilter.ALL, AnswerFilter.HOST)
    with closing(Firewall(NftTable(), [LOGIN])) as firewall:
        firewall.start([ban(ANN)], time.time())

        assert "cannot reject packets" in firewall.limitation
        assert host.lets_in(ANN, BOB) == {BOB}
        assert firewall.repair(time.time(), whole=True) is None
        # Many at once leave their set by another way.
        many = [f"203.0.{n >> 8}.{n & 255}" for n in range(2500)]
        firewall.apply(turn(*map(ban, many)))
        firewall.apply(turn(*map(unban, many)))
        assert left(host, ANN) > 0


def test_the_probe_leaves_nothing_behind(host):
    for supported in (AnswerFilter.ALL, AnswerFilter.HOST):
        host.nft("\n".join(answers.probe(supported, PROBE_TABLE)))

    assert host.nft("list ruleset") == ""


def test_the_rules_of_a_group_and_of_the_group_for_all_ports():
    groups = [PortGroup(frozenset({22})), PortGroup(None)]
    mask, goto = "ffff:ffff:ffff:ffff::", "goto rejected"

    assert answers.rules(AnswerFilter.ALL, groups)["answers"] == [
        f"meta l4proto {protocol} {banned} ct original proto-dst @ports_22 {goto}"
        for banned in (
            "ip daddr @ban4_22",
            "ip daddr @net4_22",
            f"ip6 daddr & {mask} @ban6_22",
            "ip6 daddr @net6_22",
        )
        for protocol in ("tcp", "udp")
    ] + [
        f"ip daddr @ban4_all {goto}",
        f"ip daddr @net4_all {goto}",
        f"ip6 daddr & {mask} @ban6_all {goto}",
        f"ip6 daddr @net6_all {goto}",
    ]
    assert (
        answers.rules(AnswerFilter.HOST, groups)["answers"][0]
        == "ip daddr @ban4_22 th sport @ports_22 goto rejected"
    )
    assert answers.rules(AnswerFilter.NONE, groups) == {}
