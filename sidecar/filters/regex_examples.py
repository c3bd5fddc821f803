"""Texts that a regular expression matches, written from its parse tree.

The search for ReDoS needs texts that keep an expression busy, the linter needs lines as a log's writer would write
them. Assertions are left out of account, so such a text is a good guess and no proof.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from sidecar.filters import charsets
from sidecar.filters.regex_tree import Assertion, BackReference, Chars, Group, Node, Nodes, Repeat, children

# A repeat that may be taken more often than this has no limit in practice.
UNLIMITED: Final = 16
# What `example()` writes for an address: the shortest that `<ADDR>` takes, made of `_USUAL`'s digit.
EXAMPLE_ADDRESS: Final = "0.0.0.0"
# Characters that are usual in a log, the most usual first.
_USUAL: Final = "a0 x1-.:/,;=\"'()[]<>@_A"


class UnlimitedRepeat(NamedTuple):
    """A repeat without limit: a text that leads to it, what is repeated, and how often at most."""

    lead: str
    body: Nodes
    most: float


def example(nodes: Nodes, *, spaced: bool = False) -> str:
    r"""Return a short text that these nodes match.

    `spaced`: with a blank where an unlimited repeat takes one, so that words stand apart, as a `\b` may ask.
    """
    return _Writer(spaced=spaced).text(nodes)


def unlimited_repeats(nodes: Nodes, lead: str = "", *, assertions: bool = True) -> Iterator[UnlimitedRepeat]:
    """Yield each repeat without limit, the outer before the inner. `assertions`: also those inside assertions."""
    for i, node in enumerate(nodes):
        if not children(node):
            continue
        here = lead + example(nodes[:i])
        if isinstance(node, Repeat) and node.most > UNLIMITED:
            yield UnlimitedRepeat(here, node.body, node.most)
        if assertions or not isinstance(node, Assertion):
            for inner in children(node):
                yield from unlimited_repeats(inner, here, assertions=assertions)


@lru_cache(maxsize=1_024)
def usual_char(chars: Chars) -> str:
    """Return a character that these accept, one that is usual in a log if there is one."""
    if chars.literal:
        return chars.literal
    usual = next((char for char in _USUAL if charsets.contains(chars.accepts, char)), None)
    return usual or next(map(chr, charsets.ascii_codes(chars.accepts & ~charsets.NEWLINE)), "é")


def takes_blank(node: Repeat) -> bool:
    """Return whether a repeat has no limit, and a blank is what it may repeat."""
    match node:
        case Repeat(most=most, body=(Chars(accepts),)) if most > UNLIMITED:
            return charsets.contains(accepts, " ")
    return False


class _Writer:
    """Writes one text; what the groups captured so far is what back-references repeat."""

    def __init__(self, *, spaced: bool) -> None:
        self._spaced = spaced
        self._groups: dict[int, str] = {}

    def text(self, nodes: Nodes) -> str:
        return "".join(map(self._node, nodes))

    def _node(self, node: Node) -> str:
        match node:
            case Chars():
                return usual_char(node)
            case Repeat(least):
                if self._spaced and takes_blank(node):
                    return " " * max(least, 1)
                return self.text(node.body) * least
            case BackReference(number):
                return self._groups.get(number, "")
            case Assertion():
                return ""
        text = next((self.text(inner) for inner in children(node)), "")
        if isinstance(node, Group) and node.number is not None:
            self._groups[node.number] = text
        return text
