"""Whether a search finds its expressions on this processor, tried on lines that were written to match them.

Vectorscan's loops differ between processors, and their faults depend on how long lines and matches are, and on where
they stand in the data. So the lines have many lengths, and each is searched alone and among others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from sidecar.filters import charsets, regex_tree
from sidecar.filters.regex_examples import usual_char
from sidecar.filters.regex_tree import Branch, Chars, Node, Nodes, Repeat, children
from sidecar.filters.search import ID_BITS, ID_MASK, Search

# How often more than needed something is repeated, and how many characters stand before and behind a match: around the
# 16, 32 and 64 bytes of vector registers.
STRETCHES: Final = (0, 1, 3, 15, 17, 33, 64, 130)
BEFORE: Final = (0, 1, 15, 16, 17, 31, 33, 63, 65)
BEHIND: Final = (0, 1, 16, 63)
# Lines of each expression in a batch, at least.
BATCH_LINES: Final = 16
# Kinds of characters that are tried for a class.
KINDS: Final = 4
# Lines between those with matches, in a batch.
_OTHERS: Final = (b"", b'198.51.100.7 - - "GET / HTTP/1.1" 200 7', b"x" * 61)
# Alternatives that are written one by one.
MAX_BRANCHES: Final = 64
# What stands for all characters beyond ASCII. A class that the prefilter writes for letters that equal ASCII letters in
# another case has it too.
_BEYOND_ASCII: Final = "\xb0"


def lost(search: Search, expressions: Sequence[bytes]) -> set[int]:
    """Return the places of the expressions that the search does not find in some line."""
    written = [[*texts(expression)] for expression in expressions]
    missed = {
        place
        for place, lines in enumerate(written)
        for line in _placed(lines, ends=expressions[place].endswith(b"$"))
        if all(match & ID_MASK != place for match in search.matches(line))
    }
    return missed.union(_lost_in_batch(search, written))


def texts(expression: bytes) -> list[bytes]:
    """Return texts of several lengths that an expression of the prefilter matches."""
    # Each byte is a character of Latin-1.
    nodes = regex_tree.parse_text(expression.decode("latin-1"))
    branches = [len(node.branches) for node in regex_tree.walk(nodes) if isinstance(node, Branch)]
    turns = range(max(len(STRETCHES), min(MAX_BRANCHES, max(branches, default=0))))
    written = (_text(nodes, turn).encode("latin-1") for turn in turns)
    return [text for text in dict.fromkeys(written) if b"\n" not in text]


def _text(nodes: Nodes, turn: int, *, repeated: bool = False) -> str:
    """Return one text; its alternatives, lengths and characters depend on the turn. `repeated`: inside of a repeat."""
    return "".join(_node(node, turn, repeated=repeated) for node in nodes)


def _node(node: Node, turn: int, *, repeated: bool) -> str:
    match node:
        case Chars():
            return node.literal or _char(node, turn % KINDS)
        case Repeat(least, most, body):
            stretch = 0 if repeated else STRETCHES[turn % len(STRETCHES)]
            return _text(body, turn, repeated=True) * int(min(least + stretch, most))
    inner = children(node)
    return _text(inner[turn % len(inner)], turn, repeated=repeated) if inner else ""


@lru_cache(maxsize=1_024)
def _char(chars: Chars, kind: int) -> str:
    """Return a character that is usual in logs, or for an odd kind one that is not."""
    accepts = chars.accepts & ~charsets.NEWLINE
    if accepts & charsets.NON_ASCII and (kind == KINDS - 1 or accepts == charsets.NON_ASCII):
        return _BEYOND_ASCII
    codes = charsets.ascii_codes(accepts)
    if not codes:
        # It accepts a newline only, which is in no line.
        return "\n"
    return chr(codes[-1]) if kind % 2 else usual_char(chars)


def _placed(lines: Sequence[bytes], *, ends: bool) -> Iterator[bytes]:
    """Yield each text at several places of a line, with and without a newline. `ends`: a match ends the line."""
    for i, text in enumerate(lines):
        for j, before in enumerate(BEFORE):
            behind = 0 if ends else BEHIND[(i + j) % len(BEHIND)]
            line = b"x" * before + text + b"x" * behind
            yield line if (i + j) % 2 else line + b"\n"


def _lost_in_batch(search: Search, written: Sequence[Sequence[bytes]]) -> Iterator[int]:
    """Yield the places of the expressions that are not found in some line among others."""
    lines = [
        (place, b"x" * BEFORE[(place + i + j) % len(BEFORE)] + text)
        for place, each in enumerate(written)
        for i, text in enumerate(each)
        for j in range(max(1, BATCH_LINES // len(each)))
    ]
    data = b"".join(
        line + b"\n"
        for line in chain.from_iterable(
            (_OTHERS[i % len(_OTHERS)], line) for i, (_, line) in enumerate(lines)
        )
    )
    matches = iter(search.matches(data))
    match, end = next(matches, -1), 0
    for i, (place, line) in enumerate(lines):
        start = end + len(_OTHERS[i % len(_OTHERS)]) + 1
        end = start + len(line) + 1
        found = set()
        while match >= 0 and match >> ID_BITS <= end:
            if match >> ID_BITS > start:
                found.add(match & ID_MASK)
            match = next(matches, -1)
        if place not in found:
            yield place
