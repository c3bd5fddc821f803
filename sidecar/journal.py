"""The log line about a ban: a sink, so that it can be neither forgotten nor doubled.

Its words are those of fail2ban's log (`[jail] Ban 203.0.113.7`), so that what people have to read that reads this.
Nothing of the evidence is written: it is an attacker's text.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime

from sidecar.core.events import Ban, Turn

log = logging.getLogger(__name__)

YEAR_10000 = 253_402_300_800.0  # where `datetime` ends


class Journal:
    """A sink: one line for each decision."""

    name = "log"

    def apply(self, turn: Turn) -> None:
        for decision in turn.decisions:
            if isinstance(decision, Ban):
                log.info(
                    "[%s] Ban %s %s (%s)", decision.jail, decision.who, ending(decision.until), why(decision)
                )
            else:
                log.info("[%s] Unban %s (%s)", decision.jail, decision.who, decision.cause)


def ending(at: float) -> str:
    """When a ban ends, in UTC; `math.inf`, and what no calendar holds, is "for good"."""
    if at >= YEAR_10000:
        return "for good"
    return datetime.fromtimestamp(at, UTC).strftime("until %Y-%m-%d %H:%M:%S UTC")


def why(ban: Ban) -> str:
    """What led to it: `3 failures, the last in blog`, or `manual`. A file's name may hold what breaks a line."""
    if ban.cause != "failures":
        return ban.cause
    return f"{ban.failures} failure{'s' * (ban.failures != 1)}, the last in {ascii(ban.site)[1:-1]}"


def set_up(level: str, *, as_json: bool) -> None:
    """Log to stderr, where Docker looks; one line a record, as text or as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Json() if as_json else _text())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.getLogger("urllib3").setLevel(logging.WARNING)  # its debug lines hold the Slack URL
    logging.getLogger("docker").setLevel(logging.INFO)  # it tells of each look for a configuration file


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
