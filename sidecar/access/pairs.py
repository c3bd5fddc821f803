"""Access logs of names and values in text -> requests: LTSV (`host:203.0.113.7`, tabs) and logfmt (`status=200`)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from sidecar.access import named
from sidecar.access.escapes import unescaped
from sidecar.access.request import Request

_LTSV: Final = re.compile(r"[\w.-]+:[^\t]*(?:\t[\w.-]+:[^\t]*){2,}\s*")
_LOGFMT: Final = re.compile(r'[\w.@-]+=(?:"|[^\s=]*\s+[\w.@-]+=)')
_PAIR: Final = re.compile(r'([\w.@-]+)=(?:"((?:[^"\\]|\\.)*+)"|(\S*))')
# In LTSV `host` is the client, `vhost` the Host header, and these are the other labels (http://ltsv.org). A log with a
# label that is none of these may have the client there, and the Host header in `host`. Labels are the server's own.
_LTSV_CLIENT: Final = "host"
_LTSV_LABELS: Final = frozenset({
    "time", "ident", "user", "forwardedfor", "req", "method", "uri", "protocol", "status", "size", "reqsize", "referer",
    "ua", "vhost", "reqtime", "reqtime_microsec", "x-reqtime", "apptime", "cache", "runtime", "x-runtime",
})  # fmt: skip
_NO_CLIENT: Final = re.compile(
    r"host|forwarded|xff|upstream|server|backend|time|size|bytes|cache|ssl|tls|scheme|port|cookie"
)


@dataclass(frozen=True, slots=True)
class LtsvFormat:
    """Labelled tab-separated values. No server writes a tab of a client as it is."""

    name: str = "LTSV"
    min_lines: int = 1

    def of_log(self, _line: str) -> LtsvFormat:
        """Return the format of a log that has such lines."""
        return self

    def shows_format(self, _request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""
        return True

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not one."""
        return named.requests(_ltsv(line), zone) if "\t" in line and _LTSV.fullmatch(line) else ()


@dataclass(frozen=True, slots=True)
class LogfmtFormat:
    """Names and values with `=` between them.

    It needs no quotes, so a client could write such a line into a log whose long lines are cut. So one line is not
    enough to show that a log is of this format.
    """

    name: str = "logfmt"
    min_lines: int = 20

    def of_log(self, _line: str) -> LogfmtFormat:
        """Return the format of a log that has such lines."""
        return self

    def shows_format(self, _request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""
        return True

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not one."""
        return named.requests(_logfmt(line), zone) if _LOGFMT.match(line) else ()


def _ltsv(line: str) -> Iterator[tuple[str, str]]:
    fields = [
        (name, unescaped(value))
        for name, _, value in (each.partition(":") for each in line.strip().split("\t"))
    ]
    yield from fields
    labels = {name for name, _ in fields}
    if "vhost" in labels or all(name in _LTSV_LABELS or _NO_CLIENT.search(name) for name in labels):
        yield from (("client", value) for name, value in fields if name == _LTSV_CLIENT)


def _logfmt(line: str) -> Iterator[tuple[str, str]]:
    for found in _PAIR.finditer(line):
        yield found[1], found[3] if found[2] is None else unescaped(found[2])
