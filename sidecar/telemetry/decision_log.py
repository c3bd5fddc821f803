"""The log line about a ban: a sink, so that it can be neither forgotten nor doubled.

Its words are those of fail2ban's log (`[jail] Ban 203.0.113.7`), so that what people have to read that reads this.
Nothing of the evidence is written: it is an attacker's text.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime
from typing import NamedTuple

from sidecar.core.events import YEAR_10000, Ban, BanCause, Decision, Turn, UnbanCause

log = logging.getLogger(__name__)

WAITING = 20_000  # lines that nobody has written yet, about 10 MB, and one turn's more
MANY = 100  # decisions in one turn; of other nodes: who comes to a fleet hears of 100,000, and each has a line there
FROM_THE_FLEET = (BanCause.FLEET, UnbanCause.FLEET)
FAREWELL = 2.0  # seconds that an exit waits for those who read our stderr


class Journal:
    """A sink: one line for each decision; for many that other nodes made one together."""

    name = "log"

    def apply(self, turn: Turn) -> None:
        decisions = turn.decisions
        if len(told := [each for each in decisions if each.cause in FROM_THE_FLEET]) > MANY:
            log.info("%d bans and unbans as other nodes told", len(told))
            decisions = tuple(each for each in decisions if each.cause not in FROM_THE_FLEET)
        if len(decisions) > MANY:  # the loop has more to do when there are thousands
            log.info("%s", Lines(decisions))
            return
        for decision in decisions:
            log.info("%s", Line(decision))


class Line(NamedTuple):
    """A decision's line; it becomes text where it is written."""

    decision: Decision

    def __str__(self) -> str:
        decision = self.decision
        if not isinstance(decision, Ban):
            return f"[{decision.jail}] Unban {decision.address} ({decision.cause})"
        word = "Would ban" if decision.dry_run else "Ban"
        return f"[{decision.jail}] {word} {decision.address} {ending(decision.until)} ({why(decision)})"


class Lines(NamedTuple):
    """Those of many decisions, in one record; `Aside` makes one of each again."""

    decisions: tuple[Decision, ...]

    def __str__(self) -> str:
        return "\n".join(str(Line(decision)) for decision in self.decisions)


def ending(at: float) -> str:
    """When a ban ends, in UTC; `math.inf`, and what no calendar holds, is "for good"."""
    if at >= YEAR_10000:
        return "for good"
    return datetime.fromtimestamp(at, UTC).strftime("until %Y-%m-%d %H:%M:%S UTC")


def why(ban: Ban) -> str:
    """What led to it: `3 failures, the last in blog`, or `manual`. A file's name may hold what breaks a line."""
    if ban.cause == BanCause.GROUP:
        return f"{ban.failures} of its hosts are banned"
    if ban.cause != BanCause.FAILURES:
        return ban.cause
    again = f", for the {ban.ban_count}. time" if ban.ban_count > 1 else ""
    return f"{ban.failures} failure{'s' * (ban.failures != 1)}, the last in {ascii(ban.origin_name)[1:-1]}{again}"


def set_up(level: str, *, as_json: bool) -> None:
    """Log to stderr, where Docker looks; one line a record, as text or as JSON. Writing never delays a ban."""
    stderr = Stderr()
    stderr.setFormatter(Json() if as_json else _text())
    logging.basicConfig(level=level, handlers=[Aside(stderr)], force=True)
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # its debug lines hold the Slack URL
    logging.getLogger("docker").setLevel(logging.INFO)  # it tells of each look for a configuration file


def dropped() -> int:
    """How many records were given up because nobody read our stderr."""
    return sum(handler.dropped for handler in logging.getLogger().handlers if isinstance(handler, Aside))


class Stderr(logging.Handler):
    """Writes lines past Python's own buffer: its lock, held by a thread that cannot write, would hold up the exit."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            rest = f"{self.format(record)}\n".encode(errors="backslashreplace")
            while rest:
                rest = rest[os.write(2, rest) :]
        except Exception:  # noqa: BLE001  as logging's own handlers do: a log line breaks nothing
            self.handleError(record)


class Aside(logging.Handler):
    """Has another handler do the work in a thread of its own: a pipe that nobody reads holds up nobody else.

    Bounded: what comes while `most` lines wait is dropped and counted, and the next line that is written says so.
    """

    def __init__(self, writer: logging.Handler, most: int = WAITING) -> None:
        super().__init__()
        self.dropped = 0
        self._writer, self._most = writer, most
        self._told = 0  # of the dropped
        self._put, self._taken = 0, 0  # lines; each is one thread's
        self._queue: queue.SimpleQueue[logging.LogRecord | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        lines = len(_decisions(record)) or 1
        if self._put - self._taken >= self._most:
            self.dropped += lines
        else:
            self._put += lines
            self._queue.put(record)

    def close(self) -> None:
        """Write what waits, as far as that is possible in `FAREWELL` seconds. `logging` calls it at the exit."""
        self._queue.put(None)
        self._thread.join(FAREWELL)
        super().close()

    def _write(self) -> None:
        while record := self._queue.get():
            self._own_up()
            for line in _apart(record):
                self._taken += 1
                self._writer.emit(line)
        self._own_up()

    def _own_up(self) -> None:
        """Say how many lines are missing here, if any are."""
        if lost := self.dropped - self._told:
            self._told += lost
            self._writer.emit(_gap(lost))


def _decisions(record: logging.LogRecord) -> tuple[Decision, ...]:
    """Those that are to have a line each; none: the record is a line itself."""
    if isinstance(record.args, tuple) and len(record.args) == 1 and isinstance(record.args[0], Lines):
        return record.args[0].decisions
    return ()


def _apart(record: logging.LogRecord) -> Iterator[logging.LogRecord]:
    """A record for each line."""
    decisions = _decisions(record)
    for decision in decisions:
        line = copy(record)
        line.args = (Line(decision),)
        yield line
    if not decisions:
        yield record


def _gap(lost: int) -> logging.LogRecord:
    words = "%d log lines are missing here: they were written faster than our stderr was read"
    return logging.LogRecord(__name__, logging.WARNING, __file__, 0, words, (lost,), None)


class Json(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "thread": record.threadName,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return json.dumps(fields)


def _text() -> logging.Formatter:
    formatter = logging.Formatter(
        "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(threadName)s: %(message)s", "%Y-%m-%dT%H:%M:%S"
    )
    formatter.converter = time.gmtime
    return formatter
