# ruff: noqa: PLC0415 - rich is loaded only where a table is shown
"""`test-filter`: what a filter makes of a log, and what an author should know about it."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar.cli.lines import Reader, chunks, framed, opened
from sidecar.cli.offline import line_of_json, text_of
from sidecar.cli.text import safe
from sidecar.config import reader
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.control import exit_codes
from sidecar.control.exit_codes import Failed
from sidecar.core.events import Framing
from sidecar.filters.database import PatternDatabase
from sidecar.filters.framing import unwrapper
from sidecar.filters.lint import STRANGER, closest, forgeries
from sidecar.filters.loader import Filter, FilterErrors, load
from sidecar.filters.redos import redos_prone
from sidecar.filters.redos_sandbox import MATCH_TIMEOUT_S, RegexTimeoutError
from sidecar.filters.samples import samples
from sidecar.filters.sessions import SessionTracker
from sidecar.filters.verdict import Failure, Tracker, Verdict, date_in_header, decide, explain, split_date

MISSED: Final = 20  # lines that are shown; more than a screen helps nobody
SHOWN: Final = 200  # characters of a line that stalls; where it does not end is of no use
LONG_LOG: Final = 8 << 20  # bytes from which on a person wants to see that it goes on; some seconds
NOTHING: Final = Verdict(matched=False)


@dataclass(frozen=True, slots=True)
class Trial:
    """One filter, as it is to be tried."""

    rules: Filter
    now: float
    zone: tzinfo | None = None
    transport: Framing | None = None


class Tried(NamedTuple):
    """A line, and what the filter says about it: nothing where an expression stalled."""

    text: str
    framing: Framing
    verdict: Verdict = NOTHING
    stalled: bool = False


def trial(
    environ: Mapping[str, str],
    name: str,
    *,
    filters: Path | None = None,
    options: Sequence[str] = (),
    usedns: str = "",
    now: str = "",
    zone: str = "",
    transport: Framing | None = None,
) -> Trial:
    """The filter of this name with these `key=value` options. Raises Failed, Mistakes."""
    given = dict(_option(option) for option in options)
    if usedns:
        given["usedns"] = usedns
    rules = _filter(name, reader.filter_folders(environ, filters), given)
    where = _zone(zone) if zone else None
    return Trial(rules, _time(now, where) if now else time.time(), where, transport)


def test(wanted: Trial, log: str, *, as_json: bool) -> None:
    """One verdict for each line; as JSON one object for each, else the sum of them and advice."""
    with opened(log) as stream:
        if as_json:
            for number, tried in enumerate(_verdicts(wanted, stream), 1):
                line_of_json(_told(number, tried))
            return
        seen = Sum()
        for tried in _verdicts(wanted, _shown(stream, log)):
            seen.add(tried)
    _report(wanted, seen)


def test_samples(wanted: Trial, *, as_json: bool) -> int:
    """The samples beside the filter: the exit code, and each that does not come out as it says."""
    path = next((file.with_suffix(".samples") for file in wanted.rules.files[::-1] if _beside(file)), None)
    if path is None:
        raise Failed(
            exit_codes.NO_INPUT,
            f"there are no samples beside filter {wanted.rules.name}; write a .samples file",
        )
    tracker = SessionTracker(wanted.rules) if wanted.rules.needs_earlier_lines else None
    count = wrong = 0
    try:
        for sample in samples(path):
            tried = _tried(wanted, sample.line, wanted.transport or Framing.NONE, tracker)
            address, stalled = tried.verdict.id, tried.stalled
            ok = address == sample.address and not stalled
            count, wrong = count + 1, wrong + (not ok)
            if as_json:
                told = {"line": sample.number, "ok": ok, "expected": sample.address, "id": address}
                line_of_json({**told, "stalled": stalled})
            elif not ok:
                got = (
                    f"stalled: {_begun(sample.line)}"
                    if stalled
                    else f"{address or 'nobody'}: {safe(sample.line)}"
                )
                sys.stdout.write(
                    f"{path}:{sample.number}: expected {sample.address or 'nobody'}, got {got}\n"
                )
    except (OSError, ValueError) as err:
        raise Failed(exit_codes.NO_INPUT, str(err)) from err
    if not as_json:
        sys.stdout.write(f"{count} samples: {count - wrong} as expected, {wrong} not\n")
    return exit_codes.NO if wrong else exit_codes.OK


@dataclass(slots=True)
class Sum:
    """What a person is shown of a log."""

    read: int = 0
    hits: Counter[int] = field(default_factory=Counter)
    dates: Counter[bool] = field(default_factory=Counter)
    missed: list[Tried] = field(default_factory=list)
    stalled: int = 0
    begun: list[str] = field(default_factory=list)  # how those began that stalled
    spent: float = 0.0
    _began: float = 0.0

    def add(self, tried: Tried) -> None:
        verdict = tried.verdict
        self.read += 1
        self._began = self._began or time.perf_counter()  # what came before was for the filter, not for lines
        self.spent = time.perf_counter() - self._began
        if tried.stalled:
            self.stalled += 1
            self.begun += [_begun(tried.text)] if len(self.begun) < MISSED else []
        elif verdict.failregex:
            self.hits[verdict.failregex] += 1
            self.dates[verdict.date is not None] += 1
        elif len(self.missed) < MISSED:
            self.missed.append(tried)


def _verdicts(wanted: Trial, stream: Reader) -> Iterator[Tried]:
    """A verdict for each line; those that the prefilter leaves out are not looked at."""
    rules = wanted.rules
    database = PatternDatabase([rules])
    tracker = SessionTracker(rules) if rules.needs_earlier_lines else None
    for chunk, framing in framed(chunks(stream), wanted.transport):
        candidates = database.candidates(chunk)
        candidate = next(candidates, None)
        for line in chunk[:-1].split(b"\n"):  # splitlines() would see line ends where a log has none
            text = text_of(line)
            if candidate is None or line != candidate[0]:
                yield Tried(text, framing)
                continue
            yield _tried(wanted, text, framing, tracker)
            candidate = next(candidates, None)


def _tried(wanted: Trial, text: str, framing: Framing, tracker: Tracker | None) -> Tried:
    try:
        with _patiently():
            verdict = explain(wanted.rules, text, framing, wanted.now, wanted.zone, tracker=tracker)
    except RegexTimeoutError:
        return Tried(text, framing, stalled=True)
    return Tried(text, framing, verdict)


@contextmanager
def _patiently() -> Iterator[None]:
    """What takes more than PATIENCE of processor time is given up: raises StalledError.

    A command runs in the main thread, where a signal ends what `re` does. So, other than the daemon's canary, this
    also stops expressions that nobody knew to stall, and those of dates.
    """

    def give_up(*_: object) -> None:
        raise RegexTimeoutError

    before = signal.signal(signal.SIGVTALRM, give_up)
    signal.setitimer(signal.ITIMER_VIRTUAL, MATCH_TIMEOUT_S, MATCH_TIMEOUT_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def _decided(rules: Filter, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
    """As `decide()`; a text that stalls is no failure."""
    with suppress(RegexTimeoutError), _patiently():
        return decide(rules, text, candidates)
    return None


def _begun(text: str) -> str:
    return safe(text[:SHOWN]) + ("…" if len(text) > SHOWN else "")


def _report(wanted: Trial, seen: Sum) -> None:
    from sidecar.cli import tables

    rules = wanted.rules
    tables.hits([(number, seen.hits[number], rule.text) for number, rule in enumerate(rules.failregex, 1)])
    matched = seen.hits.total()
    missed = seen.read - matched - seen.stalled
    stalled = f", {seen.stalled} stalled" if seen.stalled else ""
    sys.stdout.write(f"\n{seen.read} lines: {matched} matched, {missed} missed{stalled}\n")
    if matched:
        told = f"{seen.dates[True]} of them have a date of their own"
        sys.stdout.write(f"{told}; {seen.spent / seen.read * 1e6:.1f} microseconds a line\n")
    if seen.missed:
        sys.stdout.write(f"missed{_first(missed)}:\n")
    for tried in seen.missed:
        sys.stdout.write(f"  {safe(tried.text)}\n")
        for clue in _clues(wanted, tried):
            sys.stdout.write(f"    {clue}\n")
    if seen.begun:
        sys.stdout.write(f"stalled, given up after {MATCH_TIMEOUT_S} s each{_first(seen.stalled)}:\n")
    for text in seen.begun:
        sys.stdout.write(f"  {text}\n")
    for warning in _warnings(rules):
        sys.stdout.write(f"warning: {warning}\n")


def _first(number: int) -> str:
    return f", the first {MISSED}" if number > MISSED else ""


def _clues(wanted: Trial, missed: Tried) -> list[str]:
    """The date of a line that was missed, and how near it came. No failregex decides it again."""
    line, clues = missed.text.rstrip("\r\n"), []
    with suppress(RegexTimeoutError), _patiently():
        _, text = unwrapper(missed.framing)(line, wanted.now, wanted.zone)
        seen, date = (
            (text, None) if date_in_header(missed.framing, line, text) else split_date(wanted.rules, text)
        )
        clues += [f"its date: {safe(date[1])}"] if date else []
        if found := closest(wanted.rules, seen):
            clues.append(f"failregex {found.failregex} agrees as far as: {safe(found.taken)}")
    return clues


def _warnings(rules: Filter) -> Iterator[str]:
    for option in rules.unused:
        yield f"{rules.name} knows no `{safe(option)}`, so that changes nothing"
    for rule, line, banned in forgeries(rules, _decided):
        told = f"a visitor can have a stranger ({banned}) banned"
        if banned != STRANGER:
            told = (
                f"what stands before the address takes its beginning, and a stranger ({banned}) is banned;"
                " put a blank or a word between them"
            )
        yield f"{_place(rule.file, rule.line)}: {told}: {safe(line)}"
    for rule, slow in redos_prone(rules):
        length = f" of more than {slow.safe_length} characters" if slow.safe_length else ""
        yield f"{_place(rule.file, rule.line)}: a line{length} may take for ever: {safe(slow.example.strip()[:200])}"


def _place(file: str, line: int) -> str:
    return f"{safe(file)}:{line}" if file else "an option"


def _told(number: int, tried: Tried) -> dict[str, Any]:
    verdict = tried.verdict
    return {
        "line": number,
        "matched": verdict.matched,
        "failregex": verdict.failregex,
        "id": verdict.id,
        "user": verdict.user,
        "time": verdict.time if verdict.matched else None,
        "stalled": tried.stalled,
    }


def _shown(stream: Reader, log: str) -> Reader:
    """The same, with a bar on the terminal where it will take a while."""
    size = Path(log).stat().st_size if log != "-" else 0
    if size < LONG_LOG or not sys.stderr.isatty():
        return stream
    from sidecar.cli import tables

    return tables.Progress(stream, size)


def _filter(name: str, where: list[Path], options: Mapping[str, str]) -> Filter:
    try:
        return load(name, where, options)
    except FilterErrors as err:
        if options or any(Path(error.file).is_file() for error in err.errors):
            wrong = [
                ConfigError(m.file, "", "", f"{m.message} ({m.text})", m.line) for m in err.errors if m.file
            ]
            wrong += [
                ConfigError("option", "", "", f"{m.message} ({m.text})") for m in err.errors if not m.file
            ]
            if any(Path(error.file).is_file() or not error.file for error in err.errors):
                raise ConfigErrors(wrong) from err
        raise Failed(exit_codes.NO_INPUT, "; ".join(error.message for error in err.errors)) from err


def _beside(file: Path) -> bool:
    return file.with_suffix(".samples").is_file()


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise Failed(exit_codes.USAGE, f'--set: expected key=value such as mode=aggressive, got "{text}"')
    return key.strip(), value


def _zone(text: str) -> tzinfo:
    try:
        if text[:1] in "+-":
            offset = datetime.strptime(text, "%z").utcoffset() or timedelta()
            return timezone(offset)
        return ZoneInfo(text)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise Failed(exit_codes.USAGE, f'--timezone: expected Europe/Berlin or +0200, got "{text}"') from None


def _time(text: str, zone: tzinfo | None) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Failed(
            exit_codes.USAGE, f'--now: expected 2026-11-22T08:40:04 or seconds since 1970, got "{text}"'
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
