"""Listens where syslog() writes: a datagram socket, shared into containers as /dev/log.

    containers ──▶ socket ──receives──▶ MessageQueue ──hands on──▶ batches
                            a thread, always              a thread, as fast as the loop takes them

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
import select
import socket
import stat
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sidecar.config.settings import Settings
from sidecar.core.events import Batch, Framing, Origin
from sidecar.core.jail import Jail
from sidecar.runtime import unix_socket
from sidecar.runtime.clock import Clock
from sidecar.runtime.supervisor import Service
from sidecar.sources.base import MAX_LINE_BYTES, Outputs
from sidecar.sources.factories import SourceConfig, SourceInputs

log = logging.getLogger(__name__)

BATCH_BYTES: Final = 64 * 1024
# What waits while the loop is behind: some 40,000 messages.
MAX_QUEUED_BYTES: Final = 4 * 1024 * 1024

# Between looks at the path, where others may put a socket of their own, and between tries to listen.
CHECK_S: Final = 1.0
RETRY_S: Final = 2.0

# What may come before the message: `<37>`, and RFC 3164's date or RFC 5424's version and date.
HEADER: Final = re.compile(
    rb"(?:<\d{1,3}>)?(?:1 (?:\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)|-)"
    rb"|(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?: \d|\d\d) \d\d:\d\d:\d\d)?(?= |$)|(?:<\d{1,3}>)?"
)
# A message is one line, whatever is in it: what would end the line becomes a blank.
_ONE_LINE: Final = bytes.maketrans(bytes([*range(9), *range(10, 32), 127]), b" " * 32)


class SyslogSource:
    """One socket, for all containers that share it. A Service.

    A process that calls syslog() waits while the socket is full. So one thread only empties it, while another hands
    on; if that one is too far behind, messages are dropped and no site waits.
    """

    name = "syslog"

    def __init__(
        self,
        path: Path,
        jails: tuple[str, ...],
        outputs: Outputs,
        *,
        clock: Clock = time.time,
        max_queued_bytes: int = MAX_QUEUED_BYTES,
    ) -> None:
        """Listen at `path` from now on. Where that cannot be, `run` tries again and again, and reports it."""
        self._outputs, self._clock, self._max_queued_bytes = outputs, clock, max_queued_bytes
        self._origin = Origin("syslog", str(path), "", jails)
        self._closed = threading.Event()
        self._problem = outputs.problems.problem(self.name)
        self._error: Exception | None = None
        self._socket = SyslogSocket(path)
        self._is_listening()

    def run(self) -> None:
        """Block until closed."""
        try:
            while not self._closed.is_set():
                if self._is_listening():
                    self._serve()
                else:
                    self._closed.wait(RETRY_S)
        finally:
            self._socket.close()

    def _is_listening(self) -> bool:
        """Listen, if that is possible now. Containers that share the folder may have put anything there."""
        try:
            self._socket.bind()
        except OSError as err:
            self._problem.set(f"messages to syslog are not read: {err.strerror}")
            return False
        self._problem.clear()
        return True

    def _serve(self) -> None:
        """Hand on what comes, until closed or until the socket is gone."""
        self._error, messages = None, MessageQueue(self._max_queued_bytes)
        handing_on = threading.Thread(
            target=self._hand_on, args=(messages,), name="syslog batches", daemon=True
        )
        handing_on.start()
        self._outputs.listener.log_opened(self._origin.name)
        try:
            while not self._closed.is_set() and not self._error and self._socket.check_path():
                self._receive(messages)
            # What was sent until now.
            self._receive(messages, wait=False)
        finally:
            messages.end()
            handing_on.join()
            self._outputs.listener.log_closed(self._origin.name)
            self._socket.close()
        if self._error:
            raise self._error

    def reconfigure(self, jails: tuple[str, ...]) -> None:
        """Have these jails look at what comes from now on. Any thread may call this."""
        self._origin = replace(self._origin, jails=jails)

    def close(self) -> None:
        self._closed.set()
        self._socket.wake()

    def _receive(self, messages: MessageQueue, *, wait: bool = True) -> None:
        """Wait for a message, then take all that are there, up to a batch."""
        lines: list[bytes] = []
        size = 0
        while size < BATCH_BYTES:
            try:
                data, truncated = self._socket.receive(wait=wait)
            except BlockingIOError:
                break
            wait = False
            if truncated:
                # Its end is missing, and with it what it says.
                self._outputs.listener.lines_truncated(self._origin.name)
                continue
            lines.append(line(data, self._clock()))
            size += len(lines[-1])
        if dropped := messages.put(lines):
            log.warning("dropped %d syslog messages: the loop is behind", dropped)
            self._outputs.listener.log_gap(self._origin.name)

    def _hand_on(self, messages: MessageQueue) -> None:
        try:
            while lines := messages.take():
                data = b"".join(lines)
                self._outputs.listener.batch_read(self._origin, len(lines), len(data), self._clock())
                self._outputs.emit(Batch(self._origin, data, Framing.SYSLOG), None)
        except Exception as err:  # noqa: BLE001  run() raises it, for the supervisor
            self._error = err
            self._socket.wake()


class SyslogSocket:
    """A datagram socket that anyone may write to. A socket that a former run left at its path is replaced."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before `bind`."""
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # The file that we made; None: not bound.
        self._file: unix_socket.FileIdentity | None = None
        self._check_at = 0.0

    def bind(self) -> None:
        """Listen at the path, unless it does. Raises OSError where another process does, or something else is there."""
        if self._file is not None:
            return
        self._socket.close()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._woken)
        try:
            _remove_abandoned(self._path)
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # Containers have many users, and what they send is text for filters.
            self._file = unix_socket.bind(self._socket, self._path, 0o666)
        except OSError as err:
            raise OSError(
                err.errno, f"{self._path}: no syslog socket can be there ({err.strerror or err})"
            ) from err

    def check_path(self) -> bool:
        """Look once a second whether writers still find this socket at the path. Return False if they do not."""
        now = time.monotonic()
        if now >= self._check_at:
            self._check_at = now + CHECK_S
            if unix_socket.identity(self._path) != self._file:
                log.warning("%s was removed or replaced, and is made again", self._path)
                return False
        return True

    def receive(self, *, wait: bool) -> tuple[bytes, bool]:
        """Return a message, and whether its end is missing. Raises BlockingIOError where there is none.

        With `wait`, one is waited for, but no longer than until the next look at the path.
        """
        if wait:
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            poll.register(self._woken, select.POLLIN)
            poll.poll(1000 * CHECK_S)
        data, _, flags, _ = self._socket.recvmsg(MAX_LINE_BYTES, 0, socket.MSG_DONTWAIT)
        return data, bool(flags & socket.MSG_TRUNC)

    def wake(self) -> None:
        """Have nobody wait in `receive` from now on, until the next `bind`."""
        os.eventfd_write(self._woken, 1)

    def close(self) -> None:
        """Close and remove the socket, so that writers learn at once that nobody listens."""
        if self._file is not None and unix_socket.identity(self._path) == self._file:
            self._path.unlink(missing_ok=True)
        self._file = None
        self._socket.close()


