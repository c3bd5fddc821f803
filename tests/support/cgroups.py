"""A real memory limit: a cgroup of this kernel, v1 or v2."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def memory_limit(limit_bytes: int) -> Iterator[Sequence[str]]:
    """Limit the memory of a process. Yields what begins the arguments of its command."""
    v2 = (ROOT / "cgroup.controllers").exists()
    root = ROOT if v2 else ROOT / "memory"
    group = root / f"wp-sidecar-test-{os.getpid()}"
    if v2:
        (root / "cgroup.subtree_control").write_text("+memory")
    group.mkdir()
    try:
        (group / ("memory.max" if v2 else "memory.limit_in_bytes")).write_text(str(limit_bytes))
        yield "/bin/sh", "-c", f'echo $$ > {group}/cgroup.procs && exec "$@"', "limited"
    finally:
        group.rmdir()
