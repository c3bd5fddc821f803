"""Regular expressions that one line can stall: found when a filter is loaded, by trying them.

Python's `re` backtracks, holds the interpreter while it does, and cannot be interrupted from outside. So each unlimited
repeat of an expression is given what it likes best, again and again, and then something that nobody expects: the
expression has to give up, and how long that takes says how its effort grows. The growth is what counts, so it is
measured on texts so short that trying costs next to nothing, in this thread's own processor time.

Only a timer of the main thread can end a try that takes long, and it counts what all threads spend. So wherever there
is another thread, the trying is done by a process of its own:

    python -m sidecar.filters.redos FD     is that process
"""

from __future__ import annotations

import logging
import math
import re
import re._constants as op  # type: ignore[import-not-found]  # the parser is stable, but has no public name
import re._parser as parser  # type: ignore[import-not-found]
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from sidecar.filters.dates import DEFAULT
from sidecar.filters.loader import Filter, Rule
from sidecar.filters.prefilter import CHARACTERS, REPEATS, accepted
from sidecar.filters.worker_process import Child, parent

log = logging.getLogger(__name__)

MANY: Final = 16  # a repeat that may be taken more often than this is worth pumping
# Repeats that are tried, the last also as characters. What doubles with each, or worse, is slow long before the next
# step would take seconds: 3^12 steps are 3 ms, 3^18 would be 2 s.
LADDER: Final = (6, 12, 18, 24, 32, 48, 64, 128, 512)
LONG_UNIT, LONGEST = (
    8,
    4_096,
)  # characters: of a unit that is more than a character or two, and of all its repeats
SLOW, VERY_SLOW, GIVEN_UP = (
    0.005,
    0.02,
    0.2,
)  # seconds for half of this, and for the whole; a quadratic one takes 1 to 3 ms
GROWS: Final = 9.0  # how much longer four times the text may take: 4 is linear, 16 is quadratic
NOTICED: Final = (
    0.00004  # seconds: what takes less is not looked at closer; a linear one takes 0.02 ms, `\w+ x` 0.12
)
TURNS: Final = 5  # of which the quickest counts: others may have had the processor, or its caches
JUDGING_TIMEOUT_S: Final = (
    30.0  # seconds for one expression in a process of its own; the worst known takes 1, on an idle machine
)
MOST_KNOWN: Final = 4_096  # expressions of which is kept whether they can stall
SAFE_QUADRATIC_LENGTH: Final = 2_048  # characters that a quadratic expression walks through in some 20 ms
QUICK: Final = 0.02  # seconds that a line may take which is tried nowhere else first
MADE: Final = "0.0.0.0"  # the address in a text that `example()` makes
_TAIL: Final = "\x00\n"  # what nothing expects
_LIKELY: Final = "a0 x1-.:/,;=\"'()[]<>@_A"
_Nodes = Sequence[Any]


@dataclass(frozen=True, slots=True)
class ReDoS:
    """An expression is slow: texts up to `safe` characters are not (0: none is safe). `example` shows it."""

    safe_length: int
    example: str


_known: dict[re.Pattern[str], tuple[ReDoS | None]] = {}


def find_redos(regex: re.Pattern[str]) -> ReDoS | None:
    """The worst that was found of an expression; None if its effort grows no faster than the line."""
    return _judged([regex])[regex]


def redos_prone(rules: Filter) -> list[tuple[Rule, ReDoS]]:
    """The slow expressions of a filter, and those that could not be judged. Any thread may ask.

    It takes PATIENCE for each at most.
    """
    prefregex = (rules.prefregex,) if rules.prefregex else ()
    tried = (*prefregex, *rules.failregex, *rules.ignoreregex)
    judged = _judged([rule.regex for rule in tried])
    return [(rule, found) for rule in tried if (found := judged[rule.regex])]


def redos_prone_dates(rules: Filter) -> list[str]:
    """The `datepattern`s of a filter that some short line stalls, as written; those of the default list do not.

    A date is looked for before any expression is tried, so nothing can be tried elsewhere first.
    """
    own = [one for one in rules.dates.templates if one.text not in DEFAULT]
    judged = _judged([one.regex for one in own])
    return [one.text for one in own if (found := judged[one.regex]) and not found.safe_length]


def _judged(regexes: Sequence[re.Pattern[str]]) -> dict[re.Pattern[str], ReDoS | None]:
    judged = {regex: known[0] for regex in regexes if (known := _known.get(regex))}
    unknown = [regex for regex in dict.fromkeys(regexes) if regex not in judged]
    if unknown:
        alone = threading.current_thread() is threading.main_thread() and threading.active_count() == 1
        found = dict(zip(unknown, map(_worst, unknown) if alone else _elsewhere(unknown), strict=False))
        if len(_known) + len(found) > MOST_KNOWN:
            _known.clear()
        _known.update((regex, (one,)) for regex, one in found.items())
        judged |= {regex: found.get(regex, ReDoS(0, "")) for regex in unknown}
    return judged


