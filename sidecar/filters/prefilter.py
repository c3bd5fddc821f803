"""A Python regular expression -> a weaker one that Hyperscan can search whole batches of bytes for.

Wherever the expression matches a line, the weaker one matches some of that line's bytes; so lines that it does not find
need not be looked at. It is made from the parsed expression:

- it may begin anywhere: `^`, word bounds and whatever may be empty at the beginning or the end are left out;
- what Hyperscan has not is left out (assertions) or becomes "anything" (back-references);
- a class that accepts a character beyond ASCII accepts its one to four bytes, valid UTF-8 or not;
- nothing reaches over a newline;
- `re` sees the line with its date cut out, Hyperscan sees it whole: wherever the cut may be, anything may stand.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found]  # the parser is stable, but has no public name
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from math import inf
from operator import or_
from typing import Any, Final

from sidecar.filters.dates import Dates, Template

ANYTHING: Final = rb"[^\n]*"
MANY: Final = 64  # a repeat allowed this often is as good as unlimited here, and cheaper

# Sets of characters are bits of an int: 0-127 for ASCII, 128 for all the others together.
HIGH: Final = 1 << 128
ALL: Final = (1 << 129) - 1
_NEWLINE: Final = 1 << 10


def _bits(characters: Iterable[str]) -> int:
    return reduce(or_, (1 << ord(c) for c in characters), 0)


_ASCII: Final = [chr(i) for i in range(128)]
WORD: Final = _bits(c for c in _ASCII if c.isalnum() or c == "_") | HIGH
OTHER: Final = _bits(c for c in _ASCII if not (c.isalnum() or c == "_")) | HIGH
IN_DATES: Final = _bits(c for c in _ASCII if c.isalnum() or c in " :/.,+-@<>_")
_DIGIT: Final = _bits("0123456789")
_SPACE: Final = _bits(c for c in _ASCII if c.isspace())  # \x1c-\x1f among them, as `\s` has it
_SWAPPED: Final = {
    "k": b"\xe2\x84\xaa",
    "s": b"\xc5\xbf",
    "i": b"\xc4[\xb0\xb1]",
}  # what else is k, s, i in any case
SOLID: Final = 3  # literal characters in a row that are worth searching for
MOST_BRANCHES: Final = (
    32  # alternatives that become expressions of their own; with more, compiling takes long
)
Node = tuple[Any, Any]  # of the parser: what it is, and what it holds


@dataclass(frozen=True, slots=True)
class Cut:
    """Where one kind of date may be cut out: between which characters."""

    before: int  # the characters that may stand left of it
    after: int
    within: float = inf  # at most so many characters are left of it


Cuts = tuple[Cut, ...]
ANYWHERE: Final = Cut(ALL, ALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the weaker expression: its text, what it may begin and end with, how many characters it must have."""

    text: bytes
    first: int
    last: int
    least: int
    leads: int = 0  # literal characters that whatever it matches begins with
    literal: bool = False  # and that is all of it
    solid: bool = False  # whatever it matches has a few literal characters in a row


_NOTHING: Final = Piece(b"", 0, 0, 0)
_GAP: Final = Piece(ANYTHING, ALL, ALL, 0)
_STARTS: Final = {op.AT_BEGINNING, op.AT_BEGINNING_STRING}
_ENDS: Final = {op.AT_END, op.AT_END_STRING}
CHARACTERS: Final = {op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY}
REPEATS: Final = {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}


def weakened(pattern: re.Pattern[str], cuts: Cuts, *, whole: bool = True) -> tuple[bytes, ...]:
    """What Hyperscan is to search for (bytes, MULTILINE), any of these; none if it would find nearly every line anyway.

    `whole`: the expression sees the whole line, so that its `$` is the line's end; with `prefregex` it does not.
    Alternatives at the beginning become expressions of their own, in each of which Hyperscan finds its literal text.
    """
    if ANYWHERE in cuts:
        return ()
    parsed = _flat(parser.parse(pattern.pattern, pattern.flags))
    nodes = [node for node in parsed if node != (op.AT, op.AT_BEGINNING)]
    ends = whole and bool(nodes) and nodes[-1][0] is op.AT and nodes[-1][1] in _ENDS
    weak = _Weak(cuts)
    found = [weak.text(one, pattern.flags, ends=ends) for one in weak.alternatives(nodes, pattern.flags)]
    return tuple(dict.fromkeys(found)) if all(found) else ()


