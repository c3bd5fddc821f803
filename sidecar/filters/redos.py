"""ReDoS: regular expressions that one line can keep busy for seconds or for ever.

Python's `re` backtracks, holds the interpreter while it does, and cannot be interrupted from outside. So every
failregex is tried when its filter is loaded. Each unlimited repeat is pumped: it is given a text that it likes, over
and over, and then something that nothing expects. The expression has to give up, and how long that takes says how its
effort grows with the line. Only the growth counts, so the texts are short and trying costs next to nothing; it is
measured in this thread's own processor time.

Only a timer of the main thread can end a try that takes long, and it counts what all threads spend. So wherever there
is another thread, the trying is done by a worker process:

    python -m sidecar.filters.redos FD

A filter with such an expression still works: its long lines go through the sandbox first (`redos_sandbox.py`).
"""

from __future__ import annotations

import logging
import math
import re
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Final, NamedTuple

from sidecar.filters import charsets, regex_tree
from sidecar.filters.dates import DEFAULT
from sidecar.filters.loader import Filter, Rule
from sidecar.filters.regex_examples import (
    EXAMPLE_ADDRESS,
    UnlimitedRepeat,
    example,
    unlimited_repeats,
    usual_char,
)
from sidecar.filters.regex_tree import Chars, Nodes, walk
from sidecar.filters.worker_process import WorkerProcess, parent_pipe

log = logging.getLogger(__name__)

# How often a text is repeated in each step. An effort that doubles with each repeat is found out long before the next
# step would take seconds: 3^12 steps of `re` are 3 ms, 3^18 would be 2 s.
REPEATS: Final = (6, 12, 18, 24, 32, 48, 64, 128, 512)
# How long all repeats of one text may be together, for texts shorter than SHORT_PUMP_CHARS and for others.
SHORT_PUMP_CHARS: Final = 8
MAX_SHORT_PUMPED_CHARS: Final = REPEATS[-1]
MAX_PUMPED_CHARS: Final = 4_096
# An expression that takes longer is safe for no line. The first holds below MAX_SHORT_PUMPED_CHARS, the second from
# there on, where quadratic effort takes 1 to 3 ms. The third ends a try.
SLOW_S: Final = 0.005
VERY_SLOW_S: Final = 0.02
TRY_TIMEOUT_S: Final = 0.2
# How much longer four times the text may take: 4 is linear, 16 is quadratic.
MAX_GROWTH: Final = 9.0
# An expression that takes less is sound, and not measured more closely: a linear one takes 0.02 ms, `\w+ x` 0.12 ms.
NOTICEABLE_S: Final = 0.00004
# The quickest of this many measurements counts: another process may have had the processor, or its caches.
MEASUREMENTS: Final = 5
# For one expression in the worker process; the worst known takes 1 s on an idle machine.
JUDGING_TIMEOUT_S: Final = 30.0
# Expressions that are remembered with their result.
MAX_JUDGED_EXPRESSIONS: Final = 4_096
# Characters that an expression with quadratic effort walks through in some 20 ms.
SAFE_QUADRATIC_CHARS: Final = 2_048
# How long a line may take that is not tried in the sandbox first.
SAFE_LINE_S: Final = 0.02
# Stands behind the repeats; no expression of a filter expects it.
_UNEXPECTED: Final = "\x00\n"


@dataclass(frozen=True, slots=True)
class ReDoS:
    """An expression is slow on texts of more than `safe_length` characters (0: on short ones too).

    `example` is such a text.
    """

    safe_length: int
    example: str


class Pump(NamedTuple):
    """A text that keeps an expression busy: how it begins, and what is repeated."""

    lead: str
    unit: str


_known: dict[re.Pattern[str], ReDoS | None] = {}


def find_redos(regex: re.Pattern[str]) -> ReDoS | None:
    """Return the worst that was found; None if the effort grows no faster than the line."""
    return _judged([regex])[regex]


def redos_prone(log_filter: Filter) -> list[tuple[Rule, ReDoS]]:
    """Return the slow expressions of a filter, and those that could not be judged. Any thread may ask.

    It takes up to JUDGING_TIMEOUT_S for each expression.
    """
    prefregex = (log_filter.prefregex,) if log_filter.prefregex else ()
    rules = (*prefregex, *log_filter.failregex, *log_filter.ignoreregex)
    judged = _judged([rule.regex for rule in rules])
    return [(rule, found) for rule in rules if (found := judged[rule.regex])]


def redos_prone_dates(log_filter: Filter) -> list[str]:
    """Return the `datepattern`s that are slow on some short line, as written. The default list has none.

    A date is looked for before any failregex is tried, so the sandbox is no protection here.
    """
    own = [one for one in log_filter.dates.templates if one.text not in DEFAULT]
    judged = _judged([one.regex for one in own])
    return [one.text for one in own if (found := judged[one.regex]) and not found.safe_length]


def _judged(regexes: Sequence[re.Pattern[str]]) -> dict[re.Pattern[str], ReDoS | None]:
    judged = {regex: _known[regex] for regex in regexes if regex in _known}
    unknown = [regex for regex in dict.fromkeys(regexes) if regex not in judged]
    if unknown:
        alone = threading.current_thread() is threading.main_thread() and threading.active_count() == 1
        results = map(_worst, unknown) if alone else _judged_by_worker(unknown)
        found = dict(zip(unknown, results, strict=False))
        if len(_known) + len(found) > MAX_JUDGED_EXPRESSIONS:
            _known.clear()
        _known.update(found)
        judged |= {regex: found.get(regex, ReDoS(0, "")) for regex in unknown}
    return judged


