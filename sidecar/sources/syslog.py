"""Listens where syslog() writes: a datagram socket, shared into containers as /dev/log.

A message counts at the moment it comes. It comes at once, and what its header says is no better: the container's
local time, in whatever zone, without a year. There is no cursor: what is sent while nobody listens is lost, as with
every syslog daemon.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sidecar.core.events import Batch, Framing, Origin
from sidecar.sources.base import MAX_LINE_BYTES, Emit, LogListener, NullLogListener

log = logging.getLogger(__name__)

SIZE: Final = 64 * 1024  # bytes of a batch, more or less
HELD: Final = 4 * 1024 * 1024  # bytes that wait while the loop is behind: some 40,000 messages

# What may come before the message: `<37>`, and RFC 3164's date or RFC 5424's version and date.
HEADER: Final = re.compile(
    rb"(?:<\d{1,3}>)?(?:1 (?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)|-)"
    rb"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?: \d|\d\d) \d\d:\d\d:\d\d)?(?= |$)|(?:<\d{1,3}>)?"
)
# A message is one line, whatever is in it: what would end it becomes a blank.
_ONE_LINE: Final = bytes.maketrans(bytes([*range(9), *range(10, 32), 127]), b" " * 32)


class Syslog:
    """One socket, for all containers that share it. A Service.

    Whoever calls syslog() waits while the socket is full, so it is always emptied: by one thread that does nothing
    else, while another hands on. When that is too far behind, messages are given up rather than a site held up.
    """

    name = "syslog"

    def __init__(
        self,
        path: Path,
        jails: tuple[str, ...],
        emit: Emit,
        *,
        listener: LogListener | None = None,
        clock: Callable[[], float] = time.time,
        held: int = HELD,
    ) -> None:
        """Listen at `path` from now on. Raises OSError where that cannot be, or somebody listens there already."""
        self._path, self._emit, self._clock = path, emit, clock
        self._origin = Origin("syslog", str(path), "", jails)
        self._listener = listener or NullLogListener()
        self._held, self._closed = held, False
        self._failed: Exception | None = None
        self._socket = _bound(path)

    def run(self) -> None:
        """Block until closed."""
        if self._socket.fileno() < 0:  # it failed before, and is tried again
            self._socket = _bound(self._path)
        self._failed, waiting = None, _Waiting(self._held)
        hands = threading.Thread(target=self._hand_on, args=(waiting,), name="syslog hands on", daemon=True)
        hands.start()
        self._listener.log_opened(self._origin.name)
        try:
            while not self._closed and not self._failed:
                self._receive(waiting)
        finally:
            waiting.end()
            hands.join()
            self._listener.log_closed(self._origin.name)
            _removed(self._path, self._socket)
            self._socket.close()
        if self._failed:
            raise self._failed

    def reconfigure(self, jails: tuple[str, ...]) -> None:
        """These look at what comes from now on. Any thread may call this."""
        self._origin = replace(self._origin, jails=jails)

    def close(self) -> None:
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        """From now on nobody waits in the socket."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RD)

    def _receive(self, waiting: _Waiting) -> None:
        """Wait for a message, then take all that is there, up to a batch."""
        lines: list[bytes] = []
        size, flags = 0, 0
        while size < SIZE:
            try:
                data, _, cut, _ = self._socket.recvmsg(MAX_LINE_BYTES, 0, flags)
            except BlockingIOError:
                break
            flags = socket.MSG_DONTWAIT
            if not data and (self._closed or self._failed):
                break
            if cut & socket.MSG_TRUNC:  # its end is missing, and with it what it says
                self._listener.lines_truncated(self._origin.name)
                continue
            lines.append(line(data, self._clock()))
            size += len(lines[-1])
        if lost := waiting.put(lines):
            log.warning("%d syslog messages were given up: the loop is behind", lost)
            self._listener.log_gap(self._origin.name)

    def _hand_on(self, waiting: _Waiting) -> None:
        try:
            while lines := waiting.take():
                data = b"".join(lines)
                self._listener.batch_read(self._origin, len(lines), len(data), self._clock())
                self._emit(Batch(self._origin, data, Framing.SYSLOG), None)
        except Exception as err:  # noqa: BLE001  run() raises it, and the supervisor is told
            self._failed = err
            self._wake()


class _Waiting:
    """Messages between the thread that takes them and the one that hands them on; bounded in bytes."""

    def __init__(self, most: int) -> None:
        self._most, self._size, self._ended = most, 0, False
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()

    def put(self, lines: list[bytes]) -> int:
        """Never waits. How many of the oldest were given up for these."""
        lost = 0
        with self._changed:
            self._lines.extend(lines)
            self._size += sum(map(len, lines))
            while self._size > self._most:
                self._size -= len(self._lines.popleft())
                lost += 1
            self._changed.notify()
        return lost

    def take(self) -> list[bytes]:
        """Wait for messages, and take a batch of them; none: there will be no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._lines or self._ended)
            taken: list[bytes] = []
            size = 0
            while self._lines and size < SIZE:
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            self._size -= size
            return taken

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()


def line(data: bytes, at: float) -> bytes:
    """A message as one line with the time it came at (unix seconds) in its header's place."""
    text = data.rstrip(b"\0\r\n").translate(_ONE_LINE)
    header = HEADER.match(text)
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").encode()
    return b"1 %s %s\n" % (stamp, text[header.end() :].removeprefix(b" ") if header else text)


def _bound(path: Path) -> socket.socket:
    """A socket that anyone may write to. What a former run left there is replaced."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        _cleared(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        made.bind(str(path))
        path.chmod(0o666)  # containers' users are many, and what they send is text for filters
    except OSError as err:
        made.close()
        raise OSError(err.errno, f"{path}: no syslog socket can be there ({err.strerror or err})") from err
    return made


def _cleared(path: Path) -> None:
    """Away with a socket that nobody listens at. Raises OSError where somebody does, or it is something else."""
    if not path.exists():
        return
    if not path.is_socket():
        raise FileExistsError(errno.EEXIST, "there is something else; name another path")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as knocks:
        try:
            knocks.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise FileExistsError(errno.EADDRINUSE, "somebody listens there already, another wp-sidecar perhaps")


def _removed(path: Path, ours: socket.socket) -> None:
    """So that whoever writes is told at once that nobody listens."""
    with contextlib.suppress(OSError):
        if ours.getsockname() == str(path):
            os.unlink(path)  # noqa: PTH108
