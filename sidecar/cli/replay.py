"""`replay`: the bans that a log would have led to. The engine runs on the log's own time, and nothing is banned."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sidecar.access.logs import AccessLogs
from sidecar.cli.log_lines import decode_line, line_chunks, open_log, with_framing
from sidecar.cli.stdio import write_error, write_json, write_line
from sidecar.cli.text import local_time
from sidecar.config import log_formats, reader
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Batch, Decision, Framing, Origin
from sidecar.core.guard import Guard
from sidecar.filters.loader import Filter
from sidecar.filters.matcher import Matcher
from sidecar.filters.verdict import time_of


def replay(
    environ: Mapping[str, str],
    log: str,
    jails: Path | None,
    filters: Path | None,
    transport: Framing | None,
    *,
    as_json: bool,
) -> None:
    """Show each decision as it is made: as JSON one object a line. Raises Failed and ConfigErrors."""
    settings = reader.read(environ, jails=jails, filters=filters, look=False)
    for error in settings.errors:
        write_error(str(error))
    allowlist = Allowlist(settings.allowlist.networks_by_reason(), ban_private=settings.allowlist.ban_private)
    origin = Origin("replay", log, jails=tuple(settings.filters))
    access_logs = AccessLogs(log_formats.declared(settings.jails, {}, settings.allowlist))
    engine = Replay(Guard(settings.jails, allowlist), settings.filters, origin, access_logs)
    with open_log(log) as stream:
        for decision in engine.decisions(with_framing(line_chunks(stream), transport)):
            if as_json:
                write_json(_as_json(decision))
            else:
                write_line(_as_text(decision))
    if not as_json:
        write_line(engine.summary())


class Replay:
    """Decides about a log on the log's own time, as the daemon would have decided."""

    def __init__(
        self, guard: Guard, filters: Mapping[str, Filter], origin: Origin, access_logs: AccessLogs
    ) -> None:
        self._guard = guard
        self._filters = filters
        self._origin = origin
        self._matcher = Matcher(filters, access_logs=access_logs)
        self._failures = 0
        self._bans = 0

    def decisions(self, chunks: Iterable[tuple[bytes, Framing]]) -> Iterator[Decision]:
        """Yield every ban, and every unban that falls within the log's time."""
        # For lines without a time, and for dates without a year.
        now = time.time()
        last_hit, last_line, framing = -math.inf, b"", Framing.NONE
        next_tick = self._guard.next_tick
        for chunk, framing in chunks:
            for hit in self._matcher.scan(Batch(self._origin, chunk, framing), now).hits:
                if next_tick() <= hit.at:
                    yield from self._unbans_until(hit.at)
                bans = self._guard.hits([hit], hit.at)
                self._failures += 1
                self._bans += len(bans)
                last_hit = max(last_hit, hit.at)
                yield from bans
            # Also forgets failures that are too old to count.
            yield from self._unbans_until(last_hit)
            last_line = chunk[chunk.rfind(b"\n", 0, len(chunk) - 1) + 1 : -1]
        text = decode_line(last_line)
        ends = (time_of(rules, text, framing, now) for rules in self._filters.values())
        yield from self._unbans_until(max([last_hit, *(end for end in ends if end is not None)]))

    def summary(self) -> str:
        ignored = "".join(
            f", {count} of them not counted ({reason})"
            for reason, count in self._guard.view.ignored.most_common()
        )
        return f"{self._bans} bans, {self._failures} failures{ignored}"

    def _unbans_until(self, end: float) -> Iterator[Decision]:
        """Yield the bans that end by then, each at its own time."""
        while self._guard.next_tick() <= end:
            yield from self._guard.tick(self._guard.next_tick())
        yield from self._guard.tick(end)


def _as_json(decision: Decision) -> dict[str, Any]:
    common = {"jail": decision.jail, "ip": decision.address, "time": decision.at}
    if not isinstance(decision, Ban):
        return {"action": "unban", **common}
    return {
        "action": "ban",
        **common,
        "until": None if decision.is_permanent else decision.until,
        "failures": decision.failures,
        "lines": decision.evidence,
    }


def _as_text(decision: Decision) -> str:
    action = "ban" if isinstance(decision, Ban) else "unban"
    start = f"{local_time(decision.at)}  {action:5}  {decision.address}  {decision.jail}"
    if not isinstance(decision, Ban):
        return start
    until = "for good" if decision.is_permanent else f"until {local_time(decision.until)}"
    return f"{start}  {decision.failures} failures, {until}"
