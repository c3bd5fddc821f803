"""How a transport wraps a line: where the line's own time is, and where its text begins.

A transport's timestamp is written by the engine or the daemon that took the line, never by a client. So it is the
event's time wherever there is one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Final, TypeAlias

from sidecar.core.events import Framing
from sidecar.filters import dates

# The engine writes all nine digits, always in UTC: `RFC3339NanoFixed` (moby, api/server/httputils/write_log_stream.go).
DOCKER_STAMP_CHARS: Final = len("2026-11-22T08:40:04.123456789Z")
_STAMP: Final = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"
_RFC3164: Final = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (?: \d|\d\d) \d\d:\d\d:\d\d"
_SECOND: Final = re.compile(rf"{_STAMP}\.", re.ASCII)
_ENDS_OF_STAMP: Final = frozenset({"Z ", "Z"})
_FRACTION_DIGITS: Final = 9
_DOCKER: Final = re.compile(rf"{_STAMP}\.\d{{9}}Z(?: |$)", re.ASCII)
_CRI: Final = re.compile(rf"({_STAMP})(\.\d+)?(Z|[+-]\d\d:\d\d) (?:stdout|stderr) [FP](?::\S*)? ?", re.ASCII)
_SYSLOG: Final = re.compile(
    rf"(?:<\d{{1,3}}>)?(?:1 ({_STAMP}(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)|-)|({_RFC3164}))(?= |$)", re.ASCII
)
# This many lines of a sample are looked at.
_SAMPLE_LINES: Final = 50
_SYSLOG_DATE: Final = dates.template(r"^%b %d %H:%M:%S")


Unwrapped: TypeAlias = tuple[float | None, str]
"""A line's unix time by its transport, if it has one, and its text."""
Unwrap: TypeAlias = Callable[[str, float, tzinfo | None], Unwrapped]


def unwrapper(framing: Framing) -> Unwrap:
    """Return the function `(line, now, zone)` that takes a line's transport time and its text apart.

    RFC 3164 has neither year nor zone: the year follows from `now`, and `zone` is the zone (None: the system's). A
    line without the framing's wrapping is all text and has no transport time.
    """
    return _UNWRAPPERS[framing]


def _bare(line: str, _now: float, _zone: tzinfo | None) -> Unwrapped:
    return None, line


def _docker(line: str, _now: float, _zone: tzinfo | None) -> Unwrapped:
    # Its second comes again in the next lines, and was checked; so only what is new is looked at.
    fraction = line[20:29]
    if (
        (second := _stamp(line[:20])) is None
        or line[29:31] not in _ENDS_OF_STAMP
        or not (fraction.isdecimal() and fraction.isascii() and len(fraction) == _FRACTION_DIGITS)
    ):
        return None, line
    return second + float(line[19:29]), line[DOCKER_STAMP_CHARS + 1 :]


def _cri(line: str, _now: float, _zone: tzinfo | None) -> Unwrapped:
    found = _CRI.match(line)
    if not found:
        return None, line
    second = _precise(found[1] + found[3])
    return None if second is None else second + float(found[2] or 0), line[found.end() :]


def _syslog(line: str, now: float, zone: tzinfo | None) -> Unwrapped:
    found = _SYSLOG.match(line)
    if not found:
        return None, line
    if found[2]:
        return _bsd(found[2], now, zone), line[found.end() :]
    return None if found[1] == "-" else _precise(found[1]), line[found.end() :]


_UNWRAPPERS: Final[Mapping[Framing, Unwrap]] = {
    Framing.NONE: _bare,
    Framing.DOCKER: _docker,
    Framing.CRI: _cri,
    Framing.SYSLOG: _syslog,
}


def recognise(sample: bytes) -> Framing:
    """Return the framing that most of a sample's lines have. A few lines that look like another decide nothing."""
    end = 0
    for _ in range(_SAMPLE_LINES):
        end = sample.find(b"\n", end) + 1
        if not end:
            end = len(sample)
            break
    lines = [line for line in sample[:end].decode(errors="replace").split("\n") if line.strip()]
    for framing, shape in ((Framing.CRI, _CRI), (Framing.DOCKER, _DOCKER), (Framing.SYSLOG, _SYSLOG)):
        if lines and sum(bool(shape.match(line)) for line in lines) * 2 > len(lines):
            return framing
    return Framing.NONE


@lru_cache(maxsize=4_096)
def _stamp(text: str) -> float | None:
    """Return the unix time of the first 20 characters of a Docker stamp; None if they are not a stamp."""
    return _precise(text[:19] + "+00:00") if _SECOND.fullmatch(text) else None


@lru_cache(maxsize=4_096)
def _precise(text: str) -> float | None:
    """Return the unix time in microseconds' precision; None if no calendar has it, as any text may look like one."""
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


@lru_cache(maxsize=4_096)
def _bsd_fields(text: str) -> re.Match[str] | None:
    return _SYSLOG_DATE.regex.match(text)


def _bsd(text: str, now: float, zone: tzinfo | None) -> float | None:
    found = _bsd_fields(text)
    return dates.seconds(found, now, zone) if found else None
