"""What the lines of a log mean by their dates: the time zone of the log, and lines without a date that can be read.

A date that names no zone is in the configured one (`logtimezone`), else in this host's. Whether that is right shows in
lines that were just written: their dates are the time now, or off by the difference of two zones. A constant difference
is reported, with the setting to change. Dates that it makes look old are read in the zone that the log is in.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final, NamedTuple

from sidecar.core.events import Batch, Hit, Origin, Written
from sidecar.core.text import printable
from sidecar.filters.dates import Dates, has_zone
from sidecar.filters.time_zones import format_offset
from sidecar.runtime.problems import Problems

log = logging.getLogger(__name__)

# The time of lines in a log's past that have no date, or none that can be read.
UNDATED: Final = -math.inf
# A line that was written before we read it may be of a clock that is a little ahead.
MAX_AHEAD_S: Final = 60.0
# All time zones differ from UTC by a multiple of this (IANA's tzdata; since 1972).
ZONE_STEP_S: Final = 900
# From UTC-12 to UTC+14.
MAX_OFFSET_S: Final = 14 * 3_600
# A date of whole seconds is up to 1 s behind, a program may write its lines some seconds late, and clocks differ.
MAX_LATE_S, MAX_EARLY_S = 10, 2
# This many lines in a row, each a second or more after the one before, have to show the same zone. Lines that a program
# appends later, such as copies of logs from elsewhere, are by chance in 1 of 80 cases off like another zone's.
SAMPLES: Final = 3
SAMPLE_INTERVAL_S: Final = 1.0
# Logs come and go with their containers; the longest known are forgotten first.
MAX_LOGS: Final = 4_096
_PROBLEM: Final = "time zone of "


class LogTimes(NamedTuple):
    """How the lines of one batch are dated.

    `undated` is the time of a line without a date. `zone` is that of dates that name none (None: this host's);
    `is_detected` says that the log showed it, and that it is not what is configured.
    """

    undated: float
    zone: tzinfo | None
    is_detected: bool = False


@dataclass(slots=True)
class _LogZone:
    """What one log has shown so far. Offsets are seconds east of Greenwich; None: not known."""

    sampled_at: float = -math.inf
    candidate: int | None = None
    count: int = 0
    offset: int | None = None
    undated_reported: bool = False

    def add(self, offset: int | None) -> None:
        """Take what one more line shows."""
        self.count = self.count + 1 if offset == self.candidate else 1
        self.candidate = offset
        if self.count >= SAMPLES and offset is not None:
            self.offset = offset


class LogClocks:
    """The time zones of all logs. Any thread may ask; a log's batches stay in one thread."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._zones: dict[tuple[str, str], _LogZone] = {}

    def times(self, batch: Batch, now: float, zone: tzinfo | None, dates: Iterable[Dates]) -> LogTimes:
        """Return how the lines of this batch are dated, which have no transport's timestamps.

        `zone` is the configured one (None: this host's), `dates` are those of the filters that look at the log.
        """
        undated = UNDATED if batch.written is Written.EARLIER else now
        known = self._zones.get(key := _key(batch.origin))
        if batch.written is Written.JUST_NOW and (
            known is None or not 0 <= now - known.sampled_at < SAMPLE_INTERVAL_S
        ):
            known = known or self._new(key)
            known.sampled_at = now
            if (date := _last_date(batch.data, now, dates)) is not None:
                known.add(_offset(date, now))
                self._report(batch.origin, known, now, zone)
        # Dates only become later by this. Visitors may write dates into lines that have none, and must not be able to
        # make failures look older. Dates of a zone further east are in the future, and count as now anyway.
        if known is None or known.offset is None or known.offset >= _configured_offset(zone, now):
            return LogTimes(undated, zone)
        return LogTimes(undated, timezone(timedelta(seconds=known.offset)), is_detected=True)

    def report_undated(self, origin: Origin) -> None:
        """Log, once for each log, that lines in its past do not count."""
        known = self._zones.get(key := _key(origin)) or self._new(key)
        if not known.undated_reported:
            known.undated_reported = True
            log.warning(
                "%s had failures when it was first read that have no date, or one in the future: they do not count,"
                " because it is not known when they were written",
                printable(origin.name),
            )

    def continue_from(self, before: LogClocks) -> None:
        """Take over what was found out. What is wrong with it is reported again at the next line."""
        self._zones = before._zones
        self._problems.replace(_PROBLEM, {})

    def _new(self, key: tuple[str, str]) -> _LogZone:
        while len(self._zones) >= MAX_LOGS:
            self._zones.pop(next(iter(self._zones)), None)
        found = self._zones[key] = _LogZone()
        return found

    def _report(self, origin: Origin, known: _LogZone, now: float, zone: tzinfo | None) -> None:
        name, configured = printable(origin.name), _configured_offset(zone, now)
        if known.offset is None or known.offset == configured:
            self._problems.report(_PROBLEM + name, None)
            return
        self._problems.report(
            _PROBLEM + name,
            f"the dates in {name} are of another time zone than expected: {format_offset(known.offset)} and not "
            f"{format_offset(configured)}. New lines count at the right time, until a restart: "
            f"set `logtimezone = {format_offset(known.offset)}`, or the zone's name, in {_jails(origin)}",
            critical=False,
        )


def dated(hits: Iterable[Hit], now: float) -> list[Hit]:
    """Return the hits whose time is known, of lines in a log's past."""
    return [hit for hit in hits if UNDATED < hit.at <= now + MAX_AHEAD_S]


def _key(origin: Origin) -> tuple[str, str]:
    return origin.source, origin.name


def _jails(origin: Origin) -> str:
    names = ", ".join(f"[{name}]" for name in origin.jails)
    return names or "its jails"


def _last_date(data: bytes, now: float, dates: Iterable[Dates]) -> float | None:
    """Return the date of the last line, read as UTC; None if it has none, or one that names its zone."""
    line = data[data.rfind(b"\n", 0, len(data) - 1) + 1 : -1].decode(errors="replace")
    for each in dates:
        if found := each.find(line):
            return None if has_zone(found) else each.seconds(found, now, UTC)
    return None


def _offset(date: float, now: float) -> int | None:
    """Return the offset of the zone in which a line was written now, if that explains its date, read as UTC."""
    ahead = date - now
    offset = round((ahead + (MAX_LATE_S - MAX_EARLY_S) / 2) / ZONE_STEP_S) * ZONE_STEP_S
    explained = -MAX_LATE_S <= ahead - offset <= MAX_EARLY_S and abs(offset) <= MAX_OFFSET_S
    return offset if explained else None


def _configured_offset(zone: tzinfo | None, now: float) -> int:
    at = datetime.fromtimestamp(now, UTC).astimezone(zone)
    return round((at.utcoffset() or timedelta()).total_seconds())
