r"""A Python regular expression -> Hyperscan expressions that find at least every line it matches.

Hyperscan searches whole batches of bytes for all failregexes at once, but is not Python's `re`. So it is given a
weaker expression: wherever the failregex matches a line, the weaker one matches some of that line's bytes. Lines that
it does not find need no closer look; lines that it finds are decided by `re`. The weaker expression is written from
the failregex's parse tree:

- It may begin anywhere: `^`, word edges and whatever may be empty at the beginning or the end are left out.
- What Hyperscan does not support is left out (assertions), or becomes "anything" (back-references).
- A class that accepts a character beyond ASCII accepts one to four bytes beyond ASCII, valid UTF-8 or not.
- Nothing reaches over a newline.
- `re` sees the line with its date cut out, Hyperscan sees it whole. So wherever a date may be cut out, anything may
  stand.

That no line is ever lost is a property that tests check on all of fail2ban's filters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf
from typing import Final, NamedTuple, TypeAlias

from sidecar.filters import charsets, regex_tree
from sidecar.filters.charsets import ALL, NEWLINE, NON_ASCII, NON_WORD, WORD
from sidecar.filters.dates import Dates, Template
from sidecar.filters.regex_tree import (
    Anchor,
    Assertion,
    BackReference,
    Branch,
    Chars,
    Conditional,
    Group,
    Node,
    Nodes,
    Repeat,
)

ANYTHING: Final = rb"[^\n]*"
# A repeat that is allowed this often is written without a limit, which Hyperscan finds more cheaply.
UNLIMITED: Final = 64
# This many literal characters in a row are worth searching for.
SOLID_CHARS: Final = 3
# Alternatives that become expressions of their own. With more, compiling the database takes too long.
MAX_BRANCHES: Final = 32
# Characters that a date may consist of.
_IN_DATES: Final = WORD & ~NON_ASCII | charsets.charset(" :/.,+-@<>")
# The UTF-8 bytes of what equals k, s and i beyond ASCII, if case is ignored.
_FOLDED: Final = {"k": b"\xe2\x84\xaa", "s": b"\xc5\xbf", "i": b"\xc4[\xb0\xb1]"}


@dataclass(frozen=True, slots=True)
class DateCut:
    """Where one kind of date may be cut out of a line.

    `before` and `after` are the characters that may stand left and right of it; `within` is the highest number of
    characters left of it.
    """

    before: int
    after: int
    within: float = inf


DateCuts: TypeAlias = tuple[DateCut, ...]
ANYWHERE: Final = DateCut(ALL, ALL)


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of the weaker expression.

    `first` and `last` are the characters that its matches may begin and end with, `least` is how many they have at
    least. `leads`: how many literal characters they all begin with; `literal`: that is all there is; `solid`: they
    all contain SOLID_CHARS literal characters in a row.
    """

    text: bytes
    first: int
    last: int
    least: int
    leads: int = 0
    literal: bool = False
    solid: bool = False


class PlacedFragment(NamedTuple):
    """A fragment and which node it was made from; a gap for a date has none (-1)."""

    node: int
    fragment: Fragment


_NOTHING: Final = Fragment(b"", 0, 0, 0)
_GAP: Final = Fragment(ANYTHING, ALL, ALL, 0)


def weakened(pattern: re.Pattern[str], cuts: DateCuts, *, whole_line: bool = True) -> tuple[bytes, ...]:
    """Return what Hyperscan is to search for, as MULTILINE expressions of bytes, any of which may match.

    Empty if nearly every line would be found anyway. `whole_line`: the pattern sees the whole line, so that its `$` is
    the line's end; behind a `prefregex` it does not. Alternatives at the beginning become expressions of their own,
    so that Hyperscan finds literal text in each.
    """
    if ANYWHERE in cuts:
        return ()
    nodes = tuple(regex_tree.flattened(regex_tree.parse(pattern)))
    ends = whole_line and bool(nodes) and nodes[-1] in {Anchor.LINE_END, Anchor.TEXT_END}
    weakener = _Weakener(cuts)
    found = [weakener.expression(one, ends=ends) for one in weakener.alternatives(nodes)]
    return tuple(dict.fromkeys(found)) if all(found) else ()


def date_cuts(dates: Dates) -> DateCuts:
    """Return between which characters these dates may be cut out; nothing for a filter that cuts no date."""
    return tuple({_date_cut(one) for one in dates.templates if one.text != "{NONE}"})


@lru_cache(maxsize=256)
def _date_cut(template: Template) -> DateCut:
    """Return where the date of this template (its group 1) may be."""
    nodes = regex_tree.parse(template.regex)
    at = next((i for i, node in enumerate(nodes) if isinstance(node, Group) and node.number == 1), None)
    if at is None:
        return ANYWHERE
    weakener = _Weakener(())
    left, date, right = (
        weakener.sequence(part, last=False, before=0)
        for part in (nodes[:at], nodes[at : at + 1], nodes[at + 1 :])
    )
    if right.text:
        after = right.first if right.least else ALL
    else:
        bounded = any(isinstance(node, Assertion | Anchor) for node in nodes[at + 1 :])
        after = NON_WORD if bounded and not date.last & ~WORD else ALL
    within = regex_tree.width(nodes[:at]).most if _begins_line(nodes) else inf
    if left.text:
        return DateCut(left.last if left.least or within <= 2 else ALL, after, within)
    bounded = within == 0 or any(
        isinstance(node, Assertion) and node.negative and not node.ahead for node in nodes[:at]
    )
    return DateCut(NON_WORD if bounded else ALL, after, within)