class MessageQueue:
    """Messages between the thread that receives them and the one that hands them on; bounded in bytes."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes, self._ended = max_bytes, 0, False
        self._lines: deque[bytes] = deque()
        self._changed = threading.Condition()

    def put(self, lines: list[bytes]) -> int:
        """Add messages, without waiting; return how many of the oldest were dropped for them."""
        dropped = 0
        with self._changed:
            self._lines.extend(lines)
            self._bytes += sum(map(len, lines))
            while self._bytes > self._max_bytes:
                self._bytes -= len(self._lines.popleft())
                dropped += 1
            self._changed.notify()
        return dropped

    def take(self) -> list[bytes]:
        """Wait for messages, and return a batch of them; none: there will be no more."""
        with self._changed:
            while not self._lines and not self._ended:
                self._changed.wait()
            taken: list[bytes] = []
            size = 0
            while self._lines and size < BATCH_BYTES:
                taken.append(self._lines.popleft())
                size += len(taken[-1])
            self._bytes -= size
            return taken

    def end(self) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify()


def line(data: bytes, at: float) -> bytes:
    """Return a message as one line, with the time it came at (unix seconds) instead of its header."""
    text = data.rstrip(b"\0\r\n").translate(_ONE_LINE)
    header = HEADER.match(text)
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="microseconds").encode()
    return b"1 %s %s\n" % (stamp, text[header.end() :].removeprefix(b" ") if header else text)


def _remove_abandoned(path: Path) -> None:
    """Remove a socket at which nobody listens. Raises OSError where somebody does, or it is something else."""
    try:
        # A link is something else, wherever it leads.
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "there is something else; remove it, or name another path")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise FileExistsError(errno.EADDRINUSE, "another process listens there, another wp-sidecar perhaps")


class SyslogSourceFactory:
    """What containers send to their /dev/log (WP_SIDECAR_SYSLOG)."""

    name = "syslog"
    reports_topology = False

    def is_needed(self, settings: Settings) -> bool:
        return settings.sources.syslog is not None

    def make(self, config: SourceConfig, inputs: SourceInputs) -> ConfiguredSyslog:
        path = config.settings.sources.syslog or Path()
        return ConfiguredSyslog(SyslogSource(path, jails_for_all(config.settings.jails), inputs.outputs))


@dataclass(frozen=True, slots=True)
class ConfiguredSyslog:
    """The one syslog source."""

    source: SyslogSource

    @property
    def services(self) -> tuple[Service, ...]:
        return (self.source,)

    def reconfigure(self, config: SourceConfig) -> None:
        self.source.reconfigure(jails_for_all(config.settings.jails))


def jails_for_all(jails: tuple[Jail, ...]) -> tuple[str, ...]:
    """Return the names of the jails that do not choose containers: these look at what any container sends."""
    return tuple(jail.name for jail in jails if not jail.containers)
