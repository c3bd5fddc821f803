"""JSON access logs -> requests. A line is flattened (`request.headers.User-Agent`); `named.py` knows the names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from itertools import chain
from typing import Any, Final

from sidecar.access import named
from sidecar.access.request import Request
from sidecar.access.when import DATE
from sidecar.access.wrappers import ANSI

MAX_DEPTH: Final = 4
# Apache and nginx without `escape=json` write `\x22`, which is not JSON.
_HEX = re.compile(r"\\x([0-9A-Fa-f]{2})")
# A key and a plain value, for lines that are not JSON for another reason, such as `"upstream_time": -`. An object is
# entered, and left: `{` and `}` are kept apart.
_PAIR = re.compile(
    r'(?<!\\)"(?P<name>(?:[^"\\]|\\.)*+)"\s*:\s*(?:(?P<open>\{)|"(?P<text>(?:[^"\\]|\\.)*+)"|(?P<bare>[^",{}\[\]\s]+))'
    r"|(?P<close>\})"
)
# What Caddy's console encoder writes before its JSON: date, level, logger, message. It is the encoder where the output
# is a terminal, as with `tty: true` in a compose file.
_CONSOLE: Final = re.compile(
    rf"{ANSI}(?P<date>{DATE}){ANSI}\t{ANSI}[A-Za-z]{{4,5}}{ANSI}\t"
    r"(?:http\.log\.access[\w.-]{0,128}\t)?[\w ]{1,64}\t(?=\{)"
)


class _Object(list[tuple[str, Any]]):
    """An object's names and values in their order, each as often as it is there."""


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """Any JSON object that has a client, a request and a status under usual names."""

    name: str = "JSON"
    min_lines: int = 1

    def of_log(self, line: str) -> JsonFormat:
        """Return the format of a log that has such lines, by a name for people."""
        return JsonFormat(_kind(line))

    def shows_format(self, _request: Request) -> bool:
        """Return whether a request, read by this format, shows that its log is of this format."""
        return True

    def requests(self, line: str, zone: tzinfo | None = None) -> tuple[Request, ...]:
        """Return the requests that the line may stand for; () where it is not one."""
        before = None if line.startswith("{") else _CONSOLE.match(line)
        if before is None and not line.startswith("{"):
            return ()
        date = () if before is None else (("ts", before["date"]),)
        fields = chain(date, _flattened(line[before.end() :] if before else line))
        return named.requests(fields, zone, is_cut=not line.rstrip().endswith("}"))


def _kind(line: str) -> str:
    """Return whose JSON it is, for people."""
    if '"ClientAddr"' in line or '"DownstreamStatus"' in line:
        return "Traefik JSON"
    if '"http.log.access' in line or not line.startswith("{"):
        return "Caddy JSON"
    if '"remote_addr"' in line:
        return "nginx JSON"
    return "JSON"


def _flattened(line: str) -> Iterator[tuple[str, str]]:
    for text in dict.fromkeys((line, _HEX.sub(r"\\u00\1", line))):
        try:
            whole = json.loads(text, object_pairs_hook=_Object)
        except (ValueError, RecursionError):
            continue
        yield from _walk(whole, "", MAX_DEPTH)
        return
    yield from _pairs(line)
    # HAProxy writes a client's `\` as it is, so that the quote behind it ends the text.
    if "\\" in line:
        yield from _pairs(line.replace("\\", "\\\\"))


def _walk(node: _Object, prefix: str, depth: int) -> Iterator[tuple[str, str]]:
    for key, value in node:
        if isinstance(value, _Object):
            if depth:
                yield from _walk(value, f"{prefix}{key}.", depth - 1)
        elif isinstance(value, list):
            # A header is a list of its values.
            texts = [each for each in value if isinstance(each, str)]
            if texts:
                yield f"{prefix}{key}", ", ".join(texts)
        elif isinstance(value, str | int | float):
            yield f"{prefix}{key}", str(value)


def _pairs(line: str) -> Iterator[tuple[str, str]]:
    path: list[str] = []
    for found in _PAIR.finditer(line):
        if found["close"]:
            del path[-1:]
        elif found["open"]:
            path.append(found["name"])
        else:
            name = ".".join([*path[-MAX_DEPTH:], found["name"]])
            yield name, found["bare"] if found["text"] is None else _text(found["text"])


def _text(escaped: str) -> str:
    try:
        return str(json.loads(f'"{_HEX.sub(chr(92) * 2 + "u00" + chr(92) + "1", escaped)}"'))
    except ValueError:
        return escaped
