"""The commands that need no daemon: they read configuration and logs, and touch nothing."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sidecar.cli.lines import chunks, framed, opened
from sidecar.cli.text import safe, when
from sidecar.config import reader
from sidecar.config.errors import ConfigErrors
from sidecar.config.jail_keys import Shown, shown
from sidecar.config.settings import Settings
from sidecar.control import exit_codes
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Batch, Decision, Framing, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.filters.loader import Filter
from sidecar.filters.matcher import CUT_MARK, MAX_LINE_BYTES, Matcher
from sidecar.filters.verdict import time_of

MISSED = 20  # lines that are shown; more than a screen helps nobody


def check(environ: Mapping[str, str], jails: Path | None, filters: Path | None, *, as_json: bool) -> int:
    """The exit code; mistakes and notes are told, and what each jail came out as."""
    try:
        settings = reader.read(environ, jails=jails, filters=filters)
    except ConfigErrors as err:
        if not as_json:
            raise
        line_of_json(
            {"ok": False, "jails": [], "notes": [], "mistakes": [wrong.as_dict() for wrong in err.errors]}
        )
        return exit_codes.CONFIG
    found = [_jail(jail, settings.filters[jail.name]) for jail in settings.jails]
    wrong = [error.as_dict() for error in settings.errors]
    if as_json:
        line_of_json({"ok": not wrong, "jails": found, "notes": settings.notes, "mistakes": wrong})
        return exit_codes.CONFIG if wrong else exit_codes.OK
    for note in settings.notes:
        sys.stdout.write(f"note: {safe(note)}\n")
    for jail in found:
        sys.stdout.write(f"jail {jail['name']}: filter {jail['filter']}, {jail['failregex']} expressions\n")
    if settings.errors:
        raise ConfigErrors(settings.errors)
    sys.stdout.write("ok\n")
    return exit_codes.OK


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
    settings = reader.read(environ, jails=jails, filters=filters, look=False)
    _left_out(settings)
    allowlist = Allowlist(settings.allowlist.networks_by_reason(), ban_private=settings.allowlist.ban_private)
    run = _Replay(
        Guard(settings.jails, allowlist),
        settings.filters,
        Origin("replay", log, jails=tuple(settings.filters)),
    )
    with opened(log) as stream:
        for decision in run.decisions(framed(chunks(stream), transport)):
            if as_json:
                line_of_json(_decision(decision))
            else:
                sys.stdout.write(_told(decision) + "\n")
    if not as_json:
        sys.stdout.write(run.sum())


def _left_out(settings: Settings) -> None:
    for error in settings.errors:
        sys.stderr.write(f"wp-sidecar: {safe(str(error))}\n")


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
            for hit in self._matcher.scan(Batch(self._origin, chunk, framing), now).hits:
                yield from self._until(hit.at)
                made = self._guard.hits([hit], hit.at)
                self._failures += 1
                self._bans += len(made)
                last = max(last, hit.at)
                yield from made
            line = chunk[:-1].rpartition(b"\n")[2]
        ends = (time_of(rules, text_of(line), framing, now) for rules in self._filters.values())
        yield from self._until(max([last, *(end for end in ends if end is not None)]))

    def sum(self) -> str:
        ignored = self._guard.view.ignored.most_common()
        left_out = "".join(f", {number} of them not counted ({reason})" for reason, number in ignored)
        return f"{self._bans} bans, {self._failures} failures{left_out}\n"

    def _until(self, end: float) -> Iterator[Decision]:
        """The bans that are over by then, each at its own time."""
        while self._guard.next_tick() <= end:
            yield from self._guard.tick(self._guard.next_tick())
        yield from self._guard.tick(end)


def text_of(line: bytes) -> str:
    """A line as the engine sees it: what is over the limit is cut, and the cut is no line's end."""
    return line[:MAX_LINE_BYTES].decode(errors="replace") + (CUT_MARK if len(line) > MAX_LINE_BYTES else "")


def _decision(decision: Decision) -> dict[str, Any]:
    told = {"jail": decision.jail, "ip": decision.address, "time": decision.at}
    if not isinstance(decision, Ban):
        return {"action": "unban", **told}
    return {
        "action": "ban",
        **told,
        "until": None if decision.is_permanent else decision.until,
        "failures": decision.failures,
        "lines": decision.evidence,
    }


def _told(decision: Decision) -> str:
    start = f"{when(decision.at)}  {type(decision).__name__.lower():5}  {decision.address}  {decision.jail}"
    if not isinstance(decision, Ban):
        return start
    until = "for good" if decision.is_permanent else f"until {when(decision.until)}"
    return f"{start}  {decision.failures} failures, {until}"


def _jail(jail: Jail, rules: Filter) -> dict[str, Any]:
    """A jail as `check-config` shows it."""
    return {"name": jail.name, "failregex": len(rules.failregex), **shown(jail, Shown.CHECK_CONFIG)}


def line_of_json(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
