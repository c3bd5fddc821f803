# ruff: noqa: PLC0415 - rich is loaded only where a table is shown
"""The commands that need no daemon: they read configuration and logs, and touch nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sidecar import config, exits
from sidecar.cli.lines import chunks, framed, opened
from sidecar.cli.text import safe, when
from sidecar.config.mistakes import Mistake, Mistakes
from sidecar.core.events import Ban, Batch, Decision, Framing, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.trust import IGNOREIP, Trust
from sidecar.exits import Failed
from sidecar.filters.loader import Filter, FilterMistakes, load
from sidecar.filters.matcher import CUT_MARK, MAX_LINE, Matcher
from sidecar.filters.verdict import Verdict, explain

MISSED = 20  # lines that are shown; more than a screen helps nobody


def check(environ: Mapping[str, str], jails: Path | None, filters: Path | None, *, as_json: bool) -> int:
    """The exit code; mistakes and notes are told, and what each jail came out as."""
    try:
        settings = config.read(environ, jails=jails, filters=filters)
    except Mistakes as err:
        if not as_json:
            raise
        _line(
            {"ok": False, "jails": [], "notes": [], "mistakes": [_mistake(wrong) for wrong in err.mistakes]}
        )
        return exits.CONFIG
    found = [_jail(jail, settings.filters[jail.name]) for jail in settings.jails]
    if as_json:
        _line({"ok": True, "jails": found, "notes": settings.notes, "mistakes": []})
        return exits.OK
    for note in settings.notes:
        sys.stdout.write(f"note: {safe(note)}\n")
    for jail in found:
        sys.stdout.write(f"jail {jail['name']}: filter {jail['filter']}, {jail['failregex']} expressions\n")
    sys.stdout.write("ok\n")
    return exits.OK


def test(
    environ: Mapping[str, str],
    name: str,
    log: str,
    filters: Path | None,
    transport: Framing | None,
    *,
    as_json: bool,
) -> None:
    """One verdict for each line; as JSON one object for each, else the sum of them."""
    rules = _filter(name, config.filter_folders(environ, filters))
    now = time.time()
    with opened(log) as stream:
        verdicts = _verdicts(rules, framed(chunks(stream), transport), now)
        if as_json:
            for number, (_, verdict) in enumerate(verdicts, 1):
                _line(_verdict(number, verdict))
        else:
            _sum(rules, verdicts)


def replay(
    environ: Mapping[str, str],
    log: str,
    jails: Path | None,
    filters: Path | None,
    transport: Framing | None,
    *,
    as_json: bool,
) -> None:
    """Who would be banned, on the log's own time; as JSON one object for each decision, as it is made."""
    settings = config.read(environ, jails=jails, filters=filters, look=False)
    trust = Trust({IGNOREIP: settings.ignoreip}, ban_private=settings.ban_private)
    run = _Replay(
        Guard(settings.jails, trust), settings.filters, Origin("replay", log, jails=tuple(settings.filters))
    )
    with opened(log) as stream:
        for decision in run.decisions(framed(chunks(stream), transport)):
            if as_json:
                _line(_decision(decision))
            else:
                sys.stdout.write(_told(decision) + "\n")
    if not as_json:
        sys.stdout.write(run.sum())


class _Replay:
    """The engine on a log's own time: what a run would have decided, and nobody who acts on it."""

    def __init__(self, guard: Guard, filters: Mapping[str, Filter], origin: Origin) -> None:
        self._guard, self._filters, self._origin = guard, filters, origin
        self._matcher = Matcher(filters)
        self._failures, self._bans = 0, 0

    def decisions(self, read: Iterable[tuple[bytes, Framing]]) -> Iterator[Decision]:
        now = time.time()  # for lines that tell no time, and for dates without a year
        last, line, framing = -math.inf, b"", Framing.NONE
        for chunk, framing in read:
            for hit in self._matcher.scan(Batch(self._origin, chunk, framing), now):
                yield from self._until(hit.at)
                made = self._guard.hits([hit], hit.at)
                self._failures += 1
                self._bans += len(made)
                last = max(last, hit.at)
                yield from made
            line = chunk[:-1].rpartition(b"\n")[2]
        ends = (explain(rules, _text(line), framing, now).time for rules in self._filters.values())
        yield from self._until(max([last, *(end for end in ends if end is not None)]))

    def sum(self) -> str:
        ignored = self._guard.ignored.most_common()
        left_out = "".join(f", {number} of them not counted ({reason})" for reason, number in ignored)
        return f"{self._bans} bans, {self._failures} failures{left_out}\n"

    def _until(self, end: float) -> Iterator[Decision]:
        """The bans that are over by then, each at its own time."""
        while self._guard.next_tick() <= end:
            yield from self._guard.tick(self._guard.next_tick())
        yield from self._guard.tick(end)


