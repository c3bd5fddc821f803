# ruff: noqa: PLC0415 - rich is loaded only where a table is shown
"""What `test-filter` shows: a verdict for each line as JSON, or for a person a summary with advice."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from sidecar.access.detect import AccessLog
from sidecar.cli.filter_trial import LineVerdict, Trial, decide_in_time, time_limit
from sidecar.cli.log_lines import open_log
from sidecar.cli.meter import NO_METER, meter_of
from sidecar.cli.stdio import terminal_width, write_json, write_line, write_paragraph
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.events import Framing
from sidecar.core.text import printable
from sidecar.filters.framing import unwrapper
from sidecar.filters.lint import STRANGER, closest, forgeries
from sidecar.filters.loader import Filter
from sidecar.filters.redos import redos_prone
from sidecar.filters.redos_sandbox import MATCH_TIMEOUT_S, RegexTimeoutError
from sidecar.filters.samples import Sample, samples
from sidecar.filters.verdict import date_in_header, split_date

# More do not fit on a screen.
MAX_LINES_SHOWN: Final = 20
# This many of the missed lines, taken at random, are compared with the expressions, and for this long.
MAX_COMPARED_LINES: Final = 500
MAX_COMPARING_S: Final = 2.0
# An expression that is longer is shown whole only on request.
MAX_EXPRESSION_CHARS: Final = 100
MIN_EXPRESSION_CHARS: Final = 20
# What stands beside an expression: its number and its hits, or that it is an `ignoreregex`.
BESIDE_EXPRESSION_CHARS: Final = 22
# Where the rest of a line stands that is longer than the terminal is wide.
CONTINUED: Final = " " * 8
# How a stalling line ends is of no use.
MAX_STALLED_CHARS: Final = 200


@dataclass(slots=True)
class Summary:
    """What a person is shown of a log.

    `ignored` and `missed` are some of these lines, and `stalled_lines` the beginnings of the first that stalled.
    """

    lines: int = 0
    hits: Counter[int] = field(default_factory=Counter)
    dated: int = 0
    ignored_count: int = 0
    ignored: list[LineVerdict] = field(default_factory=list)
    missed: LineSample = field(default_factory=lambda: LineSample(MAX_COMPARED_LINES))
    stalled: int = 0
    stalled_lines: list[str] = field(default_factory=list)
    seconds: float = 0.0
    _began: float = 0.0

    def add(self, line: LineVerdict) -> None:
        verdict = line.verdict
        self.lines += 1
        # From the first line on: the time before it was the filter's.
        self._began = self._began or time.perf_counter()
        self.seconds = time.perf_counter() - self._began
        if line.stalled:
            self.stalled += 1
            if len(self.stalled_lines) < MAX_LINES_SHOWN:
                self.stalled_lines.append(_beginning(line.text))
        elif verdict.failregex:
            self.hits[verdict.failregex] += 1
            self.dated += verdict.date is not None
        elif line.ignored_by:
            self.ignored_count += 1
            if len(self.ignored) < MAX_LINES_SHOWN:
                self.ignored.append(line)
        else:
            self.missed.add(line)


class LineSample:
    """Some of many lines, each text once; every line has the same chance (Vitter's algorithm R)."""

    def __init__(self, size: int) -> None:
        self.lines: list[LineVerdict] = []
        self._size, self._seen = size, 0
        # The same log gives the same sample.
        self._random = random.Random(0)  # noqa: S311
        self._texts: set[str] = set()

    def add(self, line: LineVerdict) -> None:
        if line.text in self._texts:
            return
        self._seen += 1
        if len(self.lines) < self._size:
            self.lines.append(line)
        elif (at := self._random.randrange(self._seen)) < self._size:
            self._texts.discard(self.lines[at].text)
            self.lines[at] = line
        else:
            return
        self._texts.add(line.text)


def try_log(trial: Trial, log: str, *, as_json: bool, full: bool = False) -> None:
    """Show the filter's verdicts on a log: as JSON one object a line, otherwise the summary. Raises Failed.

    With `full`, expressions of any length are shown whole.
    """
    reader = trial.reader()
    meter = NO_METER if as_json else meter_of([log])
    with open_log(log, meter) as stream:
        if as_json:
            for number, line in enumerate(trial.verdicts(stream, reader), 1):
                # Only filters on requests have one.
                request = {"request": line.verdict.text or None} if reader else {}
                write_json(_as_json(number, line) | request)
            return
        summary = Summary()
        for line in trial.verdicts(stream, reader):
            summary.add(line)
    meter.close()
    _show(trial, summary, reader.log if reader else None, full=full)


def try_samples(trial: Trial, *, as_json: bool) -> ExitCode:
    """Try the samples beside the filter, show each that fails, and return the exit code. Raises Failed."""
    path = _samples_path(trial.rules)
    # Each sample may have another format, unless one is given.
    tracker, reader = trial.tracker(), trial.reader() if trial.access_format else None
    count = failed = 0
    try:
        for sample in samples(path):
            line = trial.verdict(sample.line, trial.transport or Framing.NONE, tracker, reader)
            # A client behind a proxy is reported, and does not count.
            counted = None if line.verdict.peer else line.verdict.id
            ok = counted == sample.address and not line.stalled
            count, failed = count + 1, failed + (not ok)
            if as_json:
                write_json(_sample_as_json(sample, line, ok=ok))
            elif not ok:
                expected = sample.address or "no match"
                write_line(f"{path}:{sample.number}: expected {expected}, got {_outcome(line)}")
    except (OSError, ValueError) as err:
        raise Failed(ExitCode.NO_INPUT, str(err)) from err
    if not as_json:
        write_line(f"{count} samples: {count - failed} as expected, {failed} not")
    return ExitCode.NO if failed else ExitCode.OK


def _samples_path(rules: Filter) -> Path:
    """Return the samples beside the filter's own file, or beside one that it includes."""
    for file in rules.files[::-1]:
        path = file.with_suffix(".samples")
        if path.is_file():
            return path
    raise Failed(ExitCode.NO_INPUT, f"there are no samples beside filter {rules.name}; write a .samples file")


def _outcome(line: LineVerdict) -> str:
    if line.stalled:
        return f"stalled: {_beginning(line.text)}"
    return f"{line.verdict.id or 'no match'}: {printable(line.text)}"


def _sample_as_json(sample: Sample, line: LineVerdict, *, ok: bool) -> dict[str, Any]:
    return {
        "line": sample.number,
        "ok": ok,
        "expected": sample.address,
        "id": line.verdict.id,
        "stalled": line.stalled,
    }


def _as_json(number: int, line: LineVerdict) -> dict[str, Any]:
    verdict = line.verdict
    return {
        "line": number,
        "matched": verdict.matched,
        "failregex": verdict.failregex,
        "id": verdict.id,
        "user": verdict.user,
        "time": verdict.time if verdict.matched else None,
        "stalled": line.stalled,
        "ignored_by": line.ignored_by or None,
    }


def _show(trial: Trial, summary: Summary, log: AccessLog | None, *, full: bool) -> None:
    """Show examples and warnings, and then the totals, which are what is on the screen at the end."""
    width = terminal_width()
    _show_ignored(summary, width, full=full)
    _show_missed(trial, summary.missed.lines, width)
    if summary.stalled_lines:
        write_line(f"stalled, given up after {MATCH_TIMEOUT_S} s each{_first(summary.stalled)}:")
    for beginning in summary.stalled_lines:
        write_paragraph(beginning, width)
    for warning in _warnings(trial.rules):
        write_paragraph(f"warning: {warning}", width, indent="")
    _show_totals(trial.rules, summary, log, full=full)


def _show_totals(rules: Filter, summary: Summary, log: AccessLog | None, *, full: bool) -> None:
    from sidecar.cli import tables

    tables.show_hits(
        (number, summary.hits[number], _expression(rule.text, full=full))
        for number, rule in enumerate(rules.failregex, 1)
    )
    matched = summary.hits.total()
    write_line("")
    if log:
        of_format = f"of the format {log.format}" if log.format else "of any format that is known"
        write_line(f"{log.understood} lines are requests {of_format}")
    if matched:
        speed = summary.seconds / summary.lines * 1e6
        write_line(f"{summary.dated} matched lines have a date of their own; {speed:.1f} microseconds a line")
    missed = summary.lines - matched - summary.stalled - summary.ignored_count
    stalled = f", {summary.stalled} stalled" if summary.stalled else ""
    write_line(
        f"{summary.lines} lines: {matched} matched, {missed} missed, {summary.ignored_count} ignored{stalled}"
    )


def _show_ignored(summary: Summary, width: int | None, *, full: bool) -> None:
    if summary.ignored:
        write_line(f"ignored{_first(summary.ignored_count)}:")
    for line in summary.ignored:
        write_paragraph(line.text, width, indent=CONTINUED, first="  ")
        expression = _expression(line.ignored_by, full=full)
        write_paragraph(f"by ignoreregex: {expression}", width, indent=CONTINUED, first="    ")


def _show_missed(trial: Trial, lines: Sequence[LineVerdict], width: int | None) -> None:
    nearest = _nearest_first(trial, lines)
    if nearest:
        some = f"{MAX_LINES_SHOWN}" if len(nearest) > MAX_LINES_SHOWN else "first"
        write_line(f"missed, the nearest {some}:")
    for missed in nearest[:MAX_LINES_SHOWN]:
        write_paragraph(missed.line.text, width, indent=CONTINUED, first="  ")
        for clue in missed.clues:
            write_paragraph(clue, width, indent=CONTINUED, first="    ")


def _expression(text: str, *, full: bool) -> str:
    """Return an expression as it is shown: unless it is wanted whole, it fits into a table on the terminal."""
    width = terminal_width() or math.inf
    most = int(max(min(MAX_EXPRESSION_CHARS, width - BESIDE_EXPRESSION_CHARS), MIN_EXPRESSION_CHARS))
    return text if full or len(text) <= most else f"{text[:most]}…"


class MissedLine(NamedTuple):
    """A line that no expression matched, and for people how close one came. `nearness` orders such lines."""

    line: LineVerdict
    nearness: tuple[float, int] = (0.0, 0)
    clues: tuple[str, ...] = ()


def _nearest_first(trial: Trial, lines: Sequence[LineVerdict]) -> list[MissedLine]:
    """Return these lines, first those of which an expression matches most; last those for which time ran out."""
    end = time.process_time() + MAX_COMPARING_S
    compared = [_compared(trial, line) if time.process_time() < end else MissedLine(line) for line in lines]
    return sorted(compared, key=lambda missed: missed.nearness, reverse=True)


def _compared(trial: Trial, missed: LineVerdict) -> MissedLine:
    """Return a line that was missed with its date, and how far the closest expression agreed with it."""
    line, clues, nearness = missed.text.rstrip("\r\n"), [], (0.0, 0)
    if trial.rules.reads_requests:
        return _compared_request(trial.rules, missed)
    with suppress(RegexTimeoutError), time_limit():
        _, text = unwrapper(missed.framing)(line, trial.now, trial.zone)
        if date_in_header(missed.framing, line, text):
            undated, date = text, None
        else:
            undated, date = split_date(trial.rules, text)
        clues += [f"its date: {printable(date[1])}"] if date else []
        if found := closest(trial.rules, undated):
            clues.append(f"failregex {found.failregex} agrees as far as: {printable(found.taken)}")
            nearness = found.share, len(found.taken)
    return MissedLine(missed, nearness, tuple(clues))


def _compared_request(rules: Filter, missed: LineVerdict) -> MissedLine:
    """Return a line that was missed with the request that it was read as, and how far an expression agreed."""
    request = missed.verdict.text
    if not request:
        return MissedLine(missed, clues=("no request of a known format",))
    clues, nearness = [f"read as: {printable(request)}"], (0.0, 0)
    with suppress(RegexTimeoutError), time_limit():
        if found := closest(rules, request):
            clues.append(f"failregex {found.failregex} agrees as far as: {printable(found.taken)}")
            nearness = found.share, len(found.taken)
    return MissedLine(missed, nearness, tuple(clues))


def _warnings(rules: Filter) -> Iterator[str]:
    for option in rules.unused:
        yield f"{rules.name} does not know `{printable(option)}`, so it has no effect"
    # In the canonical line of a request no text of a client begins another field, so none of these lines can exist.
    for rule, line, banned in () if rules.reads_requests else forgeries(rules, decide_in_time):
        sentence = f"a visitor can have a stranger ({banned}) banned"
        if banned != STRANGER:
            sentence = (
                f"what stands before the address takes its beginning, and a stranger ({banned}) is banned;"
                " put a blank or a word between them"
            )
        yield f"{_place(rule.file, rule.line)}: {sentence}: {printable(line)}"
    for rule, slow in redos_prone(rules):
        length = f" of more than {slow.safe_length} characters" if slow.safe_length else ""
        example = printable(slow.example.strip()[:MAX_STALLED_CHARS])
        yield f"{_place(rule.file, rule.line)}: a line{length} may take for ever: {example}"


def _place(file: str, line: int) -> str:
    return f"{printable(file)}:{line}" if file else "an option"


def _first(count: int) -> str:
    return f", the first {MAX_LINES_SHOWN}" if count > MAX_LINES_SHOWN else ""


def _beginning(text: str) -> str:
    return printable(text[:MAX_STALLED_CHARS]) + ("…" if len(text) > MAX_STALLED_CHARS else "")
