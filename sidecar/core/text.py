r"""Text from outside, made printable, and text of ours, made public.

Log lines, container names and file names are written by others, attackers among them. Before any of it reaches a
terminal, our own log or an alert, whatever would move a cursor, start a new line or turn the text round becomes an
escape. `printable` is the only function that does so.

URLs in our settings contain secrets: passwords, and the whole path of a webhook. `redacted` is the only function that
leaves them out of messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# A URL up to the next blank or quote. A password may contain any other character, also where it must not. The scheme's
# length is bounded, or a long word would be searched again from each of its letters.
_URL: Final = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{0,30})://(?P<rest>[^\s\"'<>]*)")
# The path of a web address may be the secret, as in a webhook. The path of a socket is not a secret.
_WEB: Final = ("http", "https")
OMITTED: Final = "…"


def printable(text: str, limit: int | None = None) -> str:
    r"""Return the text on one printable line: control characters become `\x1b`, at most `limit` characters."""
    if limit is not None:
        text = text[:limit]
    if text.isprintable():
        return text
    escaped = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return escaped if limit is None else escaped[:limit]


def redacted(text: str, secrets: Iterable[str] = ()) -> str:
    """Return the text without these secrets, and without what may be one in a URL.

    Of a URL remain scheme, host and port, and the path where it is a file's.
    """
    # The longest first: one may be part of another.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, OMITTED)
    return _URL.sub(_public_url, text)


def _public_url(found: re.Match[str]) -> str:
    scheme, rest = found["scheme"], found["rest"]
    # Everything before the last `@`, as a password may contain `/`, `?`, `#` and `@` by mistake.
    secret, at, rest = rest.rpartition("@")
    shown, mark, _ = rest.partition("?")
    if scheme.lower().endswith(_WEB):
        shown, slash, path = shown.partition("/")
        mark = "/" if slash and path else mark
    return f"{scheme}://{OMITTED + at if secret else ''}{shown}{mark + OMITTED if mark else ''}"


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def closest_match(word: str, known: Iterable[str], similarity: float = 0.6) -> str | None:
    """Return the known word that is most similar to this one, by difflib's ratio; None: none is similar enough."""
    # The daemon hardly ever has to suggest a word.
    from difflib import get_close_matches  # noqa: PLC0415

    return next(iter(get_close_matches(word, list(known), 1, similarity)), None)
