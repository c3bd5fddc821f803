"""A request target, in any spelling -> the path and query that the web server sees.

RFC 9112 section 3.2 has the forms of a target, RFC 3986 section 6.2.2 the normalisation. Servers differ in details
(nginx decodes `%2F`, Apache refuses it; Apache splits no `;parameters`). Where they do, the spelling that reaches more
is taken: a request that reached nothing is counted at most too often, against the client that sent it.
"""

from __future__ import annotations

import re
from functools import lru_cache

REMEMBERED_TARGETS = 4096
# A method and what stands behind it.
_METHOD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s+(?=\S)")
_VERSION = re.compile(r"(?i:HTTP)/[\d.]+")
_ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_ENCODED = re.compile(r"%([0-9A-Fa-f]{2})")
_MARK = re.compile(r"[?#]")
# Whole stretches of it: a call for each character of a long one would take a while.
_UNREADABLE = re.compile(r"[^!#$&-;=@-\[\]-~]+")
_UNREADABLE_BUT_BLANKS = re.compile(r"[^ !#$&-;=@-\[\]-~]+")


def request_line(text: str) -> tuple[str, str]:
    """Return the method and the target of a request line; no method and the whole text where it is not one.

    Between its parts it may have the blanks that lax servers take. HTTP/0.9 has no version.
    """
    # One expression for all of it would try each character of a long target for the target's end.
    method = _METHOD.match(text)
    if not method:
        return "", text
    target = text[method.end() :].rstrip()
    if len(parts := target.rsplit(None, 1)) == 2 and _VERSION.fullmatch(parts[1]):
        target = parts[0]
    return ("", text) if "\n" in target else (method[1], target)


@lru_cache(maxsize=REMEMBERED_TARGETS)
def split(target: str) -> tuple[str, str]:
    """Return the normalised path, always beginning with `/`, and the readable query of a request target.

    Percent-encoding is decoded once, as servers do; `//`, `/./` and `/../` are resolved, `;parameters` and fragments
    cut off, and of an absolute URI only the path is kept. `*` and `host:port` (OPTIONS, CONNECT) become paths.
    """
    path, query = _parts(target)
    return normalised(path), _readable_query(query)


@lru_cache(maxsize=REMEMBERED_TARGETS)
def paths(target: str) -> tuple[str, ...]:
    """Return the normalised paths that servers may see in a request target: nearly always one."""
    path = _parts(target)[0]
    found = [normalised(path), unresolved(path)]
    # A request has no fragment, so Go's servers and Varnish pass `#` on as part of the path.
    if "#" in target and "?" not in target.partition("#")[0]:
        absolute = _ABSOLUTE.match(target)
        whole = target[absolute.end() if absolute else 0 :].partition("?")[0]
        found += [normalised(whole), unresolved(whole)]
    # Varnish writes `http://`, the Host header as it came and the target: with a Host of `x?`, all behind it looks like
    # a query. So what may stand behind such a host is a path, too.
    if (absolute := _ABSOLUTE.match(target)) and "/" in target[absolute.end() + len(path) :]:
        found.append(unresolved(_MARK.sub("/", target[absolute.end() :])))
    return tuple(dict.fromkeys(found))


def _parts(target: str) -> tuple[str, str]:
    if absolute := _ABSOLUTE.match(target):
        target = target[absolute.end() :]
    path, _, query = target.partition("#")[0].partition("?")
    return path, query


def normalised(path: str) -> str:
    """Return a path decoded, without empty, `.` and `..` segments and without parameters."""
    return _resolved(path, climb=True)


def unresolved(path: str) -> str:
    """Return a path as `normalised`, but with the segments that a `..` behind them takes away.

    Servers differ in what a `..` takes away: whether `%2F` is a slash, `//` is one slash, and `..;x` is two dots. What
    was taken away may be what the server ran.
    """
    return _resolved(path, climb=False)


def _resolved(path: str, *, climb: bool) -> str:
    if "%" in path:
        path = _decoded(path)
    # By far the most paths are in normal form already.
    if "//" not in path and "/." not in path and ";" not in path and path.startswith("/"):
        return path
    segments: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if climb:
                del segments[-1:]
        # No server that runs PHP takes a parameter off before it resolves dots: `..;x` is a name.
        elif part not in ("", ".") and (name := part.partition(";")[0]):
            segments.append(name)
    folder = "/" if segments and parts[-1] in ("", ".", "..") else ""
    return f"/{'/'.join(segments)}{folder}"


def readable(text: str, *, blanks: bool = False) -> str:
    r"""Return text without blanks, quotes, `?`, `%`, `\\` or anything unprintable: these become `%XX` of its UTF-8.

    With `blanks`, blanks stay.
    """
    return (_UNREADABLE_BUT_BLANKS if blanks else _UNREADABLE).sub(_percent, text)


def _percent(found: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in found[0].encode(errors="surrogateescape"))


def _decoded(text: str) -> str:
    """Percent-decode once. Bytes that are not UTF-8 stay, as surrogates."""
    if text.isascii():
        raw = _ENCODED.sub(lambda found: chr(int(found[1], 16)), text).encode("latin-1")
        return raw.decode(errors="surrogateescape")
    parts = re.split(r"((?:%[0-9A-Fa-f]{2})+)", text)
    return "".join(_decoded(part) if index % 2 else part for index, part in enumerate(parts))


def _readable_query(query: str) -> str:
    if "%" not in query and "+" not in query:
        return readable(query)
    return "&".join("=".join(map(_readable_value, each.split("=", 1))) for each in query.split("&"))


def _readable_value(text: str) -> str:
    """Return a name or a value decoded; an `&` or `=` in it stays encoded, so that it begins no other parameter."""
    return readable(_decoded(text.replace("+", " "))).replace("&", "%26").replace("=", "%3D")