def _flat(nodes: Iterable[Any]) -> Iterator[Any]:
    """The same without groups around what stands there once, so that more of a beginning can be left out."""
    for kind, value in nodes:
        if kind is op.ATOMIC_GROUP:
            yield from _flat(value)
        elif kind is op.SUBPATTERN and not value[1] and not value[2]:
            yield from _flat(value[3])
        else:
            yield kind, value


def _useless(pieces: Sequence[Piece]) -> int:
    """How many pieces at the beginning to leave out: those that may be empty, and those that only make it slower.

    What stands before the first few literal characters is decided by `re` just as well, and Hyperscan is quickest at
    literals.
    """
    if (solid := _solid(pieces)) is not None:
        return solid
    long = next((i for i, piece in enumerate(pieces) if piece.least >= SOLID), None)
    return long if long is not None else next((i for i, p in enumerate(pieces) if p.least), len(pieces))


def _solid(pieces: Sequence[Piece]) -> int | None:
    """Where the first few literal characters in a row are."""
    run, start = 0, 0
    for i, piece in enumerate(pieces):
        if run + piece.leads >= SOLID:
            return start
        if piece.solid:
            return i
        run, start = (run + piece.leads, start) if piece.literal else (0, i + 1)
    return None


@dataclass(slots=True)
class _Weak:
    cuts: Cuts

    def cut(self, left: int, right: int, before: int) -> bool:
        """May a date be cut out between such characters, at least `before` characters into the line?"""
        return any(left & cut.before and right & cut.after and before <= cut.within for cut in self.cuts)

    def alternatives(self, nodes: list[Node], flags: int, most: int = MOST_BRANCHES) -> list[list[Node]]:
        """The same nodes, but once for each alternative where those stand at what is searched for first."""
        pieces = self.placed(nodes, flags, last=True, before=0)
        useless = _useless([piece for _, piece in pieces])
        at = pieces[useless][0] if useless < len(pieces) else -1
        if at < 0 or nodes[at][0] is not op.BRANCH or not 1 < len(nodes[at][1][1]) <= most:
            return [nodes]
        branches = nodes[at][1][1]
        return [
            one
            for branch in branches
            for one in self.alternatives(
                [*nodes[:at], *_flat(branch), *nodes[at + 1 :]], flags, most // len(branches)
            )
        ]

    def text(self, nodes: Sequence[Node], flags: int, *, ends: bool) -> bytes:
        """What Hyperscan is given for these, nothing if it would find any line; `ends`: `$` is the last of them."""
        pieces = self.pieces(nodes, flags, last=True, before=0)
        del pieces[: _useless(pieces)]
        while pieces and not ends and not pieces[-1].least:
            del pieces[-1]
        if not ends or not pieces:
            return _joined(pieces).text
        found = _joined(pieces)
        gap = [_GAP] * self.cut(found.last, ALL, found.least)
        return _joined([*pieces, *gap]).text + rb"\r*$"

    def pieces(self, nodes: Sequence[Any], flags: int, *, last: bool, before: int) -> list[Piece]:
        return [piece for _, piece in self.placed(nodes, flags, last=last, before=before)]

    def placed(self, nodes: Sequence[Any], flags: int, *, last: bool, before: int) -> list[tuple[int, Piece]]:
        """Each node's piece with its place, and room for a date where one may have been cut out.

        `before`: characters so far; `last`: nothing that takes a character follows.
        """
        made: list[tuple[int, Piece]] = []
        ends = 0
        for i, node in enumerate(nodes):
            piece = self.node(node, flags, last=last and not _consumes(nodes[i + 1 :]), before=before)
            if not piece.text:
                continue
            if made and self.cut(ends, piece.first, before):
                made.append((-1, _GAP))
            made.append((i, piece))
            ends = piece.last | (0 if piece.least else ends)
            before += piece.least
        return made

    def sequence(self, nodes: Iterable[Any], flags: int, *, last: bool, before: int = 0) -> Piece:
        return _joined(self.pieces(list(nodes), flags, last=last, before=before))

    def node(self, node: Node, flags: int, *, last: bool, before: int) -> Piece:
        kind, value = node
        if kind in CHARACTERS:
            return self.repeated(node, (1, 1), flags, last=last, before=before)
        if kind in REPEATS:
            least, most, body = value
            if len(body) == 1 and body[0][0] in CHARACTERS:
                return self.repeated(body[0], (least, most), flags, last=last, before=before)
            return self.group_repeated(
                self.sequence(body, flags, last=last, before=before), least, most, before
            )
        if kind in {op.SUBPATTERN, op.ATOMIC_GROUP}:
            _, added, removed, body = value if kind is op.SUBPATTERN else (None, 0, 0, value)
            return self.sequence(body, (flags | added) & ~removed, last=last, before=before)
        if kind in {op.BRANCH, op.GROUPREF_EXISTS}:
            branches = [body or () for body in value[1:]] if kind is op.GROUPREF_EXISTS else value[1]
            return _either([self.sequence(branch, flags, last=last, before=before) for branch in branches])
        return (
            _GAP if kind is op.GROUPREF else _NOTHING
        )  # assertions take no characters; without them more is found

    def group_repeated(self, body: Piece, least: int, most: int, before: int) -> Piece:
        if not body.text or not most:
            return _NOTHING
        if most == 1:
            return body if least else _optional(body)
        if self.cut(
            body.last, body.first, before
        ):  # a date between two of them: anything may follow the first
            body = _joined([body, _GAP])
            return body if least else _optional(body)
        times = _times(least, MANY + 1 if most > MANY else most)
        return Piece(b"(?:%b)%b" % (body.text, times), body.first, body.last, body.least * least)

    def repeated(self, node: Node, times: tuple[int, int], flags: int, *, last: bool, before: int) -> Piece:
        """One character class, this often."""
        (kind, value), (least, most) = node, times
        if not most:
            return _NOTHING
        if kind is op.LITERAL and least == most == 1 and value < 128 and flags & re.IGNORECASE:
            return _any_case(chr(value))
        taken = accepted(node, flags)
        if taken & _NEWLINE:
            least -= 1 if last and least else 0  # it may be the newline that `re` sees behind the line
            taken &= ~_NEWLINE
        literal = kind is op.LITERAL and value < 128
        one = Piece(_class(taken), taken, taken, 1, int(literal), literal)
        if (least, most) == (1, 1) and not taken & HIGH:
            return one
        if most > 1 and IN_DATES & ~taken and self.cut(taken, taken, before):
            return (
                _joined([Piece(one.text, taken, taken, least), _GAP])
                if least
                else _optional(_joined([one, _GAP]))
            )
        most = MANY + 1 if most > MANY else most * 4 if taken & HIGH else most
        return Piece(one.text + _times(least, most), taken, taken, least)


