# ruff: noqa: ANN401 - the parser has no types
"""The parse tree of a regular expression, as plain values.

Python's `re` has a parser, but no public name for it. This is the only module that calls it. It turns the parser's
tuples into the nodes below and applies all flags on the way, so that what a node means does not depend on where it
stands. The prefilter, the search for ReDoS, the linter and the date cutter read these trees.
"""

from __future__ import annotations

import enum
import math
import re

# `sre_parse`, the parser's public name, is deprecated since Python 3.11 (its "What's New").
import re._compiler as compiler  # type: ignore[import-not-found]
import re._constants as op  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from sidecar.filters import charsets

# Characters and ranges that are remembered with what stands for them: expressions have few.
MAX_KNOWN: Final = 1_024


@dataclass(frozen=True, slots=True)
class Chars:
    """One character out of a set: a literal, a class, or `.`."""

    accepts: int
    """The characters, as `charsets` has them."""
    literal: str = ""
    """The character as written, if it is a literal."""
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class Repeat:
    """A body that is repeated; `most` is `math.inf` without a limit."""

    least: int
    most: float
    body: Nodes


@dataclass(frozen=True, slots=True)
class Group:
    """A group; `number` if it captures."""

    body: Nodes
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """Alternatives, at least two."""

    branches: tuple[Nodes, ...]


@dataclass(frozen=True, slots=True)
class Conditional:
    """`(?(1)yes|no)`."""

    branches: tuple[Nodes, Nodes]


@dataclass(frozen=True, slots=True)
class Assertion:
    """A look ahead or behind."""

    body: Nodes
    ahead: bool
    negative: bool


@dataclass(frozen=True, slots=True)
class BackReference:
    """The text of a group, once more."""

    number: int


class Anchor(enum.Enum):
    """A place between two characters."""

    LINE_START = "^"
    TEXT_START = r"\A"
    LINE_END = "$"
    TEXT_END = r"\Z"
    WORD_EDGE = r"\b"
    NOT_WORD_EDGE = r"\B"


Node: TypeAlias = Chars | Repeat | Group | Branch | Conditional | Assertion | BackReference | Anchor
Nodes: TypeAlias = tuple[Node, ...]


class Width(NamedTuple):
    """How many characters something takes: at least, and at most (perhaps `math.inf`)."""

    least: float
    most: float


_ANCHORS: Final = {
    op.AT_BEGINNING: Anchor.LINE_START,
    op.AT_BEGINNING_STRING: Anchor.TEXT_START,
    op.AT_END: Anchor.LINE_END,
    op.AT_END_STRING: Anchor.TEXT_END,
    op.AT_BOUNDARY: Anchor.WORD_EDGE,
    op.AT_NON_BOUNDARY: Anchor.NOT_WORD_EDGE,
}
_CATEGORIES: Final = {
    op.CATEGORY_DIGIT: charsets.DIGIT | charsets.NON_ASCII,
    op.CATEGORY_SPACE: charsets.SPACE | charsets.NON_ASCII,
    op.CATEGORY_WORD: charsets.WORD,
    op.CATEGORY_NOT_DIGIT: charsets.ALL & ~charsets.DIGIT,
    op.CATEGORY_NOT_SPACE: charsets.ALL & ~charsets.SPACE,
    op.CATEGORY_NOT_WORD: charsets.NON_WORD,
}
_ASCII_ONLY: Final = {op.CATEGORY_DIGIT, op.CATEGORY_SPACE, op.CATEGORY_WORD}


def parse(regex: re.Pattern[str]) -> Nodes:
    """Return the tree of a compiled expression."""
    return _nodes(parser.parse(regex.pattern, regex.flags), regex.flags)


def parse_text(pattern: str) -> Nodes:
    """Return the tree of an expression without flags, which need not be compiled for this."""
    return _nodes(parser.parse(pattern, re.NOFLAG), re.NOFLAG)


def prefixes(regex: re.Pattern[str]) -> list[re.Pattern[str]]:
    """Return the expressions that consist of the first 0, 1, 2 ... parts of this one, up to all of them."""
    tree = parser.parse(regex.pattern, regex.flags)
    return [compiler.compile(tree[:parts], regex.flags) for parts in range(len(tree) + 1)]


def children(node: Node) -> tuple[Nodes, ...]:
    """Return what stands inside a node: one sequence, several alternatives, or nothing."""
    match node:
        case Repeat(body=body) | Group(body=body) | Assertion(body=body):
            return (body,)
        case Branch(branches) | Conditional(branches):
            return branches
    return ()


def walk(nodes: Nodes) -> Iterator[Node]:
    """Yield these nodes and all that are inside of them."""
    for node in nodes:
        yield node
        for inner in children(node):
            yield from walk(inner)


def flattened(nodes: Nodes) -> Iterator[Node]:
    """Yield the nodes without the groups around them; alternatives and repeats stay as they are."""
    for node in nodes:
        if isinstance(node, Group):
            yield from flattened(node.body)
        else:
            yield node


def width(nodes: Iterable[Node]) -> Width:
    """Return how many characters these nodes take together."""
    least, most = 0.0, 0.0
    for node in nodes:
        each = _width(node)
        least, most = least + each.least, most + each.most
    return Width(least, most)


