"""The source of log files that jails name in `logpath`.

Files are polled. inotify reports no changes on overlay and network file systems, where log files of containers are.
"""

from __future__ import annotations

import math
import os
import resource
import sys
import threading
import time
from collections.abc import Iterable, Mapping
from glob import glob, has_magic
from pathlib import PurePath
from typing import Final

from sidecar.core.events import Origin
from sidecar.sources.base import Outputs
from sidecar.sources.files.decoder import PlainLines
from sidecar.sources.files.follower import Follower
from sidecar.sources.files.rotated_path import RAISE_NOFILE, RotatedPath, printable_path

# A poll takes four system calls for each file.
POLL_INTERVAL_S: Final = 0.2
# How often patterns are matched against the file system.
GLOB_INTERVAL_S: Final = 10.0
# A quarter of all descriptors stays free for the CLI, the stores, the firewall and other sources.
SPARE_FRACTION: Final = 4


class Files:
    """Follows all files that jails name in `logpath`, every line exactly once. A Service with one thread."""

    name = "files"

    def __init__(
        self,
        paths: Mapping[str, tuple[str, ...]],
        outputs: Outputs,
        *,
        cursors: Mapping[str, bytes],
        interval_s: float = POLL_INTERVAL_S,
    ) -> None:
        """`paths`: path or pattern (`/var/log/*/error.log`) -> the names of the jails that check its lines.

        `cursors`: the stored cursors of the last run, by key.
        """
        self._paths, self._cursors = dict(paths), dict(cursors)
        self._outputs, self._interval_s = outputs, interval_s
        self._followers: dict[str, Follower] = {}
        # Paths without a follower, because there are too few descriptors.
        self._left_out: tuple[str, ...] = ()
        self._next_glob = -math.inf
        self._closed = threading.Event()

    def run(self) -> None:
        """Block until closed."""
        try:
            while not self._closed.is_set():
                if time.monotonic() >= self._next_glob:
                    self._next_glob = time.monotonic() + GLOB_INTERVAL_S
                    self._match_paths()
                if not self._step():
                    self._closed.wait(self._interval_s)
        finally:
            for follower in self._followers.values():
                follower.close()

    def reconfigure(self, paths: Mapping[str, tuple[str, ...]]) -> None:
        """Follow these paths for these jails from the next poll on. Any thread may call this."""
        self._paths = dict(paths)
        self._next_glob = -math.inf

    def close(self) -> None:
        self._closed.set()

    def _step(self) -> bool:
        """Do one step of each follower; return whether any has more to do."""
        more, now = False, time.time()
        for follower in self._followers.values():
            follower.files_changed = True
            more |= follower.step(now)
        return more

    def _match_paths(self) -> None:
        """Start and end followers. A path without a pattern has a follower even before the file exists."""
        paths = self._paths
        found: dict[str, dict[str, None]] = {}
        for pattern, jails in paths.items():
            for path in sorted(glob(pattern)) if has_magic(pattern) else [pattern]:  # noqa: PTH207  absolute
                found.setdefault(path, {}).update(dict.fromkeys(jails))
        # A file that a pattern would match may be missing because it is being rotated just now.
        for path in [path for path in self._followers if not _is_wanted(path, paths)]:
            self._leave(path)
        new = [path for path in found if path not in self._followers]
        room = max(0, _max_followers() - len(self._followers))
        for path in new[:room]:
            self._followers[path] = self._follower(path)
        for path in found.keys() & self._followers.keys():
            self._followers[path].describe(Origin("file", printable_path(path), "", tuple(found[path])))
        self._report_left_out(tuple(new[room:]))

    def _follower(self, path: str) -> Follower:
        state = self._cursors.pop(cursor_key(path), b"")
        return Follower(cursor_key(path), RotatedPath(path), PlainLines(), self._outputs, state)

    def _leave(self, path: str) -> None:
        follower = self._followers.pop(path)
        follower.close()
        follower.forget()
        # If a jail names the path again, reading continues here.
        if cursor := follower.cursor:
            self._cursors[cursor.key] = cursor.state

    def _report_left_out(self, left_out: tuple[str, ...]) -> None:
        """Report the paths without a follower."""
        before, self._left_out = self._left_out, left_out
        for path in set(before) - set(left_out) - self._followers.keys():
            self._outputs.listener.log_removed(printable_path(path))
        for path in set(left_out) - set(before):
            self._outputs.listener.log_unreadable(printable_path(path))
        self._outputs.problems.report("nofile", _too_many_files(left_out) if left_out else None)


def cursor_key(path: str) -> str:
    """Return the key of the path's cursor. A path that is not UTF-8 has its bytes in hexadecimal."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return f"file={os.fsencode(path).hex()}"
    return f"file:{path}"


def _max_followers() -> int:
    """Return how many files may be open here at once."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    # -1 means unlimited.
    return limit - limit // SPARE_FRACTION if limit > 0 else sys.maxsize


def _too_many_files(left_out: tuple[str, ...]) -> str:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return (
        f"{len(left_out)} logs are not followed, among them {printable_path(left_out[0])}: only {_max_followers()} "
        f"of the open files that the limit nofile allows ({limit}) are for logs. {RAISE_NOFILE}"
    )


def _is_wanted(path: str, paths: Iterable[str]) -> bool:
    """Return whether this is one of the paths, or would be matched by one of the patterns if it existed."""
    return any(path == each or (has_magic(each) and PurePath(path).match(each)) for each in paths)
