"""Regular expressions that one line can stall: found when a filter is loaded, by trying them.

Python's `re` backtracks, holds the interpreter while it does, and cannot be interrupted from outside. So each unlimited
repeat of an expression is given what it likes best, again and again, and then something that nobody expects: the
expression has to give up, and how long that takes says how its effort grows. The growth is what counts, so it is
measured on texts so short that trying costs next to nothing, in this thread's own processor time.
"""

from __future__ import annotations

import re
import re._constants as op  # type: ignore[import-not-found]  # the parser is stable, but has no public name
import re._parser as parser  # type: ignore[import-not-found]
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from sidecar.filters.loader import Filter, Rule
from sidecar.filters.prefilter import CHARACTERS, REPEATS, accepted

MANY: Final = 16  # a repeat that may be taken more often than this is worth pumping
# Repeats that are tried, the last also as characters. What doubles with each, or worse, is slow long before the next
# step would take seconds: 3^12 steps are 3 ms, 3^18 would be 2 s.
LADDER: Final = (6, 12, 18, 24, 32, 48, 64, 128, 512)
SLOW, VERY_SLOW, GIVEN_UP = (
    0.005,
    0.02,
    0.2,
)  # seconds for half of this, and for the whole; a quadratic one takes 1 to 3 ms
GROWS: Final = 9.0  # how much longer four times the text may take: 4 is linear, 16 is quadratic
NOTICED: Final = 0.0001  # seconds: what takes less need not be measured twice; a linear one takes 0.02 ms
SAFE_SQUARE: Final = 2_048  # characters that a quadratic expression walks through in some 20 ms
_TAIL: Final = "\x00\n"  # what nothing expects
_LIKELY: Final = "a0 x1-.:/,;=\"'()[]<>@_A"
_Nodes = Sequence[Any]


@dataclass(frozen=True, slots=True)
class Stall:
    """An expression is slow: texts up to `safe` characters are not (0: none is safe). `example` shows it."""

    safe: int
    example: str


@lru_cache(maxsize=1_024)
def stall(regex: re.Pattern[str]) -> Stall | None:
    """The worst that was found of an expression; None if its effort grows no faster than the line."""
    tree = list(parser.parse(regex.pattern, regex.flags))
    found: Stall | None = None
    pumps = (
        (lead, unit) for lead, body, _, flags in repeats(tree, regex.flags) for unit in _units(body, flags)
    )
    for before, unit in dict.fromkeys(pumps):
        worse = _tried(regex, before, unit)
        if worse and (found is None or worse.safe < found.safe):
            found = worse
            if not found.safe:
                return found
    return found


def stalls(rules: Filter) -> list[tuple[Rule, Stall]]:
    """The slow expressions of a filter."""
    prefregex = (rules.prefregex,) if rules.prefregex else ()
    found = ((rule, stall(rule.regex)) for rule in (*prefregex, *rules.failregex, *rules.ignoreregex))
    return [(rule, one) for rule, one in found if one]


def _tried(regex: re.Pattern[str], before: str, unit: str) -> Stall | None:
    spent, text = 0.0, ""
    for times in LADDER:
        if len(unit) * times > LADDER[-1]:
            break
        text = before + unit * times + _TAIL
        try:
            with _limited():
                spent = _seconds(regex, text)
        except _TooLongError:
            return Stall(0, text)
        if spent > (SLOW if len(unit) * times < LADDER[-1] else VERY_SLOW):
            return Stall(0, text)
    if spent > NOTICED and spent > GROWS * _seconds(regex, before + unit * max(1, times // 4) + _TAIL):
        return Stall(SAFE_SQUARE, text)
    return None


def _seconds(regex: re.Pattern[str], text: str) -> float:
    """The quicker of two turns, for the first may have met a cold cache."""
    spent = []
    for _ in range(2):
        began = time.thread_time()
        regex.search(text)
        spent.append(time.thread_time() - began)
        if not NOTICED < spent[0] < VERY_SLOW:
            break
    return min(spent)


class _TooLongError(Exception):
    pass


@contextmanager
def _limited() -> Iterator[None]:
    """At most GIVEN_UP seconds of processor time, in the main thread: `re` looks for signals only there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def give_up(*_: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, GIVEN_UP)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def repeats(
    nodes: _Nodes, flags: int, before: str = "", *, asserted: bool = True
) -> Iterator[tuple[str, _Nodes, float, int]]:
    """Each repeat of many: a text that leads to it, what is repeated, how often at most, and the flags there.

    `asserted`: also those in assertions.
    """
    for i, (kind, value) in enumerate(nodes):
        lead = before + example(nodes[:i], flags)
        if kind in REPEATS:
            _, most, body = value
            if most > MANY:
                yield lead, body, most, flags
            yield from repeats(body, flags, lead, asserted=asserted)
        elif asserted or kind not in {op.ASSERT, op.ASSERT_NOT}:
            for part, inner in _parts(kind, value, flags):
                yield from repeats(part, inner, lead, asserted=asserted)


def _units(body: _Nodes, flags: int) -> Iterator[str]:
    yield from filter(None, [example(body, flags), *(_picked(node, flags) for node in _characters(body))])


def _characters(nodes: _Nodes) -> Iterator[Any]:
    for kind, value in nodes:
        if kind in CHARACTERS:
            yield kind, value
        elif kind in REPEATS:
            yield from _characters(value[2])
        else:
            for part, _ in _parts(kind, value, 0):
                yield from _characters(part)


def _parts(kind: Any, value: Any, flags: int) -> Iterator[tuple[_Nodes, int]]:  # noqa: ANN401  # the parser's
    """What stands inside a group, an alternative or an assertion, with the flags that hold there."""
    if kind is op.SUBPATTERN:
        yield value[3], (flags | value[1]) & ~value[2]
    elif kind is op.ATOMIC_GROUP:
        yield value, flags
    elif kind is op.BRANCH:
        yield from ((branch, flags) for branch in value[1])
    elif kind in {op.ASSERT, op.ASSERT_NOT}:
        yield value[1], flags
    elif kind is op.GROUPREF_EXISTS:
        yield from ((branch, flags) for branch in value[1:] if branch)


def example(nodes: _Nodes, flags: int, groups: dict[int, str] | None = None) -> str:
    """A short text that these nodes take, assertions left out of account."""
    groups = {} if groups is None else groups
    text = ""
    for kind, value in nodes:
        if kind in CHARACTERS:
            text += _picked((kind, value), flags)
        elif kind in REPEATS:
            text += example(value[2], flags, groups) * value[0]
        elif kind is op.GROUPREF:
            text += groups.get(value, "")
        elif kind not in {op.ASSERT, op.ASSERT_NOT}:
            part, inner = next(_parts(kind, value, flags), ((), 0))
            made = example(part, inner, groups)
            if kind is op.SUBPATTERN and value[0] is not None:
                groups[value[0]] = made
            text += made
    return text


def _picked(node: Any, flags: int) -> str:  # noqa: ANN401  # the parser's
    """A character that a class takes, one that is usual in a log if there is one."""
    if node[0] is op.LITERAL:
        return chr(node[1])
    bits = accepted(node, flags)
    usual = next((c for c in _LIKELY if bits >> ord(c) & 1), None)
    return usual or next((chr(i) for i in range(128) if bits >> i & 1 and i != 10), "é")
