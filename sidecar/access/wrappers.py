r"""What transports put around a line, and the line without it.

`docker compose logs` and foreman write a name and a bar, `kubectl logs --prefix` a pod, syslog a header, Docker's
json-file an object, and Docker, kubelet and `docker logs -t` a time stamp. They may stand in each other.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

from sidecar.access.when import unix_time

MAX_WRAPPERS: Final = 4
ANSI: Final = r"(?:\x1b\[[\d;]*m)*"
# `wordpress-1  | `, forego's coloured `nginx.1     | `, foreman's `06:33:20 web.1  | `. An address before a bar is the
# client, in a log with bars.
_COMPOSE = re.compile(
    rf"{ANSI}(?:\d\d:\d\d:\d\d )?(?!\d{{1,3}}(?:\.\d{{1,3}}){{3}}[ |])[\w.@-]{{1,128}}"
    rf"(?:[ ]+{ANSI}[ ]*|{ANSI}[ ]+)\|[ ]?{ANSI}[ ]?"
)
# `kubectl logs --prefix`
_KUBECTL = re.compile(r"\[pod/[\w.-]{1,253}/[\w.-]{1,253}\] ")
_STAMP = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?:std(?:out|err) [FP] )?"
)
_HOSTNAME = r"[\w.:-]{0,254}[\w.-]"
_TAG = r"[\w./-]{1,64}(?:\[\d{1,10}\])?:(?: |$)"
# As rsyslog writes files since Debian 12: `2026-11-30T06:33:20.123456+00:00 web nginx[7]: `. An address there is the
# client of a log that begins with a date, and a user name behind it may end with a colon.
# `journalctl -o short-iso` has an offset without a colon.
_RSYSLOG = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) "
    rf"(?!\d{{1,3}}(?:\.\d{{1,3}}){{3}} |[0-9A-Fa-f]{{0,4}}:){_HOSTNAME} {_TAG}"
)
# RFC 3164: `<190>Nov 30 06:33:20 web nginx: `, with or without priority and host. The tag ends with a colon. Who reads
# syslog takes priority and date off before, and leaves the blank.
_SYSLOG = re.compile(rf"(?:(?:<\d{{1,3}}>)?[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d)? (?:{_HOSTNAME} )?{_TAG}")
# RFC 5424: `<190>1 2026-11-30T06:33:20Z web nginx 7 - - `, also without priority and date.
_SYSLOG5424 = re.compile(
    r"(?:(?:<\d{1,3}>)?1 (?P<at>\S{1,40}))? \S{1,255} \S{1,48} \S{1,128} \S{1,32} "
    r"(?:-|(?:\[(?:[^\]\\]|\\.){0,1024}\])+) ?(?:\ufeff)?"
)
_WRAPPERS: Final = (
    ("syslog", _RSYSLOG),
    ("time stamp", _STAMP),
    ("syslog", _SYSLOG),
    ("syslog", _SYSLOG5424),
    ("compose", _COMPOSE),
    ("kubectl", _KUBECTL),
)


class Unwrapped(NamedTuple):
    """A line without its wrappers."""

    text: str
    # Unix seconds of the outermost wrapper that has a whole date; None: none has.
    time: float | None = None
    # What was taken off, the outermost first.
    wrappers: tuple[str, ...] = ()


def unwrapped(line: str) -> Unwrapped:
    """Return the line that the server wrote."""
    text, time, names = line, None, list[str]()
    for _ in range(MAX_WRAPPERS):
        name, inner, at = _one(text)
        if not name:
            break
        names.append(name)
        text, time = inner, at if time is None else time
    return Unwrapped(text, time, tuple(names)) if names else Unwrapped(line)


def _one(text: str) -> tuple[str, str, float | None]:
    if text.startswith('{"log":'):
        return _json_file(text)
    for name, wrapper in _WRAPPERS:
        if found := wrapper.match(text):
            return name, text[found.end() :], _time(found)
    return "", text, None


def _time(found: re.Match[str]) -> float | None:
    at = found.groupdict().get("at")
    return unix_time(at) if at else None


def _json_file(text: str) -> tuple[str, str, float | None]:
    try:
        record = json.loads(text)
    except ValueError:
        return "", text, None
    line, time = record.get("log"), record.get("time")
    if not isinstance(line, str) or not isinstance(time, str):
        return "", text, None
    return "json-file", line.rstrip("\n"), unix_time(time)
