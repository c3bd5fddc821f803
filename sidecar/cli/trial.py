# ruff: noqa: PLC0415 - rich is loaded only where a table is shown
"""`test-filter`: what a filter makes of a log, and what an author should know about it."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sidecar import config, exits
from sidecar.cli.lines import Reader, chunks, framed, opened
from sidecar.cli.offline import line_of_json, text_of
from sidecar.cli.text import safe
from sidecar.config.mistakes import Mistake, Mistakes
from sidecar.core.events import Framing
from sidecar.exits import Failed
from sidecar.filters.advice import fooled, near
from sidecar.filters.following import Following
from sidecar.filters.loader import Filter, FilterMistakes, load
from sidecar.filters.matcher import Matcher
from sidecar.filters.samples import samples
from sidecar.filters.stalls import stalls
from sidecar.filters.verdict import Verdict, explain

MISSED: Final = 20  # lines that are shown; more than a screen helps nobody
LONG_LOG: Final = 8 << 20  # bytes from which on a person wants to see that it goes on; some seconds
NOTHING: Final = Verdict(matched=False)


@dataclass(frozen=True, slots=True)
class Trial:
    """One filter, as it is to be tried."""

    rules: Filter
    now: float
    zone: tzinfo | None = None
    transport: Framing | None = None


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
    rules = _filter(name, config.filter_folders(environ, filters), given)
    where = _zone(zone) if zone else None
    return Trial(rules, _time(now, where) if now else time.time(), where, transport)


def test(wanted: Trial, log: str, *, as_json: bool) -> None:
    """One verdict for each line; as JSON one object for each, else the sum of them and advice."""
    with opened(log) as stream:
        if as_json:
            for number, (_, verdict, _) in enumerate(_verdicts(wanted, stream), 1):
                line_of_json(_told(number, verdict))
            return
        seen = Sum()
        for text, verdict, framing in _verdicts(wanted, _shown(stream, log)):
            seen.add(text, verdict, framing)
    _report(wanted, seen)


def test_samples(wanted: Trial, *, as_json: bool) -> int:
    """The samples beside the filter: the exit code, and each that does not come out as it says."""
    path = next((file.with_suffix(".samples") for file in wanted.rules.files[::-1] if _beside(file)), None)
    if path is None:
        raise Failed(
            exits.NO_INPUT, f"there are no samples beside filter {wanted.rules.name}; write a .samples file"
        )
    memory = Following(wanted.rules) if wanted.rules.remembers else None
    count = wrong = 0
    try:
        for sample in samples(path):
            framing = wanted.transport or Framing.NONE
            who = explain(wanted.rules, sample.line, framing, wanted.now, wanted.zone, memory=memory).id
            count, wrong = count + 1, wrong + (who != sample.who)
            if as_json:
                line_of_json(
                    {"line": sample.number, "ok": who == sample.who, "expected": sample.who, "id": who}
                )
            elif who != sample.who:
                said = f"expected {sample.who or 'nobody'}, got {who or 'nobody'}"
                sys.stdout.write(f"{path}:{sample.number}: {said}: {safe(sample.line)}\n")
    except (OSError, ValueError) as err:
        raise Failed(exits.NO_INPUT, str(err)) from err
    if not as_json:
        sys.stdout.write(f"{count} samples: {count - wrong} as expected, {wrong} not\n")
    return exits.NO if wrong else exits.OK


@dataclass(slots=True)
class Sum:
    """What a person is shown of a log."""

    read: int = 0
    hits: Counter[int] = field(default_factory=Counter)
    dates: Counter[bool] = field(default_factory=Counter)
    missed: list[tuple[str, Framing]] = field(default_factory=list)
    spent: float = 0.0
    _began: float = 0.0

    def add(self, text: str, verdict: Verdict, framing: Framing) -> None:
        self.read += 1
        self._began = self._began or time.perf_counter()  # what came before was for the filter, not for lines
        self.spent = time.perf_counter() - self._began
        if verdict.failregex:
            self.hits[verdict.failregex] += 1
            self.dates[verdict.date is not None] += 1
        elif len(self.missed) < MISSED:
            self.missed.append((text, framing))


def _verdicts(wanted: Trial, stream: Reader) -> Iterator[tuple[str, Verdict, Framing]]:
    """A verdict for each line; those that the prefilter leaves out are not looked at."""
    rules = wanted.rules
    matcher = Matcher({rules.name: rules}, wanted.zone)
    memory = Following(rules) if rules.remembers else None
    for chunk, framing in framed(chunks(stream), wanted.transport):
        candidates = matcher.candidates(chunk)
        candidate = next(candidates, None)
        for line in chunk[:-1].split(b"\n"):  # splitlines() would see line ends where a log has none
            text = text_of(line)
            if candidate is None or line != candidate[0]:
                yield text, NOTHING, framing
                continue
            yield text, explain(rules, text, framing, wanted.now, wanted.zone, memory=memory), framing
            candidate = next(candidates, None)


def _report(wanted: Trial, seen: Sum) -> None:
    from sidecar.cli import tables

    rules = wanted.rules
    tables.hits([(number, seen.hits[number], rule.text) for number, rule in enumerate(rules.failregex, 1)])
    matched = seen.hits.total()
    sys.stdout.write(f"\n{seen.read} lines: {matched} matched, {seen.read - matched} missed\n")
    if matched:
        dated = f"{seen.dates[True]} of them have a date of their own"
        sys.stdout.write(f"{dated}; {seen.spent / seen.read * 1e6:.1f} microseconds a line\n")
    if seen.missed:
        first = f", the first {MISSED}" if seen.read - matched > MISSED else ""
        sys.stdout.write(f"missed{first}:\n")
    for text, framing in seen.missed:
        sys.stdout.write(f"  {safe(text)}\n")
        told = explain(rules, text, framing, wanted.now, wanted.zone)
        if told.date:
            sys.stdout.write(f"    its date: {safe(told.date)}\n")
        if found := near(rules, told.text):
            sys.stdout.write(f"    failregex {found.failregex} agrees as far as: {safe(found.taken)}\n")
    for warning in _warnings(rules):
        sys.stdout.write(f"warning: {warning}\n")


def _warnings(rules: Filter) -> Iterator[str]:
    for rule, line in fooled(rules):
        yield f"{_place(rule.file, rule.line)}: a visitor can have a stranger (192.0.2.1) banned: {safe(line)}"
    for rule, slow in stalls(rules):
        length = f" of more than {slow.safe} characters" if slow.safe else ""
        yield f"{_place(rule.file, rule.line)}: a line{length} may take for ever: {safe(slow.example.strip()[:200])}"


def _place(file: str, line: int) -> str:
    return f"{safe(file)}:{line}" if file else "an option"


def _told(number: int, verdict: Verdict) -> dict[str, Any]:
    return {
        "line": number,
        "matched": verdict.matched,
        "failregex": verdict.failregex,
        "id": verdict.id,
        "user": verdict.user,
        "time": verdict.time if verdict.matched else None,
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
    except FilterMistakes as err:
        if options or any(Path(mistake.file).is_file() for mistake in err.mistakes):
            wrong = [
                Mistake(m.file, "", "", f"{m.message} ({m.text})", m.line) for m in err.mistakes if m.file
            ]
            wrong += [
                Mistake("option", "", "", f"{m.message} ({m.text})") for m in err.mistakes if not m.file
            ]
            if any(Path(mistake.file).is_file() or not mistake.file for mistake in err.mistakes):
                raise Mistakes(wrong) from err
        raise Failed(exits.NO_INPUT, "; ".join(mistake.message for mistake in err.mistakes)) from err


def _beside(file: Path) -> bool:
    return file.with_suffix(".samples").is_file()


def _option(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise Failed(exits.USAGE, f'--set: expected key=value such as mode=aggressive, got "{text}"')
    return key.strip(), value


def _zone(text: str) -> tzinfo:
    try:
        if text[:1] in "+-":
            offset = datetime.strptime(text, "%z").utcoffset() or timedelta()
            return timezone(offset)
        return ZoneInfo(text)
    except (ValueError, ZoneInfoNotFoundError, OSError):
        raise Failed(exits.USAGE, f'--timezone: expected Europe/Berlin or +0200, got "{text}"') from None


def _time(text: str, zone: tzinfo | None) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise Failed(
            exits.USAGE, f'--now: expected 2026-11-22T08:40:04 or seconds since 1970, got "{text}"'
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=zone)).timestamp()
