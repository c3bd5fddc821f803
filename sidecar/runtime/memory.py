"""How much memory this container may use, and how much of it is used (cgroup v2 and v1)."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path
from typing import Final, NamedTuple

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUPS: Final = Path("/proc/self/cgroup")
# cgroup v1 writes "no limit" as a number near 2**63.
NO_LIMIT_BYTES: Final = 1 << 50

# How much the kernel prefers a process when it ends one for want of memory (proc(5)).
OOM_SCORE: Final = Path("/proc/self/oom_score_adj")
FIRST_TO_END: Final = "1000"


def end_before_others() -> None:
    """Have the kernel end this process, and those that it starts, before the daemon, if memory runs out."""
    # Without /proc nothing is lost but this preference.
    with contextlib.suppress(OSError):
        OOM_SCORE.write_text(FIRST_TO_END)


def give_back_free_memory() -> None:
    """Give the kernel back what is free between blocks in use, as a start leaves it; glibc gives back only the end."""
    # Other C libraries have no such function.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim:
        trim(0)


class MemoryUse(NamedTuple):
    """Bytes. `used` is without the page cache, which the kernel takes back before it ends a process."""

    used: int
    limit: int


class MemoryCgroup:
    """The files of the cgroup that limits this process; None where nothing does."""

    def __init__(self, limit: Path, stat: Path, key: str) -> None:
        """`key` is the line of `stat` with the bytes that are not page cache."""
        self._limit = limit
        self._stat = stat
        self._key = f"{key} "

    @classmethod
    def find(cls, root: Path = CGROUPS, own: Path = OWN_CGROUPS) -> MemoryCgroup | None:
        """Return the cgroup of this process, if it has a limit. It raises nothing."""
        for folder in _folders(root, own):
            v1, v2 = folder / "memory.limit_in_bytes", folder / "memory.max"
            found = (
                cls(v2, folder / "memory.stat", "anon")
                if v2.exists()
                else cls(v1, folder / "memory.stat", "total_rss")
            )
            if found.use():
                return found
        return None

    def use(self) -> MemoryUse | None:
        """Return what is used and what is allowed; None: there is no limit, or it cannot be read."""
        try:
            limit = int(self._limit.read_text())
            lines = self._stat.read_text().splitlines()
            used = next(int(line.removeprefix(self._key)) for line in lines if line.startswith(self._key))
        except (OSError, ValueError, StopIteration):
            # cgroup v2 writes "max" where there is no limit.
            return None
        return MemoryUse(used, limit) if limit < NO_LIMIT_BYTES else None


def _folders(root: Path, own: Path) -> list[Path]:
    """Return where the cgroup may be: by its path, as on a host, and at the root, as containers see their own."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        lines = []
    paths = {controllers: path.lstrip("/") for _, controllers, path in (line.split(":", 2) for line in lines)}
    found = [root / paths[""]] if "" in paths else []
    found += [
        root / "memory" / path for controllers, path in paths.items() if "memory" in controllers.split(",")
    ]
    return [*found, root, root / "memory"]
