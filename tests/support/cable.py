"""Two hosts on one cable: ours, which has the firewall, and another one, which has all addresses of the internet."""

import ctypes
import itertools
import os
import select
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sidecar.firewall import Monitor
from sidecar.firewall.kernel import Kernel
from tests.support.waiting import wait_until

HOST4, HOST6 = "198.51.100.10", "2001:db8:100::10"
ROUTER4, ROUTER6 = "198.51.100.1", "2001:db8:100::1"
THEIRS = (
    "203.0.113.11",
    "203.0.113.12",
    "203.0.113.99",
    "2001:db8:bad:1::11",
    "2001:db8:bad:1:ffff::99",
    "2001:db8:bad:2::12",
)
# How long an answer is waited for, if the packet may be dropped. An answer on this cable takes 0.1 ms.
ANSWER_TIMEOUT_S = 0.25

# The network namespace in which the tests were started.
HOME = Path("/proc/thread-self/ns/net").readlink()
SO_RCVBUFFORCE = 33
SO_ERROR = (socket.SOL_SOCKET, socket.SO_ERROR)
# CLONE_NEWNET. `os.setns` came with Python 3.12.
_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Host:
    """Our host: what runs there, and how it looks from outside."""

    # The other namespace.
    outside: str
    # Begins to connect from an address out there.
    dial: Callable[[str, int], socket.socket]
    kernel: Kernel

    def nft(self, text):
        """What a person, or another program, does to the firewall."""
        assert shutil.which("nft"), "the firewall's tests need `nft`: install nftables"
        return subprocess.run(
            ["nft", "-f", "-"], input=text, check=True, capture_output=True, text=True
        ).stdout

    def lets_in(self, *sources, port=80):
        """Those of the addresses that can open a connection to us; all of them try at once."""
        return {source for source, client in self._dialled(sources, port) if not client.getsockopt(*SO_ERROR)}

    def answers(self, source, port=80):
        return self.lets_in(source, port=port) == {source}

    def _dialled(self, sources, port):
        waiting = {self.dial(source, port): source for source in sources}
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while waiting and (left := deadline - time.monotonic()) > 0:
            _, ready, _ = select.select([], waiting, [], left)
            yield from ((waiting.pop(client), client) for client in ready)


@contextmanager
def stream(host, source, port=443, pause=0.0002):
    """Send datagrams all the while. Yields a function that returns when those that arrived were sent."""
    family, target = (socket.AF_INET6, HOST6) if ":" in source else (socket.AF_INET, HOST4)
    stop = threading.Event()

    def send():
        with inside(host.outside), socket.socket(family, socket.SOCK_DGRAM) as client:
            client.bind((source, 0))
            while not stop.wait(pause):
                client.sendto(struct.pack("d", time.monotonic()), (target, port))

    with socket.socket(family, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        server.bind((target, port))
        server.settimeout(0)
        sender = threading.Thread(target=send)
        sender.start()
        try:
            yield lambda: list(iter(lambda: _received(server), None))
        finally:
            stop.set()
            sender.join()


def _received(server):
    try:
        return struct.unpack("d", server.recv(99))[0]
    except BlockingIOError:
        return None


@contextmanager
def watched(firewall):
    """A monitor with a listener that does the loop's part. Yields what its checks found: (repair, enforced before it)."""
    found = []

    class Loop:
        def table_changed(self):
            repair = firewall.repair(time.time())
            found.append((repair, firewall.enforced()))

    monitor = Monitor(Loop())
    thread = threading.Thread(target=monitor.run)
    thread.start()
    try:
        wait_until(lambda: found)
        yield found
    finally:
        monitor.close()
        thread.join()


@contextmanager
def inside(name):
    """This thread, and what it starts, in a network namespace; the rest of the process stays where it is."""
    with Path("/proc/thread-self/ns/net").open() as home, Path(f"/run/netns/{name}").open() as there:
        _setns(there)
        try:
            yield
        finally:
            _setns(home)


def _setns(namespace):
    if _libc.setns(namespace.fileno(), _NEWNET):
        raise OSError(ctypes.get_errno(), "entering a network namespace failed: run the tests as root")


def ip(arguments):
    assert shutil.which("ip"), "the firewall's tests need `ip`: install iproute2"
    return subprocess.run(["ip", *arguments.split()], check=True, capture_output=True, text=True)


CABLES = itertools.count()


@pytest.fixture(scope="session")
def cable():
    """The names of the two namespaces: (ours, theirs)."""
    assert os.geteuid() == 0, "the firewall's tests make network namespaces: run them as root"
    # Not `wps-*`, which the bed clears away. Each package of tests that uses this fixture has a cable of its own.
    name = f"wpsfw-{os.getpid()}-{next(CABLES)}"
    ours, theirs = f"{name}a", f"{name}b"
    with ExitStack() as stack:
        for name in (ours, theirs):
            ip(f"netns add {name}")
            stack.callback(ip, f"netns delete {name}")
        ip(f"link add wire netns {ours} type veth peer name wire netns {theirs}")
        for name, addresses in (
            (ours, [f"{HOST4}/24", f"{HOST6}/64"]),
            (theirs, [f"{ROUTER4}/24", f"{ROUTER6}/64", *THEIRS]),
        ):
            for address in addresses:
                ip(f"-n {name} address add {address} dev wire" + (" nodad" if ":" in address else ""))
            ip(f"-n {name} link set lo up")
            ip(f"-n {name} link set wire up")
        ip(f"-n {ours} route add default via {ROUTER4}")
        ip(f"-n {ours} -6 route add default via {ROUTER6}")
        yield ours, theirs


@pytest.fixture
def host(cable):
    """Our host, in which the test runs, with no firewall yet and with servers on the ports 22, 80 and 8080."""
    ours, theirs = cable
    with ExitStack() as stack:

        def dial(source, port):
            with inside(theirs):
                family, target = (socket.AF_INET6, HOST6) if ":" in source else (socket.AF_INET, HOST4)
                client = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
                client.bind((source, 0))
                client.settimeout(0)
                client.connect_ex((target, port))
                return client

        stack.enter_context(inside(ours))
        _is_not_this_machine()
        for port in (22, 80, 8080):
            stack.enter_context(
                socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=100)
            )
        kernel = Kernel()
        stack.callback(kernel.close)
        host = Host(theirs, dial, kernel)
        host.nft("flush ruleset")
        # IPv6 on a new cable takes a moment.
        wait_until(lambda: len(host.lets_in(*THEIRS)) == len(THEIRS))
        yield host
        host.nft("flush ruleset")


def _is_not_this_machine():
    assert Path("/proc/thread-self/ns/net").readlink() != HOME, "never in the machine's own network namespace"
