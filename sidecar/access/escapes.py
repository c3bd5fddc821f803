r"""Text as servers write it into their logs -> the text that a client sent."""

from __future__ import annotations

import re
from typing import Final

_ESCAPE: Final = re.compile(r'\\(?:x([0-9A-Fa-f]{2})|(["\\])|([nrtbvf]))')
_CONTROL: Final = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "v": "\v", "f": "\f"}
_HAPROXY_ESCAPE: Final = re.compile(r"#([0-9A-F]{2})")


def unescaped(text: str) -> str:
    r"""Return the text without nginx's and Apache's escapes: `\x22`, `\"`, `\\`, `\n`."""
    return text if "\\" not in text else _ESCAPE.sub(_character, text)


def from_haproxy(text: str) -> str:
    """Return the text without HAProxy's escapes: `#22`."""
    return text if "#" not in text else _HAPROXY_ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)


def beginning(text: str, chars: int) -> str:
    """Return what is enough of a text for this many characters of what was sent: servers write up to four for one."""
    return text[: 4 * chars]


def _character(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return found[2] or _CONTROL[found[3]]
