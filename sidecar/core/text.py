r"""Text from outside, made printable.

Log lines, container names and file names are written by others, attackers among them. Before any of it reaches a
terminal, our own log or an alert, whatever would move a cursor, start a new line or turn the text round becomes an
escape. This is the only function that does so.
"""

from __future__ import annotations


def printable(text: str, limit: int | None = None) -> str:
    r"""Return the text on one printable line: control characters become `\x1b`, at most `limit` characters."""
    if limit is not None:
        text = text[:limit]
    if text.isprintable():
        return text
    escaped = "".join(char if char.isprintable() else _escaped(char) for char in text)
    return escaped if limit is None else escaped[:limit]


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
