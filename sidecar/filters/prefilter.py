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
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
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
_FEW: Final = 2  # characters that `{^LN-BEG}` leaves before the date
_FEW_BEFORE: Final = r"^(?:\W{0,2})?"  # so it says that in a template


@dataclass(frozen=True, slots=True)
class Cut:
    """Where one kind of date may be cut out: between which characters."""

    before: int  # the characters that may stand left of it
    after: int
    at_start: bool = False  # at most two characters are left of it


Cuts = tuple[Cut, ...]
ANYWHERE: Final = Cut(ALL, ALL)


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of the weaker expression: its text, what it may begin and end with, how many characters it must have."""

    text: bytes
    first: int
    last: int
    least: int


_NOTHING: Final = Piece(b"", 0, 0, 0)


def weakened(pattern: re.Pattern[str], cuts: Cuts, *, whole: bool = True) -> bytes | None:
    """What Hyperscan is to search for (bytes, MULTILINE); None if it would find nearly every line anyway.

    `whole`: the expression sees the whole line, so that its `$` is the line's end; with `prefregex` it does not.
    """
    if ANYWHERE in cuts:
        return None
    tree = parser.parse(pattern.pattern, pattern.flags)
    nodes = [node for node in tree if not (node[0] is op.AT and node[1] in _STARTS)]
    ends = whole and bool(nodes) and nodes[-1][0] is op.AT and nodes[-1][1] in _ENDS
    weak = _Weak(cuts)
    pieces = [
        weak.node(node, pattern.flags, last=not _consumes(nodes[i + 1 :])) for i, node in enumerate(nodes)
    ]
    while pieces and not pieces[0].least:
        del pieces[0]
    while pieces and not ends and not pieces[-1].least:
        del pieces[-1]
    if not pieces:
        return None
    joined = weak.joined(pieces, 0)
    if not ends:
        return joined.text
    return joined.text + (ANYTHING if weak.cut(joined.last, ALL, joined.least) else b"") + rb"\r*$"


_STARTS: Final = {op.AT_BEGINNING, op.AT_BEGINNING_STRING}
_ENDS: Final = {op.AT_END, op.AT_END_STRING}


@dataclass(slots=True)
class _Weak:
    cuts: Cuts

    def cut(self, left: int, right: int, least: int) -> bool:
        """May a date be cut out between such characters, at least so many characters into the match?"""
        return any(
            left & cut.before and right & cut.after and (not cut.at_start or least <= _FEW)
            for cut in self.cuts
        )

    def joined(self, pieces: Sequence[Piece], before: int) -> Piece:
        """Pieces one after the other, with room for a date where one may have been; `before`: characters so far."""
        text, first, last, least = b"", 0, 0, 0
        for piece in pieces:
            if not piece.text:
                continue
            if text and self.cut(last, piece.first, before + least):
                text += ANYTHING
            text += piece.text
            first |= piece.first if not least else 0
            last = piece.last | (0 if piece.least else last)
            least += piece.least
        return Piece(text, first, last, least)

    def sequence(self, nodes: Sequence[Any], flags: int, *, last: bool) -> Piece:
        pieces = [
            self.node(node, flags, last=last and not _consumes(nodes[i + 1 :]))
            for i, node in enumerate(nodes)
        ]
        return self.joined(pieces, 0)

    def node(self, node: Any, flags: int, *, last: bool) -> Piece:
        kind, value = node
        if kind in {op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY}:
            return self.repeated(node, 1, 1, flags, last=last)
        if kind in {op.MAX_REPEAT, op.MIN_REPEAT, op.POSSESSIVE_REPEAT}:
            least, most, body = value
            if len(body) == 1 and body[0][0] in {op.LITERAL, op.NOT_LITERAL, op.IN, op.ANY}:
                return self.repeated(body[0], least, most, flags, last=last)
            return self.group_repeated(self.sequence(list(body), flags, last=last), least, most)
        if kind is op.SUBPATTERN:
            _, added, removed, body = value
            return self.sequence(list(body), (flags | added) & ~removed, last=last)
        if kind is op.ATOMIC_GROUP:
            return self.sequence(list(value), flags, last=last)
        if kind is op.BRANCH:
            return _either([self.sequence(list(branch), flags, last=last) for branch in value[1]])
        if kind is op.GROUPREF_EXISTS:
            _, yes, no = value
            return _either([self.sequence(list(branch or ()), flags, last=last) for branch in (yes, no)])
        if kind is op.GROUPREF:
            return Piece(ANYTHING, ALL, ALL, 0)
        return _NOTHING  # assertions and places take no characters; leaving them out finds more

    def group_repeated(self, body: Piece, least: int, most: int) -> Piece:
        if not body.text or not most:
            return _NOTHING
        if most == 1:
            return _optional(body) if not least else body
        if self.cut(
            body.last, body.first, 0
        ):  # a date between two of them: then anything may follow the first
            body = Piece(body.text + ANYTHING, body.first, ALL, body.least)
            return _optional(body) if not least else body
        times = b"{%d,%s}" % (least, b"" if most > MANY else b"%d" % most)
        return Piece(b"(?:%b)%b" % (body.text, times), body.first, body.last, body.least * least)

    def repeated(self, node: Any, least: int, most: int, flags: int, *, last: bool) -> Piece:
        """One character class, this often."""
        if not most:
            return _NOTHING
        kind, value = node
        if kind is op.LITERAL and least == most == 1 and value < 128 and flags & re.IGNORECASE:
            return _any_case(chr(value))
        accepted = _accepted(node, flags)
        if accepted & _NEWLINE:
            least -= 1 if last and least else 0  # it may be the newline that `re` sees behind the line
            accepted &= ~_NEWLINE
        most = MANY + 1 if most > MANY else most
        text = _class(accepted) + _times(least, most * 4 if accepted & HIGH else most)
        piece = Piece(text, accepted, accepted, least)
        if most == 1 or not IN_DATES & ~accepted or not self.cut(accepted, accepted, 0):
            return piece
        return (
            _optional(Piece(_class(accepted) + ANYTHING, accepted, ALL, 1))
            if not least
            else Piece(_class(accepted) + ANYTHING, accepted, ALL, least)
        )


def _either(pieces: Sequence[Piece]) -> Piece:
    text = b"|".join(piece.text for piece in pieces)
    first, last = (reduce(or_, (getattr(p, name) for p in pieces), 0) for name in ("first", "last"))
    return Piece(b"(?:%b)" % text, first, last, min(piece.least for piece in pieces))


def _optional(piece: Piece) -> Piece:
    return Piece(b"(?:%b)?" % piece.text, piece.first, piece.last, 0)


def _consumes(nodes: Sequence[Any]) -> bool:
    """Must at least one of these take a character?"""
    return any(_width(node) for node in nodes)


def _width(node: Any) -> int:
    pattern = parser.SubPattern(parser.State(), [node])
    return int(pattern.getwidth()[0]) if node[0] not in {op.GROUPREF, op.GROUPREF_EXISTS} else 0


def _any_case(letter: str) -> Piece:
    lower = letter.lower()
    bits = _bits({lower, letter.upper()})
    if other := _SWAPPED.get(lower):
        return Piece(b"(?:%b|%b)" % (_class(bits), other), bits | HIGH, bits | HIGH, 1)
    return Piece(_class(bits), bits, bits, 1)


def _accepted(node: Any, flags: int) -> int:
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


def _item(item: Any, flags: int) -> int:
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


def _class(bits: int) -> bytes:
    """As Hyperscan writes it, newline left out: `[\\x30-\\x39\\x80-\\xff]`."""
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
    after = (right.first if right.least else ALL) if right.text else ALL if date.last & ~WORD else OTHER
    if left.text and not one.regex.pattern.startswith(_FEW_BEFORE):
        return Cut(left.last if left.least else ALL, after)
    if _starts(nodes):
        return Cut(OTHER, after, at_start=True)
    bound = any(node[0] is op.ASSERT_NOT and node[1][0] < 0 for node in nodes[:at])
    return Cut(OTHER if bound else ALL, after)


def _starts(nodes: Sequence[Any]) -> bool:
    """Does the expression begin with `^`, in a group or not?"""
    kind, value = nodes[0]
    return bool(kind is op.AT and value in _STARTS) or bool(
        kind is op.SUBPATTERN and value[3] and _starts(value[3])
    )
