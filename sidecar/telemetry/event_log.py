"""The event log: a line for each failure that counts or is ignored, each ban, also a restored one, unban and `allow`.

It is apart from the daemon's own log. Its lines are those of fail2ban.log, so that what reads that file (fail2ban's
filter `recidive`, logwatch, dashboards) reads this one; or JSON. It goes to standard output, to a file that is rotated
here, or to syslog. A thread of its own writes it, as with the daemon's log, so that a full disk delays no ban.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.events import Ban, Turn
from sidecar.core.text import printable
from sidecar.runtime.problems import Problem
from sidecar.telemetry.logging import BackgroundHandler, DescriptorHandler, Lines

# A file is rotated at this size, and this many older ones are kept.
MAX_FILE_BYTES: Final = 10 * 1024 * 1024
KEPT_FILES: Final = 5
STDOUT: Final = 1
# Without an error for this long, events are written again.
RECOVERED_AFTER_S: Final = 60.0


class EventFormat(enum.StrEnum):
    """How events are written."""

    FAIL2BAN = "fail2ban"
    JSON = "json"


class EventKind(enum.StrEnum):
    """What happened. The values stand in JSON."""

    FOUND = "found"
    IGNORED = "ignored"
    BAN = "ban"
    WOULD_BAN = "would_ban"
    UNBAN = "unban"
    RESTORED = "restored"
    ALLOW = "allow"
    DISALLOW = "disallow"


class Event(NamedTuple):
    """`at` is this host's unix time, and `logged_at` the log's own of a failure.

    `detail` is why a failure is ignored, a ban was made by hand or ended, or an address is allowed; the last is in no
    jail. Times become text in the thread that writes them.
    """

    kind: EventKind
    jail: str
    address: Address
    at: float
    container: str = ""
    detail: str = ""
    logged_at: float | None = None

    @property
    def remark(self) -> str:
        """The detail as text: of a failure its log's time, in this machine's time zone."""
        return self.detail if self.logged_at is None else _local(self.logged_at)


# The parts of fail2ban's line: the logger, the level and the words before and after the address.
_WORDS: Final = {
    EventKind.FOUND: ("fail2ban.filter", "INFO", "Found ", " - "),
    EventKind.IGNORED: ("fail2ban.filter", "INFO", "Ignore ", " by "),
    EventKind.BAN: ("fail2ban.actions", "NOTICE", "Ban ", ""),
    # `Ban` would have fail2ban's recidive ban an address that no jail bans.
    EventKind.WOULD_BAN: ("fail2ban.actions", "NOTICE", "Would ban ", ""),
    EventKind.UNBAN: ("fail2ban.actions", "NOTICE", "Unban ", ""),
    EventKind.RESTORED: ("fail2ban.actions", "NOTICE", "Restore Ban ", ""),
    EventKind.ALLOW: ("fail2ban.server", "INFO", "Allow ", " - "),
    EventKind.DISALLOW: ("fail2ban.server", "INFO", "Disallow ", " - "),
}


class NeverBanned(Protocol):
    """Knows why an address is never banned."""

    def reason(self, address: Address) -> str | None: ...


class Allowlists(Protocol):
    """Has the allowlist that is in force."""

    @property
    def allowlist(self) -> NeverBanned: ...


class EventLog:
    """A Sink that writes the events of each turn."""

    name = "event log"

    def __init__(
        self, handler: logging.Handler, event_format: EventFormat, allowlists: Allowlists, problem: Problem
    ) -> None:
        """`handler` writes a line, and may block. Its format is not used."""
        handler.setFormatter(logging.Formatter("%(message)s"))
        handler.handleError = self._failed  # type: ignore[method-assign,assignment]
        self._problem = problem
        self._failed_at = -math.inf
        self._writer = handler
        self._handler = BackgroundHandler(handler)
        self._line = json_line if event_format is EventFormat.JSON else fail2ban_line
        self._allowlists = allowlists

    @property
    def dropped(self) -> int:
        """How many lines are missing, because what they are written to was blocked."""
        return self._handler.dropped

    def apply(self, turn: Turn) -> None:
        if self._failed_at < time.monotonic() - RECOVERED_AFTER_S:
            self._problem.clear()
        self._write(tuple(self._events(turn)))

    def restored(self, bans: Iterable[Ban], now: float) -> None:
        """Write the bans of the last run."""
        self._write(
            tuple(Event(EventKind.RESTORED, ban.jail, ban.address, now, ban.origin_name) for ban in bans)
        )

    def close(self) -> None:
        """Write what waits, for a moment, and close the file."""
        self._handler.close()
        # What cannot be written was reported.
        with contextlib.suppress(OSError):
            self._writer.close()

    def _events(self, turn: Turn) -> Iterator[Event]:
        for hit in turn.hits:
            if not hit.success:
                yield Event(
                    EventKind.FOUND, hit.jail, hit.address, turn.at, hit.origin.name, logged_at=hit.at
                )
        for hit in turn.ignored:
            if reason := self._allowlists.allowlist.reason(hit.address):
                yield Event(EventKind.IGNORED, hit.jail, hit.address, turn.at, hit.origin.name, reason)
        for each in turn.decisions:
            if isinstance(each, Ban):
                kind = EventKind.WOULD_BAN if each.dry_run else EventKind.BAN
                yield Event(kind, each.jail, each.address, turn.at, each.origin_name, each.reason)
            else:
                yield Event(EventKind.UNBAN, each.jail, each.address, turn.at, detail=each.cause)
        for change in turn.allow_changes:
            if isinstance(change, Allow):
                yield Event(EventKind.ALLOW, "", change.address, turn.at, detail=printable(change.comment))
            else:
                yield Event(EventKind.DISALLOW, "", change.address, turn.at, detail=change.cause)

    def _failed(self, _: logging.LogRecord) -> None:
        """A line could not be written. In the writing thread, while the exception is handled."""
        self._failed_at = time.monotonic()
        self._problem.set(
            f"events are not written: {sys.exc_info()[1]}; correct WP_SIDECAR_EVENT_LOG, or make room"
        )

    def _write(self, events: tuple[Event, ...]) -> None:
        if events:
            lines = Lines(events, self._line)
            self._handler.handle(logging.LogRecord("events", logging.INFO, "", 0, "%s", (lines,), None))


def fail2ban_line(event: Event) -> str:
    """Return the line as fail2ban.log has it, in this machine's time zone."""
    logger, level, verb, before_detail = _WORDS[event.kind]
    detail = before_detail + event.remark if before_detail and event.remark else ""
    jail = f"[{event.jail}] " if event.jail else ""
    milliseconds = int(event.at % 1 * 1000)
    return (
        f"{_local(event.at)},{milliseconds:03d} {logger:<24}[{os.getpid()}]: {level:<7} {jail}"
        f"{verb}{event.address}{detail}"
    )