def _last_that_takes(nodes: Nodes) -> int:
    """Return the index of the last node that takes a character in any case, and -1 without one."""
    return next((i for i in reversed(range(len(nodes))) if regex_tree.width(nodes[i : i + 1]).least), -1)


def _begins_line(nodes: Nodes) -> bool:
    """Return whether an expression begins with `^`, in a group or not."""
    match nodes:
        case (Anchor.LINE_START | Anchor.TEXT_START, *_):
            return True
        case (Group(body), *_):
            return _begins_line(body)
    return False


@dataclass(slots=True)
class _Weakener:
    """Writes weaker expressions for lines out of which such dates may be cut.

    Two arguments come with every node. `before`: how many characters of the line the expression has taken so far, at
    least. `last`: nothing that takes a character follows.
    """

    cuts: DateCuts

    def alternatives(self, nodes: Nodes, most: int = MAX_BRANCHES) -> list[Nodes]:
        """Return the nodes once for each alternative, if alternatives stand where the search begins."""
        placed = self.placed(nodes, last=True, before=0)
        useless = _useless([one.fragment for one in placed])
        at = placed[useless].node if useless < len(placed) else -1
        branch = nodes[at] if at >= 0 else None
        if not isinstance(branch, Branch) or not 1 < len(branch.branches) <= most:
            return [nodes]
        return [
            one
            for body in branch.branches
            for one in self.alternatives(
                (*nodes[:at], *regex_tree.flattened(body), *nodes[at + 1 :]), most // len(branch.branches)
            )
        ]

    def expression(self, nodes: Nodes, *, ends: bool) -> bytes:
        """Return the expression for these nodes, empty if it would find any line. `ends`: the last of them is `$`."""
        fragments = self.fragments(nodes, last=True, before=0)
        del fragments[: _useless(fragments)]
        while fragments and not ends and not fragments[-1].least:
            del fragments[-1]
        if not ends or not fragments:
            return _joined(fragments).text
        found = _joined(fragments)
        gap = [_GAP] * self.may_cut(found.last, ALL, found.least)
        return _joined([*fragments, *gap]).text + rb"\r*$"

    def sequence(self, nodes: Nodes, *, last: bool, before: int) -> Fragment:
        return _joined(self.fragments(nodes, last=last, before=before))

    def fragments(self, nodes: Nodes, *, last: bool, before: int) -> list[Fragment]:
        return [one.fragment for one in self.placed(nodes, last=last, before=before)]

    def placed(self, nodes: Nodes, *, last: bool, before: int) -> list[PlacedFragment]:
        """Return each node's fragment, with a gap wherever a date may have been cut out between two of them."""
        placed: list[PlacedFragment] = []
        ends = 0
        final = _last_that_takes(nodes) if last else len(nodes)
        for i, node in enumerate(nodes):
            fragment = self.node(node, last=i >= final, before=before)
            if not fragment.text:
                continue
            if placed and self.may_cut(ends, fragment.first, before):
                placed.append(PlacedFragment(-1, _GAP))
            placed.append(PlacedFragment(i, fragment))
            ends = fragment.last | (0 if fragment.least else ends)
            before += fragment.least
        return placed

    def node(self, node: Node, *, last: bool, before: int) -> Fragment:
        match node:
            case Chars():
                return self.chars(node, 1, 1, last=last, before=before)
            case Repeat(least, most, (Chars() as chars,)):
                return self.chars(chars, least, most, last=last, before=before)
            case Repeat(least, most, body):
                return self.repeat(self.sequence(body, last=last, before=before), least, most, before)
            case Group(body):
                return self.sequence(body, last=last, before=before)
            case Branch(branches) | Conditional(branches):
                return _either([self.sequence(branch, last=last, before=before) for branch in branches])
        # Assertions and anchors take no characters; without them more is found.
        return _GAP if isinstance(node, BackReference) else _NOTHING

    def repeat(self, body: Fragment, least: int, most: float, before: int) -> Fragment:
        """Return the fragment of a repeated group."""
        if not body.text or not most:
            return _NOTHING
        if most == 1:
            return body if least else _optional(body)
        # With a date cut out between two of them, anything may follow the first.
        if self.may_cut(body.last, body.first, before):
            body = _joined([body, _GAP])
            return body if least else _optional(body)
        text = b"(?:%b)%b" % (body.text, _times(least, most))
        return Fragment(text, body.first, body.last, body.least * least)

    def chars(self, chars: Chars, least: int, most: float, *, last: bool, before: int) -> Fragment:
        """Return the fragment of a set of characters that is repeated."""
        if not most:
            return _NOTHING
        literal = chars.literal.isascii() and bool(chars.literal)
        if literal and chars.ignore_case and least == most == 1:
            return _any_case(chars.literal)
        accepts = chars.accepts
        if accepts & NEWLINE:
            # It may be the newline that `re` sees behind the line.
            least -= 1 if last and least else 0
            accepts &= ~NEWLINE
        one = Fragment(_class(accepts), accepts, accepts, 1, int(literal), literal)
        if (least, most) == (1, 1) and not accepts & NON_ASCII:
            return one
        if most > 1 and _IN_DATES & ~accepts and self.may_cut(accepts, accepts, before):
            return (
                _joined([Fragment(one.text, accepts, accepts, least), _GAP])
                if least
                else _optional(_joined([one, _GAP]))
            )
        # A character beyond ASCII has up to four bytes.
        bytes_most = most * 4 if accepts & NON_ASCII else most
        return Fragment(one.text + _times(least, bytes_most), accepts, accepts, least)

    def may_cut(self, left: int, right: int, before: int) -> bool:
        """Return whether a date may be cut out between such characters, this far into the line."""
        return any(left & cut.before and right & cut.after and before <= cut.within for cut in self.cuts)