def _width(node: Node) -> Width:
    match node:
        case Chars():
            return Width(1, 1)
        case Repeat(least, most, body):
            inner = width(body)
            # 0 * inf is not a number.
            return Width(inner.least * least, inner.most * most if inner.most and most else 0)
        case Group(body):
            return width(body)
        case Branch(branches) | Conditional(branches):
            each = [width(branch) for branch in branches]
            return Width(min(one.least for one in each), max(one.most for one in each))
        case BackReference():
            return Width(0, math.inf)
    return Width(0, 0)


def _nodes(parsed: Iterable[tuple[Any, Any]], flags: int) -> Nodes:
    return tuple(_CONVERTERS[kind](value, flags) for kind, value in parsed)


def _repeat(value: Any, flags: int) -> Repeat:
    least, most, body = value
    return Repeat(least, math.inf if most is op.MAXREPEAT else most, _nodes(body, flags))


def _group(value: Any, flags: int) -> Group:
    number, added, removed, body = value
    return Group(_nodes(body, (flags | added) & ~removed), number)


def _atomic_group(value: Any, flags: int) -> Group:
    return Group(_nodes(value, flags))


def _branch(value: Any, flags: int) -> Branch:
    return Branch(tuple(_nodes(branch, flags) for branch in value[1]))


def _conditional(value: Any, flags: int) -> Conditional:
    _, yes, no = value
    return Conditional((_nodes(yes, flags), _nodes(no or (), flags)))


def _positive_assertion(value: Any, flags: int) -> Assertion:
    direction, body = value
    return Assertion(_nodes(body, flags), ahead=direction > 0, negative=False)


def _negative_assertion(value: Any, flags: int) -> Assertion:
    direction, body = value
    return Assertion(_nodes(body, flags), ahead=direction > 0, negative=True)


def _never(_value: Any, _flags: int) -> Assertion:
    """`(?!)`, for which the parser has a code of its own."""
    return Assertion((), ahead=True, negative=True)


def _anchor(value: Any, _flags: int) -> Anchor:
    return _ANCHORS[value]


def _back_reference(value: Any, _flags: int) -> BackReference:
    return BackReference(value)


def _dot(_value: Any, flags: int) -> Chars:
    return Chars(charsets.ALL if flags & re.DOTALL else charsets.ALL & ~charsets.NEWLINE)


def _literal(value: Any, flags: int) -> Chars:
    return _char(value, flags & re.IGNORECASE)


@lru_cache(maxsize=MAX_KNOWN)
def _char(code: int, flags: int) -> Chars:
    accepts = _cased(charsets.charset(chr(code)), flags)
    return Chars(accepts, chr(code), ignore_case=bool(flags))


def _not_literal(value: Any, flags: int) -> Chars:
    return Chars(_others(_cased(charsets.charset(chr(value)), flags)))


def _class(value: Any, flags: int) -> Chars:
    negated = value[0][0] is op.NEGATE
    bits = 0
    for kind, item in value[1:] if negated else value:
        bits |= _CLASS_ITEMS[kind](item, flags)
    bits = _cased(bits, flags)
    return Chars(_others(bits) if negated else bits)


def _class_literal(value: Any, _flags: int) -> int:
    return charsets.charset(chr(value))


def _class_range(value: Any, _flags: int) -> int:
    return _range(*value)


@lru_cache(maxsize=MAX_KNOWN)
def _range(low: int, high: int) -> int:
    bits = charsets.charset(map(chr, range(low, min(high, 127) + 1)))
    return bits | (charsets.NON_ASCII if high > 127 else 0)


def _class_category(value: Any, flags: int) -> int:
    bits = _CATEGORIES[value]
    return bits & ~charsets.NON_ASCII if flags & re.ASCII and value in _ASCII_ONLY else bits


def _cased(bits: int, flags: int) -> int:
    return charsets.ignoring_case(bits) if flags & re.IGNORECASE else bits


def _others(bits: int) -> int:
    """Return all characters but these; beyond ASCII it is not known which those are."""
    return (charsets.ALL & ~bits) | charsets.NON_ASCII


_CONVERTERS: Final[Mapping[Any, Callable[[Any, int], Node]]] = {
    op.MAX_REPEAT: _repeat,
    op.MIN_REPEAT: _repeat,
    op.POSSESSIVE_REPEAT: _repeat,
    op.SUBPATTERN: _group,
    op.ATOMIC_GROUP: _atomic_group,
    op.BRANCH: _branch,
    op.GROUPREF_EXISTS: _conditional,
    op.ASSERT: _positive_assertion,
    op.ASSERT_NOT: _negative_assertion,
    op.FAILURE: _never,
    op.AT: _anchor,
    op.GROUPREF: _back_reference,
    op.ANY: _dot,
    op.LITERAL: _literal,
    op.NOT_LITERAL: _not_literal,
    op.IN: _class,
}
_CLASS_ITEMS: Final[Mapping[Any, Callable[[Any, int], int]]] = {
    op.LITERAL: _class_literal,
    op.RANGE: _class_range,
    op.CATEGORY: _class_category,
}