def _judged_by_worker(regexes: Sequence[re.Pattern[str]]) -> list[ReDoS | None]:
    """Return what a worker process finds. Of the first that takes too long, and those behind it, nothing is known."""
    found: list[ReDoS | None] = []
    try:
        with closing(WorkerProcess("sidecar.filters.redos")) as worker:
            worker.pipe.send([(regex.pattern, regex.flags) for regex in regexes])
            while len(found) < len(regexes) and worker.pipe.poll(JUDGING_TIMEOUT_S):
                answer = worker.pipe.recv()
                found.append(None if answer is None else ReDoS(*answer))
    except (OSError, EOFError) as err:
        log.warning("the worker process that looks for ReDoS failed: %s", err)
    return found


def main() -> None:
    """Answer with the worst that was found of each expression that is sent."""
    pipe = parent_pipe()
    for pattern, flags in pipe.recv():
        found = _worst(re.compile(pattern, flags))
        pipe.send(None if found is None else (found.safe_length, found.example))


def _worst(regex: re.Pattern[str]) -> ReDoS | None:
    worst: ReDoS | None = None
    for pump in pumps(regex):
        found = _tried(regex, pump)
        if found and (worst is None or found.safe_length < worst.safe_length):
            worst = found
            if not worst.safe_length:
                return worst
    return worst


def pumps(regex: re.Pattern[str]) -> list[Pump]:
    """Return the texts that may keep an expression busy, each once."""
    tree = regex_tree.parse(regex)
    whole, spaced = example(tree), example(tree, spaced=True)
    found = [
        Pump(repeat.lead, unit)
        for repeat in unlimited_repeats(tree)
        for unit in (*_units(repeat.body), *_continuations(whole, repeat))
    ]
    # All that stands before the address.
    begun = (text.partition(EXAMPLE_ADDRESS)[0].rstrip("\n") for text in (whole, spaced))
    return list(dict.fromkeys([*found, *(Pump("", text) for text in begun if text)]))


def _units(body: Nodes) -> Iterator[str]:
    """Yield texts that a repeat takes: an example of the whole, and one of each character in it."""
    chars = (usual_char(node) for node in walk(body) if isinstance(node, Chars))
    yield from filter(None, [example(body), *chars])


def _continuations(whole: str, repeat: UnlimitedRepeat) -> Iterator[str]:
    """Yield what the expression expects behind a repeat that takes this as well.

    So `.*a.*b.*c` has to choose at each `a`. The second text leaves out the address, which never comes.
    """
    rest = whole[len(repeat.lead) :] if whole.startswith(repeat.lead) else ""
    match repeat.body:
        case (Chars(accepts),):
            pass
        case _:
            accepts = 0
    for unit in (rest, rest.partition(EXAMPLE_ADDRESS)[0]):
        if unit and all(charsets.contains(accepts, char) for char in unit):
            yield unit


def _tried(regex: re.Pattern[str], pump: Pump) -> ReDoS | None:
    """Return what this text does to the expression; None if the effort grows no faster than the text."""
    spent_s, text, times = 0.0, "", 0
    for times in REPEATS:
        pumped = len(pump.unit) * times
        if pumped > (MAX_SHORT_PUMPED_CHARS if len(pump.unit) < SHORT_PUMP_CHARS else MAX_PUMPED_CHARS):
            break
        text = pump.lead + pump.unit * times + _UNEXPECTED
        limit_s = SLOW_S if pumped < MAX_SHORT_PUMPED_CHARS else VERY_SLOW_S
        try:
            with _time_limit():
                spent_s = _seconds(regex, text)
                if spent_s > limit_s:
                    spent_s = min(spent_s, _seconds(regex, text))
        except _TooLongError:
            return ReDoS(0, text)
        if spent_s > limit_s:
            return ReDoS(0, text)
    if spent_s <= NOTICEABLE_S:
        return None
    short = pump.lead + pump.unit * max(1, times // 4) + _UNEXPECTED
    long_s = _quickest(regex, text)
    growth = _quickest(regex, text) / _quickest(regex, short)
    if growth <= MAX_GROWTH:
        return None
    # The effort grows with the length to this power: 2 is quadratic.
    power = math.log(growth, len(text) / len(short))
    return ReDoS(min(SAFE_QUADRATIC_CHARS, int(len(text) * (SAFE_LINE_S / long_s) ** (1 / power))), text)


def _quickest(regex: re.Pattern[str], text: str) -> float:
    return min(_seconds(regex, text) for _ in range(MEASUREMENTS))


def _seconds(regex: re.Pattern[str], text: str) -> float:
    began = time.thread_time()
    regex.search(text)
    return time.thread_time() - began


class _TooLongError(Exception):
    pass


@contextmanager
def _time_limit() -> Iterator[None]:
    """Allow TRY_TIMEOUT_S of processor time, where the main thread is the only one. Raises _TooLongError."""

    def give_up(*_: object) -> None:
        raise _TooLongError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, TRY_TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


if __name__ == "__main__":
    main()