def _useless(fragments: Sequence[Fragment]) -> int:
    """Return how many fragments at the beginning to leave out: those that may be empty, or only cost time.

    What stands before the first few literal characters is decided by `re` just as well, and Hyperscan is quickest at
    literals.
    """
    if (solid := _solid(fragments)) is not None:
        return solid
    long = next((i for i, one in enumerate(fragments) if one.least >= SOLID_CHARS), None)
    if long is not None:
        return long
    return next((i for i, one in enumerate(fragments) if one.least), len(fragments))


def _solid(fragments: Sequence[Fragment]) -> int | None:
    """Return where the first few literal characters in a row are."""
    run, start = 0, 0
    for i, one in enumerate(fragments):
        if run + one.leads >= SOLID_CHARS:
            return start
        if one.solid:
            return i
        run, start = (run + one.leads, start) if one.literal else (0, i + 1)
    return None


def _joined(fragments: Sequence[Fragment]) -> Fragment:
    """Return one fragment of several that follow each other."""
    if len(fragments) == 1:
        return fragments[0]
    text, first, last, least = b"", 0, 0, 0
    for one in fragments:
        text += b"" if one is _GAP and text.endswith(ANYTHING) else one.text
        first |= one.first if not least else 0
        last = one.last | (0 if one.least else last)
        least += one.least
    run = next((i for i, one in enumerate(fragments) if not one.literal), len(fragments))
    leads = run + (fragments[run].leads if run < len(fragments) else 0)
    return Fragment(text, first, last, least, leads, run == len(fragments), _solid(fragments) is not None)


def _either(fragments: Sequence[Fragment]) -> Fragment:
    """Return one fragment of several alternatives."""
    first, last = 0, 0
    for one in fragments:
        first, last = first | one.first, last | one.last
    return Fragment(
        b"(?:%b)" % b"|".join(one.text for one in fragments),
        first,
        last,
        min(one.least for one in fragments),
        min(one.leads for one in fragments),
        solid=all(one.solid for one in fragments),
    )


def _optional(fragment: Fragment) -> Fragment:
    return Fragment(b"(?:%b)?" % fragment.text, fragment.first, fragment.last, 0)


@lru_cache(maxsize=256)
def _any_case(letter: str) -> Fragment:
    """Return the fragment of one ASCII character, case ignored."""
    lower = letter.lower()
    accepts = charsets.charset({lower, letter.upper()})
    if folded := _FOLDED.get(lower):
        text = b"(?:%b|%b)" % (_class(accepts), folded)
        return Fragment(text, accepts | NON_ASCII, accepts | NON_ASCII, 1)
    return Fragment(_class(accepts), accepts, accepts, 1)


@lru_cache(maxsize=1_024)
def _class(accepts: int) -> bytes:
    r"""Return a set of characters as Hyperscan writes it, newline left out: `[\x30-\x39\x80-\xff]`."""
    codes = charsets.ascii_codes(accepts & ~NEWLINE) + [*range(128, 256)] * bool(accepts & NON_ASCII)
    if not codes:
        # Only a newline: never within a line.
        return rb"\n"
    if len(codes) == 1:
        return re.escape(bytes(codes))
    return b"[%b]" % b"".join(
        b"\\x%02x" % low if low == high else b"\\x%02x-\\x%02x" % (low, high) for low, high in _runs(codes)
    )


def _runs(codes: Iterable[int]) -> list[list[int]]:
    """Return numbers in order as runs: the first and the last of each."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return runs


def _times(least: int, most: float) -> bytes:
    """Return how often something is repeated, as Hyperscan writes it."""
    if (least, most) == (1, 1):
        return b""
    if most > UNLIMITED:
        return {0: b"*", 1: b"+"}.get(least, b"{%d,}" % least)
    return b"?" if (least, most) == (0, 1) else b"{%d,%d}" % (least, most)
