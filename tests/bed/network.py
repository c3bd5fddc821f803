"""A small Internet: namespaces joined by a router, none with a way to the machine's own network.

    host --- inet (router) --- attacker1, attacker2, visitor

Documentation addresses may be in real use outside, so nothing here ever touches the machine's own namespace.
IPv6 is banned by /64, so everyone has a /64 of his own.
"""

import ctypes
import os
import subprocess
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

FOLDER = Path("/run/netns")
CLONE_NEWNET = 0x40000000
EACH = 5  # addresses of each client and family


@dataclass(frozen=True)
class HostAddress:
    """Where someone lives: a namespace, its addresses, the router's address on each of his networks."""

    name: str
    v4: tuple[str, ...]
    v6: tuple[str, ...]
    router: tuple[str, str]


def _client(name: str, number: int, prefix: str) -> HostAddress:
    v4 = tuple(f"203.0.113.{number}{k}" for k in range(1, EACH + 1))
    v6 = tuple(f"{prefix}::{number}{k}" for k in range(1, EACH + 1))
    return HostAddress(name, v4, v6, ("203.0.113.1", f"{prefix}::1"))


HOST = HostAddress("host", ("198.51.100.10",), ("2001:db8:100::10",), ("198.51.100.1", "2001:db8:100::1"))
CLIENTS = (
    _client("attacker1", 1, "2001:db8:bad:1"),
    _client("attacker2", 2, "2001:db8:bad:2"),
    _client("visitor", 3, "2001:db8:600d"),
)
ROUTER = "inet"


@dataclass
class Place:
    """One namespace: a host to run commands in, or to open connections from."""

    address: HostAddress
    prefix: str
    started: list[subprocess.Popen[str]] = field(default_factory=list, repr=False)

    @property
    def name(self) -> str:
        return f"{self.prefix}-{self.address.name}"

    @property
    def netns(self) -> Path:
        return FOLDER / self.name

    @property
    def v4(self) -> tuple[str, ...]:
        return self.address.v4

    @property
    def v6(self) -> tuple[str, ...]:
        return self.address.v6

    def command(self, argv: list[str]) -> list[str]:
        """The command that runs `argv` here."""
        return ["nsenter", f"--net={self.netns}", "--", *argv]

    def run(
        self,
        argv: list[str],
        *,
        check: bool = True,
        timeout: float = 60,
        text: str | None = None,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command here to its end; with `check`, one that fails raises with what it said."""
        done = subprocess.run(
            self.command(argv),
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=env,
            cwd=cwd,
            check=False,
        )
        if check and done.returncode:
            said = done.stderr.strip() or done.stdout.strip()
            raise RuntimeError(f"{' '.join(argv)} (exit {done.returncode}): {said}")
        return done

    def popen(self, argv: list[str], **options: object) -> subprocess.Popen[str]:
        """Starts a long running command here. The process is the command itself; it ends with the bed.

        Call this in a thread that lasts: the kernel ends the command with the thread that started it.
        """
        options.setdefault("text", True)
        command = self.command(["setpriv", "--pdeathsig=KILL", "--", *argv])
        process: subprocess.Popen[str] = subprocess.Popen(command, **options)  # type: ignore[call-overload]
        self.started.append(process)
        return process

    def within(self, function: Callable[[], T]) -> T:
        """Calls `function` in a thread that is here: the sockets it makes belong here for good."""
        result: list[T] = []
        error: list[BaseException] = []

        def call() -> None:
            try:
                _setns(self.netns)
                result.append(function())
            except BaseException as e:  # noqa: BLE001 - raised again below, in the caller's thread
                error.append(e)

        thread = threading.Thread(target=call, name=f"in {self.name}")
        thread.start()
        thread.join()
        if error:
            raise error[0]
        return result[0]

    def close(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.terminate()
        for process in self.started:
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream:
                    stream.close()
        self.started.clear()


def _setns(netns: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)  # os.setns() is Python 3.12
    fd = os.open(netns, os.O_RDONLY)
    try:
        if libc.setns(fd, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(netns))
    finally:
        os.close(fd)


def up(prefix: str) -> None:
    """Makes the namespaces, their links, addresses and routes."""
    names = [f"{prefix}-{a}" for a in (HOST.name, ROUTER, *(c.name for c in CLIENTS))]
    _ip(None, *(f"netns add {name}" for name in names))
    router, host = f"{prefix}-{ROUTER}", f"{prefix}-{HOST.name}"
    # A fresh host does not forward. Docker turns it on, and only then sets the policy of FORWARD to drop.
    _sysctl(host, "net.ipv4.ip_forward=0", "net.ipv6.conf.all.forwarding=0")
    _sysctl(router, "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    _ip(
        router,
        "link add br0 type bridge",
        *_addresses("br0", {c.router[0] for c in CLIENTS}, {c.router[1] for c in CLIENTS}),
        "link set br0 up",
        f"link add to-host type veth peer name wan0 netns {host}",
        *_addresses("to-host", HOST.router[:1], HOST.router[1:]),
        "link set to-host up",
    )
    _settle(host, "wan0", HOST)
    for client in CLIENTS:
        name = f"{prefix}-{client.name}"
        _ip(
            router,
            f"link add to-{client.name} type veth peer name eth0 netns {name}",
            f"link set to-{client.name} master br0 up",
        )
        _settle(name, "eth0", client)


def _settle(name: str, link: str, address: HostAddress) -> None:
    _ip(
        name,
        "link set lo up",
        *_addresses(link, address.v4, address.v6),
        f"link set {link} up",
        f"route add default via {address.router[0]}",
        f"route add ::/0 via {address.router[1]}",
    )


def _addresses(link: str, v4: Iterable[str], v6: Iterable[str]) -> list[str]:
    # nodad: an address that is still being probed for duplicates cannot be bound yet
    return [f"addr add {a}/24 dev {link}" for a in v4] + [f"addr add {a}/64 dev {link} nodad" for a in v6]


def down(prefix: str) -> None:
    """Removes the namespaces, whoever made them."""
    if FOLDER.exists():
        _ip(None, *(f"netns del {path.name}" for path in FOLDER.glob(f"{prefix}-*")))


def _ip(name: str | None, *lines: str) -> None:
    if not lines:
        return
    where = ["-n", name] if name else []
    done = subprocess.run(
        ["ip", *where, "-batch", "-"],
        input="\n".join(lines),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ip {' '.join(where)}: {done.stderr.strip()}")


def _sysctl(name: str, *settings: str) -> None:
    # sysctl writes where its own namespace is; `ip netns exec` would give it another /sys only
    subprocess.run(["nsenter", f"--net={FOLDER / name}", "sysctl", "-qw", *settings], check=True, timeout=30)
