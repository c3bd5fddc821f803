"""The kernel's word that something happened in a folder, and waiting without it."""

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
NAMES: Final = MOVED_FROM | MOVED_TO | CREATE | DELETE  # what changes a folder's list
CONTENTS: Final = NAMES | MODIFY
NOWHERE: Final = -1  # the watch that an overflow is told under: anything may have happened, anywhere
_EVENT: Final = struct.Struct("iIII")
_ROOM: Final = 64 * 1024  # bytes taken at once: some 1,500 events


class Inotify:
    """Folders that are watched. One thread waits; any may wake it."""

    _fd = _wakes = -1  # not opened

    def __init__(self) -> None:
        """Raises OSError: the kernel allows each user so many (fs.inotify.max_user_instances)."""
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._called(self._libc.inotify_init1(os.O_CLOEXEC | os.O_NONBLOCK))
        self._wakes = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._poll = select.poll()
        for fd in (self._fd, self._wakes):
            self._poll.register(fd, select.POLLIN)

    def watch(self, folder: str, what: int) -> int:
        """The watch's number; a folder has one, however often it is asked for. Raises OSError."""
        return self._called(self._libc.inotify_add_watch(self._fd, os.fsencode(folder), what | ONLYDIR))

    def forget(self, watch: int) -> None:
        """That it is gone already is fine."""
        self._libc.inotify_rm_watch(self._fd, watch)

    def wait(self, seconds: float) -> dict[int, int]:
        """What happened, by watch: its bits. Nothing, after so many seconds or when woken."""
        self._poll.poll(seconds * 1000)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wakes)
        try:
            events = os.read(self._fd, _ROOM)
        except BlockingIOError:
            return {}
        return parsed(events)

    def wake(self) -> None:
        os.eventfd_write(self._wakes, 1)

    def __del__(self) -> None:
        """Not before: a thread that wakes us must not meet the number of another file."""
        for fd in {self._fd, self._wakes} - {-1}:
            os.close(fd)

    def _called(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result


def parsed(events: bytes) -> dict[int, int]:
    """The kernel's `struct inotify_event`s, each followed by a name that nobody needs: bits by watch."""
    found: defaultdict[int, int] = defaultdict(int)
    at = 0
    while at < len(events):
        watch, bits, _, length = _EVENT.unpack_from(events, at)
        found[watch] |= bits
        at += _EVENT.size + length
    return dict(found)


class Polling:
    """The same without the kernel's help: whoever waits, waits, and looks for himself."""

    def __init__(self) -> None:
        self._wakes = threading.Event()

    def watch(self, folder: str, what: int) -> int:  # noqa: ARG002
        return NOWHERE

    def forget(self, watch: int) -> None: ...

    def wait(self, seconds: float) -> dict[int, int]:
        if self._wakes.wait(seconds):
            self._wakes.clear()
        return {}

    def wake(self) -> None:
        self._wakes.set()
