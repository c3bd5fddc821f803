"""Waits for changes in folders, with the kernel's inotify(7) or without it.

`Inotify` and `Polling` have the same methods. `Polling` reports no changes, so its caller has to check the files after
each wait.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct
import threading
from collections import defaultdict
from typing import Final

MODIFY, MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED = 0x4000, 0x8000
ONLYDIR: Final = 0x0100_0000
# Events that change the names in a folder; and in addition, writes to its files.
NAMES: Final = MOVED_FROM | MOVED_TO | CREATE | DELETE
CONTENTS: Final = NAMES | MODIFY
# The watch number of an overflow: events were lost, of any watch.
NO_WATCH: Final = -1
_EVENT: Final = struct.Struct("iIII")
# About 1,500 events.
READ_EVENTS_BYTES: Final = 64 * 1024


class Inotify:
    """Watches folders. One thread waits; any thread may wake it."""

    # Not opened. `__del__` also runs if the constructor fails.
    _fd = _wake_fd = -1

    def __init__(self) -> None:
        """Raises OSError if the user has too many instances (fs.inotify.max_user_instances)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = _checked(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        for fd in (self._fd, self._wake_fd):
            self._poll.register(fd, select.POLLIN)

    def watch(self, folder: str, events: int) -> int:
        """Watch a folder for these events; return the number of its only watch. Raises OSError."""
        return _checked(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), events | ONLYDIR))

    def forget(self, watch: int) -> None:
        """End a watch. It may have ended already."""
        self._libc.inotify_rm_watch(self._fd, watch)

    def wait(self, seconds: float) -> dict[int, int]:
        """Return the events as bits by watch. They are empty after this many seconds, and after a wake."""
        self._poll.poll(seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)
        try:
            events = os.read(self._fd, READ_EVENTS_BYTES)
        except BlockingIOError:
            return {}
        return parse_events(events)

    def wake(self) -> None:
        """End the current wait, or the next one. Any thread may call this."""
        os.eventfd_write(self._wake_fd, 1)

    def __del__(self) -> None:
        """Close the descriptors. It cannot be earlier: another thread may still wake us, and numbers are reused."""
        for fd in {self._fd, self._wake_fd} - {-1}:
            os.close(fd)


class Polling:
    """Waits without inotify."""

    def __init__(self) -> None:
        self._woken = threading.Event()

    def watch(self, folder: str, events: int) -> int:  # noqa: ARG002
        return NO_WATCH

    def forget(self, watch: int) -> None: ...

    def wait(self, seconds: float) -> dict[int, int]:
        if self._woken.wait(seconds):
            self._woken.clear()
        return {}

    def wake(self) -> None:
        self._woken.set()


def parse_events(events: bytes) -> dict[int, int]:
    """Return the bits of `struct inotify_event`s by watch, without the names that follow each of them."""
    found: defaultdict[int, int] = defaultdict(int)
    at = 0
    while at < len(events):
        watch, bits, _, length = _EVENT.unpack_from(events, at)
        found[watch] |= bits
        at += _EVENT.size + length
    return dict(found)


def _checked(result: int) -> int:
    """Return the result of a system call. Raises OSError if it failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
