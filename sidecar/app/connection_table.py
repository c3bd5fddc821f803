"""Reports that the kernel's table of connections is full: then it drops the first packet of every new one."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sidecar.runtime.problems import Problem

# Of the network namespace, which is the host's.
SETTINGS: Final = Path("/proc/sys/net/netfilter")
# Shares of the limit. At the first one the kernel has begun, or is about, to refuse connections.
FULL: Final = 0.95
ROOM: Final = 0.85


class ConnectionTable:
    """Looks how many connections the kernel tracks (`nf_conntrack`), as Docker has it do."""

    def __init__(self, problem: Problem, settings: Path = SETTINGS) -> None:
        self._problem = problem
        self._settings = settings

    def report(self, _now: float) -> None:
        try:
            count, most = (
                int((self._settings / f"nf_conntrack_{name}").read_text()) for name in ("count", "max")
            )
        except (OSError, ValueError):
            # No connections are tracked here.
            self._problem.clear()
            return
        # 0 is no limit.
        if most and count >= most * FULL:
            self._problem.set(_full(count, most))
        elif count < most * ROOM or not most:
            self._problem.clear()


def _full(count: int, most: int) -> str:
    return (
        f"the kernel tracks {count:,d} connections and at most {most:,d}: it refuses new ones, of visitors too. Bans "
        "are in force all the same, as packets of banned addresses never come so far. See `conntrack -S` and "
        "`conntrack -L` for whose they are, and raise `net.netfilter.nf_conntrack_max` on the host with `sysctl`"
    )
