"""A mark in the state directory while the daemon runs, by which the next run knows that the kernel ended this one."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

# Another one after a reboot or a power cut, which end everything.
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")

KILLED: Final = (
    "the last run was killed and could not end by itself: most often by the kernel, for want of memory (`docker "
    "inspect -f '{{.State.OOMKilled}}' wp-sidecar`; then raise mem_limit), or by hand. Bans stayed in force"
)


class RunMark:
    """Says at the start whether the last run was killed. A Resource: a run that ends by itself removes the mark."""

    def __init__(self, state: Path, boot: Path = BOOT) -> None:
        self._path = state / "running"
        self._boot = boot
        # The store reports a directory that cannot be used.
        with contextlib.suppress(OSError):
            if self._path.is_file() and self._path.read_bytes() == boot.read_bytes():
                log.warning("%s", KILLED)

    def set(self) -> None:
        """Leave the mark: from now on only a kill ends this run without `close`. A start that fails leaves none."""
        with contextlib.suppress(OSError):
            self._path.write_bytes(self._boot.read_bytes())

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)
