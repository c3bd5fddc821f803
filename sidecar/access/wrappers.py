r"""What transports put around a line, and the line without it.

`docker compose logs` and foreman write a name and a bar, syslog a header, Docker's json-file an object, and Docker,
kubelet and `docker logs -t` a time stamp. They may stand in each other.
"""

from __future__ import annotations

import json
import re
from typing import Final, NamedTuple

from sidecar.access.when import unix_time

MAX_WRAPPERS: Final = 4
_ANSI = r"(?:\x1b\[[\d;]*m)*"
# `wordpress-1  | `, forego's coloured `nginx.1     | `.
_COMPOSE = re.compile(rf"{_ANSI}[\w.-]{{1,128}}(?:[ ]+{_ANSI}[ ]*|{_ANSI}[ ]+)\|[ ]?{_ANSI}[ ]?")
_STAMP = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)) (?:std(?:out|err) [FP] )?"
)
# RFC 3164: `<190>Nov 30 06:33:20 web nginx: `, with or without priority and host. The tag ends with a colon.
_SYSLOG = re.compile(
    r"(?:<\d{1,3}>)?[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d (?:[\w.:-]{1,255} )?[\w./-]{1,64}(?:\[\d{1,10}\])?: ?"
)
# RFC 5424: `<190>1 2026-11-30T06:33:20Z web nginx 7 - - `.
_SYSLOG5424 = re.compile(
    r"(?:<\d{1,3}>)?1 (\S{1,40}) \S{1,255} \S{1,48} \S{1,128} \S{1,32} "
    r"(?:-|(?:\[(?:[^\]\\]|\\.){0,1024}\])+) ?(?:\ufeff)?"
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
    if found := _STAMP.match(text):
        return "time stamp", text[found.end() :], unix_time(found[1])
    if found := _SYSLOG5424.match(text):
        return "syslog", text[found.end() :], unix_time(found[1])
    if found := _SYSLOG.match(text):
        return "syslog", text[found.end() :], None
    if found := _COMPOSE.match(text):
        return "compose", text[found.end() :], None
    return "", text, None


def _json_file(text: str) -> tuple[str, str, float | None]:
    try:
        record = json.loads(text)
    except ValueError:
        return "", text, None
    line, time = record.get("log"), record.get("time")
    if not isinstance(line, str) or not isinstance(time, str):
        return "", text, None
    return "json-file", line.rstrip("\n"), unix_time(time)
