"""Multipath TCP: a connection that other addresses join does not outlive the ban of the one it began with."""

import socket
import subprocess
import time
from contextlib import ExitStack, closing, contextmanager

import pytest

from sidecar.core.address import parse_ban_target
from sidecar.core.events import Ban, Turn
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall, NftTable
from tests.support.cable import HOST4, HOST6, inside
from tests.support.waiting import wait_until

PROTOCOL = socket.IPPROTO_MPTCP
CLOSED, OPEN = 443, 8443
# The address that a connection begins with, and the one that joins it.
CLIENTS = [
    pytest.param(HOST4, "203.0.113.11", "203.0.113.12", id="IPv4"),
    pytest.param(HOST6, "2001:db8:bad:1::11", "2001:db8:bad:2::12", id="IPv6"),
    pytest.param(HOST4, "203.0.113.11", "203.0.113.99", id="port all"),
]


@pytest.fixture
def firewall(host, request):
    jail = Jail("login", ports=None) if "port all" in request.node.name else Jail("login")
    with closing(Firewall(NftTable(), [jail])) as firewall:
        firewall.start([], time.time())
        yield firewall


@contextmanager
def joined(host, target, port, address, joining):
    """A connection from `address` that `joining` is to join: our end, and theirs."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with ExitStack() as stack:
        server = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, PROTOCOL))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((target, port))
        server.listen()
        with inside(host.outside):
            subprocess.run(["ip", "mptcp", "limits", "set", "subflows", "2"], check=True)
            subprocess.run(["ip", "mptcp", "endpoint", "flush"], check=True)
            subprocess.run(["ip", "mptcp", "endpoint", "add", joining, "dev", "wire", "subflow"], check=True)
            client = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, PROTOCOL))
        client.bind((address, 0))
        client.settimeout(5)
        client.connect((target, port))
        ours, (peer, *_) = server.accept()
        stack.enter_context(ours)
        ours.settimeout(1)
        assert peer == address
        # A connection is only joined once both sides know that the other speaks Multipath TCP.
        for sender, receiver in ((client, ours), (ours, client)):
            sender.sendall(b"hello")
            assert receiver.recv(99) == b"hello"
        yield ours, client


def addresses_of_connections(port):
    """The clients' addresses of all TCP connections at a port of ours, subflows included."""
    said = subprocess.run(
        ["ss", "-Htn", "state", "established", f"sport = :{port:d}"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return {line.split()[3].rpartition(":")[0].strip("[]") for line in said.splitlines()}


def join_packets(host):
    """How many packets of the cable's other end asked to join a connection."""
    with inside(host.outside):
        said = subprocess.run(
            ["nstat", "-asz", "MPTcpExtMPJoinSynTx"], check=True, capture_output=True, text=True
        )
    return int(said.stdout.split()[-2])


@pytest.mark.parametrize(("target", "address", "joining"), CLIENTS)
def test_a_connection_ends_with_the_ban_of_its_address_whoever_tried_to_join_it(
    host, firewall, target, address, joining
):
    before = join_packets(host)
    with joined(host, target, CLOSED, address, joining) as (ours, client):
        wait_until(lambda: join_packets(host) > before)
        # Nobody is hindered by that: it goes on with the address that is in the log.
        client.sendall(b"a guess")
        assert ours.recv(99) == b"a guess"
        assert addresses_of_connections(CLOSED) == {address}

        now = time.time()
        firewall.apply(Turn(now, (Ban("login", parse_ban_target(address), now, now + 900, "failures"),)))
        client.sendall(b"one more")
        with pytest.raises(TimeoutError):
            ours.recv(99)


def test_connections_to_ports_that_no_ban_closes_may_be_joined(host, firewall):
    with joined(host, HOST4, OPEN, "203.0.113.11", "203.0.113.12"):
        wait_until(lambda: addresses_of_connections(OPEN) == {"203.0.113.11", "203.0.113.12"})