def json_line(event: Event) -> str:
    """Return the event as an object: `time` (UTC), `event`, `jail`, `address`, `container` and `detail`."""
    at = datetime.fromtimestamp(event.at, UTC).isoformat(timespec="milliseconds")
    return json.dumps(
        {
            "time": at,
            "event": event.kind,
            "jail": event.jail,
            "address": event.address,
            "container": event.container,
            "detail": event.remark,
        }
    )


def handler_for(target: str) -> logging.Handler:
    """Return what writes to this target: `stdout`, `syslog`, `syslog://host:port` (UDP) or a path.

    Raises OSError where the file cannot be opened.
    """
    if target == "stdout":
        return DescriptorHandler(STDOUT)
    # It loads pickle and more, and most hosts need none of it.
    from logging import handlers  # noqa: PLC0415

    if target == "syslog":
        return handlers.SysLogHandler("/dev/log", facility="daemon")
    if target.startswith("syslog://"):
        host, _, port = target.removeprefix("syslog://").rpartition(":")
        return handlers.SysLogHandler((host.strip("[]"), int(port)), facility="daemon")
    return handlers.RotatingFileHandler(
        Path(target),
        maxBytes=MAX_FILE_BYTES,
        backupCount=KEPT_FILES,
        encoding="utf-8",
        errors="backslashreplace",
    )


def _local(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
    except (OverflowError, ValueError, OSError):
        # A line of a log may name a year that no calendar has.
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(sys.maxsize >> 32))
