# ruff: noqa: PLC0415 - rich is loaded only where a table is shown
"""What `test-filter` shows: a verdict for each line as JSON, or for a person a summary with advice."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sidecar.cli.filter_trial import LineVerdict, Trial, decide_in_time, time_limit
from sidecar.cli.log_lines import Reader, open_log
from sidecar.cli.stdio import write_json, write_line
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
# How a stalling line ends is of no use.
MAX_STALLED_CHARS: Final = 200
# A log from this size on takes seconds, so a person sees a progress bar.
PROGRESS_FROM_BYTES: Final = 8 << 20


@dataclass(slots=True)
class Summary:
    """What a person is shown of a log. `stalled_lines` are the beginnings of the first lines that stalled."""

    lines: int = 0
    hits: Counter[int] = field(default_factory=Counter)
    dated: int = 0
    missed: list[LineVerdict] = field(default_factory=list)
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
        elif len(self.missed) < MAX_LINES_SHOWN:
            self.missed.append(line)


def try_log(trial: Trial, log: str, *, as_json: bool) -> None:
    """Show the filter's verdicts on a log: as JSON one object a line, otherwise the summary. Raises Failed."""
    with open_log(log) as stream:
        if as_json:
            for number, line in enumerate(trial.verdicts(stream), 1):
                write_json(_as_json(number, line))
            return
        summary = Summary()
        for line in trial.verdicts(_with_progress(stream, log)):
            summary.add(line)
    _show(trial, summary)


def try_samples(trial: Trial, *, as_json: bool) -> ExitCode:
    """Try the samples beside the filter, show each that fails, and return the exit code. Raises Failed."""
    path = _samples_path(trial.rules)
    tracker = trial.tracker()
    count = failed = 0
    try:
        for sample in samples(path):
            line = trial.verdict(sample.line, trial.transport or Framing.NONE, tracker)
            ok = line.verdict.id == sample.address and not line.stalled
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
    }


def _show(trial: Trial, summary: Summary) -> None:
    from sidecar.cli import tables

    rules = trial.rules
    tables.show_hits(
        [(number, summary.hits[number], rule.text) for number, rule in enumerate(rules.failregex, 1)]
    )
    matched = summary.hits.total()
    missed = summary.lines - matched - summary.stalled
    stalled = f", {summary.stalled} stalled" if summary.stalled else ""
    write_line(f"\n{summary.lines} lines: {matched} matched, {missed} missed{stalled}")
    if matched:
        speed = summary.seconds / summary.lines * 1e6
        write_line(f"{summary.dated} of them have a date of their own; {speed:.1f} microseconds a line")
    if summary.missed:
        write_line(f"missed{_first(missed)}:")
    for line in summary.missed:
        write_line(f"  {printable(line.text)}")
        for clue in _clues(trial, line):
            write_line(f"    {clue}")
    if summary.stalled_lines:
        write_line(f"stalled, given up after {MATCH_TIMEOUT_S} s each{_first(summary.stalled)}:")
    for beginning in summary.stalled_lines:
        write_line(f"  {beginning}")
    for warning in _warnings(rules):
        write_line(f"warning: {warning}")


def _clues(trial: Trial, missed: LineVerdict) -> list[str]:
    """Return the date of a line that was missed, and how far the closest expression agreed with it."""
    line, clues = missed.text.rstrip("\r\n"), []
    with suppress(RegexTimeoutError), time_limit():
        _, text = unwrapper(missed.framing)(line, trial.now, trial.zone)
        if date_in_header(missed.framing, line, text):
            undated, date = text, None
        else:
            undated, date = split_date(trial.rules, text)
        clues += [f"its date: {printable(date[1])}"] if date else []
        if found := closest(trial.rules, undated):
            clues.append(f"failregex {found.failregex} agrees as far as: {printable(found.taken)}")
    return clues


def _warnings(rules: Filter) -> Iterator[str]:
    for option in rules.unused:
        yield f"{rules.name} does not know `{printable(option)}`, so it has no effect"
    for rule, line, banned in forgeries(rules, decide_in_time):
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


def _with_progress(stream: Reader, log: str) -> Reader:
    """Return the stream, with a progress bar on the terminal where it takes a while."""
    size = Path(log).stat().st_size if log != "-" else 0
    if size < PROGRESS_FROM_BYTES or not sys.stderr.isatty():
        return stream
    from sidecar.cli import tables

    return tables.Progress(stream, size)