def _verdicts(
    rules: Filter, framed: Iterable[tuple[bytes, Framing]], now: float
) -> Iterator[tuple[str, Verdict]]:
    for chunk, framing in framed:
        for line in chunk[:-1].split(b"\n"):  # splitlines() would see line ends where a log has none
            text = _text(line)
            yield text, explain(rules, text, framing, now)


def _text(line: bytes) -> str:
    """A line as the engine sees it: what is over the limit is cut, and the cut is no line's end."""
    return line[:MAX_LINE].decode(errors="replace") + (CUT_MARK if len(line) > MAX_LINE else "")


def _sum(rules: Filter, verdicts: Iterable[tuple[str, Verdict]]) -> None:
    from sidecar.cli import tables

    hits, missed, read = Counter[int](), list[str](), 0
    for text, verdict in verdicts:
        read += 1
        if verdict.failregex:
            hits[verdict.failregex] += 1
        elif len(missed) < MISSED:
            missed.append(text)
    tables.hits([(number, hits[number], rule.text) for number, rule in enumerate(rules.failregex, 1)])
    matched = hits.total()
    sys.stdout.write(f"\n{read} lines: {matched} matched, {read - matched} missed\n")
    if missed:
        sys.stdout.write("missed" + (f", the first {MISSED}" if read - matched > MISSED else "") + ":\n")
    for text in missed:
        sys.stdout.write(f"  {safe(text)}\n")


def _filter(name: str, where: list[Path]) -> Filter:
    try:
        return load(name, where)
    except FilterMistakes as err:
        if any(Path(mistake.file).is_file() for mistake in err.mistakes):
            wrong = [Mistake(m.file, "", "", f"{m.message} ({m.text})", m.line) for m in err.mistakes]
            raise Mistakes(wrong) from err
        raise Failed(exits.NO_INPUT, "; ".join(mistake.message for mistake in err.mistakes)) from err


def _verdict(number: int, verdict: Verdict) -> dict[str, Any]:
    return {
        "line": number,
        "matched": verdict.matched,
        "failregex": verdict.failregex,
        "id": verdict.id,
        "user": verdict.user,
        "time": verdict.time if verdict.matched else None,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    told = {"jail": decision.jail, "ip": decision.who, "time": decision.at}
    if not isinstance(decision, Ban):
        return {"action": "unban", **told}
    return {
        "action": "ban",
        **told,
        "until": None if decision.for_good else decision.until,
        "failures": decision.failures,
        "lines": decision.evidence,
    }


def _told(decision: Decision) -> str:
    start = f"{when(decision.at)}  {type(decision).__name__.lower():5}  {decision.who}  {decision.jail}"
    if not isinstance(decision, Ban):
        return start
    until = "for good" if decision.for_good else f"until {when(decision.until)}"
    return f"{start}  {decision.failures} failures, {until}"


def _jail(jail: Jail, rules: Filter) -> dict[str, Any]:
    return {
        "name": jail.name,
        "filter": jail.filter,
        "failregex": len(rules.failregex),
        "maxretry": jail.maxretry,
        "findtime": jail.findtime,
        "bantime": None if jail.bantime == math.inf else jail.bantime,
        "ports": None if jail.ports is None else sorted(jail.ports),
        "logpath": jail.logpath,
        "containers": jail.containers,
        "ignoreip": jail.ignoreip,
    }


def _mistake(wrong: Mistake) -> dict[str, Any]:
    return {
        "file": wrong.file, "line": wrong.line or None, "section": wrong.section, "key": wrong.key,
        "message": wrong.message,
    }  # fmt: skip


def _line(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