def _joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces one after the other."""
    if len(pieces) == 1:
        return pieces[0]
    text, first, last, least = b"", 0, 0, 0
    for piece in pieces:
        text += b"" if piece is _GAP and text.endswith(ANYTHING) else piece.text
        first |= piece.first if not least else 0
        last = piece.last | (0 if piece.least else last)
        least += piece.least
    run = next((i for i, piece in enumerate(pieces) if not piece.literal), len(pieces))
    leads = run + (pieces[run].leads if run < len(pieces) else 0)
    return Piece(text, first, last, least, leads, run == len(pieces), _solid(pieces) is not None)


def _either(pieces: Sequence[Piece]) -> Piece:
    text = b"|".join(piece.text for piece in pieces)
    first, last = (reduce(or_, (getattr(p, name) for p in pieces), 0) for name in ("first", "last"))
    return Piece(
        b"(?:%b)" % text,
        first,
        last,
        min(piece.least for piece in pieces),
        min(piece.leads for piece in pieces),
        solid=all(p.solid for p in pieces),
    )


def _optional(piece: Piece) -> Piece:
    return Piece(b"(?:%b)?" % piece.text, piece.first, piece.last, 0)


def _consumes(nodes: Sequence[Any]) -> bool:
    """Must at least one of these take a character?"""
    return any(_width(node) for node in nodes)


def _width(node: Node, which: int = 0) -> float:
    """How many characters a node takes: at least (0) or at most (1)."""
    try:
        width = int(parser.SubPattern(parser.State(), [node]).getwidth()[which])
    except (IndexError, TypeError):  # it refers to a group that stands elsewhere
        return inf if which else 0
    return inf if width > 4_096 else width


def _any_case(letter: str) -> Piece:
    lower = letter.lower()
    bits = _bits({lower, letter.upper()})
    if other := _SWAPPED.get(lower):
        return Piece(b"(?:%b|%b)" % (_class(bits), other), bits | HIGH, bits | HIGH, 1)
    return Piece(_class(bits), bits, bits, 1)


def accepted(node: Node, flags: int) -> int:
    """The characters that a literal, a class or `.` accepts."""
    kind, value = node
    if kind is op.ANY:
        return ALL if flags & re.DOTALL else ALL & ~_NEWLINE
    if kind is op.IN:
        negated = value[0][0] is op.NEGATE
        bits = reduce(or_, (_item(item, flags) for item in value if item[0] is not op.NEGATE), 0)
        bits = _cased(bits, flags)
        return (ALL & ~bits) | HIGH if negated else bits
    bits = _cased(_character(value), flags)
    return bits if kind is op.LITERAL else (ALL & ~bits) | HIGH


def _item(item: Node, flags: int) -> int:
    kind, value = item
    if kind is op.LITERAL:
        return _character(value)
    if kind is op.RANGE:
        low, high = value
        return _bits(map(chr, range(low, min(high, 127) + 1))) | (HIGH if high > 127 else 0)
    bits = {
        op.CATEGORY_DIGIT: _DIGIT | HIGH,
        op.CATEGORY_SPACE: _SPACE | HIGH,
        op.CATEGORY_WORD: WORD,
        op.CATEGORY_NOT_DIGIT: ALL & ~_DIGIT,
        op.CATEGORY_NOT_SPACE: ALL & ~_SPACE,
        op.CATEGORY_NOT_WORD: OTHER,
    }[value]
    return bits & ~HIGH if flags & re.ASCII and str(value).find("_NOT_") < 0 else bits


def _character(code: int) -> int:
    return 1 << code if code < 128 else HIGH


def _cased(bits: int, flags: int) -> int:
    if not flags & re.IGNORECASE:
        return bits
    if bits & HIGH:  # some letters beyond ASCII are k, s or i in another case
        bits |= _bits("kKsSiI")
    for letter in "abcdefghijklmnopqrstuvwxyz":
        pair = _bits({letter, letter.upper()})
        if bits & pair:
            bits |= pair | (HIGH if letter in _SWAPPED else 0)
    return bits


@lru_cache(maxsize=1_024)
def _class(bits: int) -> bytes:
    r"""As Hyperscan writes it, newline left out: `[\x30-\x39\x80-\xff]`."""
    wanted = [i for i in range(128) if bits >> i & 1 and i != 10] + (
        list(range(128, 256)) if bits & HIGH else []
    )
    if not wanted:
        return rb"\n"  # only a newline: never within a line
    if len(wanted) == 1:
        return re.escape(bytes(wanted))
    runs: list[list[int]] = []
    for code in wanted:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return b"[%b]" % b"".join(
        b"\\x%02x" % low if low == high else b"\\x%02x-\\x%02x" % (low, high) for low, high in runs
    )


def _times(least: int, most: int) -> bytes:
    if (least, most) == (1, 1):
        return b""
    if most > MANY:
        return {0: b"*", 1: b"+"}.get(least, b"{%d,}" % least)
    return b"?" if (least, most) == (0, 1) else b"{%d,%d}" % (least, most)


def cuts(dates: Dates) -> Cuts:
    """Between which characters these dates may be cut out; none for a filter that cuts no date."""
    return tuple({_cut(one) for one in dates.templates if one.text != "{NONE}"})


def _cut(one: Template) -> Cut:
    nodes = list(parser.parse(one.regex.pattern, one.regex.flags))
    at = next((i for i, node in enumerate(nodes) if node[0] is op.SUBPATTERN and node[1][0] == 1), None)
    if at is None:
        return ANYWHERE
    weak, flags = _Weak(()), one.regex.flags
    left, date, right = (
        weak.sequence(part, flags, last=False) for part in (nodes[:at], nodes[at : at + 1], nodes[at + 1 :])
    )
    if right.text:
        after = right.first if right.least else ALL
    else:
        ended = any(kind in {op.ASSERT, op.AT} for kind, _ in nodes[at + 1 :])
        after = OTHER if ended and not date.last & ~WORD else ALL
    within = sum(_width(node, 1) for node in nodes[:at]) if _starts(nodes) else inf
    if left.text:
        return Cut(left.last if left.least or within <= 2 else ALL, after, within)
    bound = within == 0 or any(node[0] is op.ASSERT_NOT and node[1][0] < 0 for node in nodes[:at])
    return Cut(OTHER if bound else ALL, after, within)


def _starts(nodes: Sequence[Any]) -> bool:
    """Does the expression begin with `^`, in a group or not?"""
    kind, value = nodes[0]
    return bool(kind is op.AT and value in _STARTS) or bool(
        kind is op.SUBPATTERN and value[3] and _starts(value[3])
    )
