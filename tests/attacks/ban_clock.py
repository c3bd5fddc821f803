"""When the kernel commits a ban of one address, by its own word.

The clock is a process of its own that runs before all others: on a busy machine a thread of ours could look at the time
too late, and answers after the ban would seem to be before it.

    python -m tests.attacks.ban_clock ADDRESS     prints a line when it listens, then the unix time of the ban
"""

from __future__ import annotations

import select
import socket
import sys
import time
from typing import Final, Self

from bench.heard import GROUP, added
from sidecar.firewall.netlink import NETFILTER
from tests.bed import Place

SO_RCVBUFFORCE: Final = 33
ROOM_BYTES: Final = 64 << 20
LISTENING: Final = "listening"
# SCHED_FIFO: no other process delays it.
FIRST_OF_ALL: Final = ("chrt", "--fifo", "50")


class BanClock:
    """Notes the time of a ban in a place. To be made in a thread that lasts as long as the clock."""

    def __init__(self, host: Place, address: str) -> None:
        argv = [*FIRST_OF_ALL, sys.executable, "-m", "tests.attacks.ban_clock", address]
        self._process = host.popen(argv, stdout=-1)
        assert self._process.stdout
        self._said = self._process.stdout
        if self._said.readline().strip() != LISTENING:
            raise RuntimeError("the clock does not run")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(5)

    def wait(self, seconds: float) -> float | None:
        """Return the unix time of the ban; None if there was none within this many seconds."""
        readable, _, _ = select.select([self._said], [], [], seconds)
        return float(self._said.readline()) if readable else None


def main(address: str) -> None:
    key = socket.inet_aton(address)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER) as listening:
        listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, ROOM_BYTES)
        listening.bind((0, GROUP))
        print(LISTENING, flush=True)  # noqa: T201
        while True:
            datagram = listening.recv(1 << 20)
            at = time.time()
            if key in added(datagram):
                print(at, flush=True)  # noqa: T201
                return


if __name__ == "__main__":
    main(sys.argv[1])