def _elsewhere(regexes: Sequence[re.Pattern[str]]) -> list[ReDoS | None]:
    """What a process of its own finds. Of those from the first that it does not finish on nothing is known."""
    found: list[ReDoS | None] = []
    try:
        with closing(Child("sidecar.filters.redos")) as child:
            child.pipe.send([(regex.pattern, regex.flags) for regex in regexes])
            while len(found) < len(regexes) and child.pipe.poll(JUDGING_TIMEOUT_S):
                told = child.pipe.recv()
                found.append(None if told is None else ReDoS(*told))
    except (OSError, EOFError) as err:
        log.warning("the process that tries regular expressions failed: %s", err)
    return found


def main() -> None:
    """Say of each expression that is sent what was found of it."""
    pipe = parent()
    for pattern, flags in pipe.recv():
        found = _worst(re.compile(pattern, flags))
        pipe.send(None if found is None else (found.safe_length, found.example))


def _worst(regex: re.Pattern[str]) -> ReDoS | None:
    tree = list(parser.parse(regex.pattern, regex.flags))
    found: ReDoS | None = None
    whole, loose = example(tree, regex.flags), example(tree, regex.flags, loose=True)
    pumps = (
        (lead, unit)
        for lead, body, _, flags in repeats(tree, regex.flags)
        for unit in (*_units(body, flags), *_following(whole, lead, body, flags))
    )
    begun = [("", text.partition(MADE)[0].rstrip("\n")) for text in (whole, loose)]  # all before the address
    for before, unit in dict.fromkeys([*pumps, *(each for each in begun if each[1])]):
        worse = _tried(regex, before, unit)
        if worse and (found is None or worse.safe_length < found.safe_length):
            found = worse
            if not found.safe_length:
                return found
    return found


def _tried(regex: re.Pattern[str], before: str, unit: str) -> ReDoS | None:
    spent, text = 0.0, ""
    for times in LADDER:
        if len(unit) * times > (LADDER[-1] if len(unit) < LONG_UNIT else LONGEST):
            break
        text = before + unit * times + _TAIL
        limit = SLOW if len(unit) * times < LADDER[-1] else VERY_SLOW
        try:
            with _limited():
                spent = _seconds(regex, text)
                if spent > limit:
                    spent = min(spent, _seconds(regex, text))
        except _TooLongError:
            return ReDoS(0, text)
        if spent > limit:
            return ReDoS(0, text)
    if spent > NOTICED:
        short = before + unit * max(1, times // 4) + _TAIL
        long, growth = _quickest(regex, text), _quickest(regex, text) / _quickest(regex, short)
        if growth > GROWS:
            # as often as the text is longer, to that power, longer it takes: 2 is quadratic
            power = math.log(growth, len(text) / len(short))
            return ReDoS(min(SAFE_QUADRATIC_LENGTH, int(len(text) * (QUICK / long) ** (1 / power))), text)
    return None


def _quickest(regex: re.Pattern[str], text: str) -> float:
    return min(_seconds(regex, text) for _ in range(TURNS))


def _seconds(regex: re.Pattern[str], text: str) -> float:
    began = time.thread_time()
    regex.search(text)
    return time.thread_time() - began


class _TooLongError(Exception):
    pass


@contextmanager
def _limited() -> Iterator[None]:
    """At most GIVEN_UP seconds of processor time, where the main thread is the only one."""

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


def _following(whole: str, lead: str, body: _Nodes, flags: int) -> Iterator[str]:
    """What the expression wants behind a repeat, where the repeat takes that as well: `.*a.*b.*c` has to choose."""
    rest = whole[len(lead) :] if whole.startswith(lead) else ""
    takes = accepted(body[0], flags) if len(body) == 1 and body[0][0] in CHARACTERS else 0
    for unit in (rest, rest.partition(MADE)[0]):  # the second: all but the address, which never comes
        if all(takes >> ord(c) & 1 for c in unit if c.isascii()):
            yield from filter(None, [unit])


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


def example(nodes: _Nodes, flags: int, groups: dict[int, str] | None = None, *, loose: bool = False) -> str:
    r"""A short text that these nodes take, assertions left out of account.

    `loose`: with a blank where an unlimited repeat takes one, so that words stand apart, as a `\b` may ask.
    """
    groups = {} if groups is None else groups
    text = ""
    for kind, value in nodes:
        if kind in CHARACTERS:
            text += _picked((kind, value), flags)
        elif kind in REPEATS:
            least, most, body = value
            blank = loose and most > MANY and len(body) == 1 and body[0][0] in CHARACTERS
            apart = blank and accepted(body[0], flags) >> ord(" ") & 1
            text += " " * max(least, 1) if apart else example(body, flags, groups, loose=loose) * least
        elif kind is op.GROUPREF:
            text += groups.get(value, "")
        elif kind not in {op.ASSERT, op.ASSERT_NOT}:
            part, inner = next(_parts(kind, value, flags), ((), 0))
            made = example(part, inner, groups, loose=loose)
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


if __name__ == "__main__":
    main()
