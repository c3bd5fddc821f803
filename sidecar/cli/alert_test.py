"""`alert test`: one message by each sender, at once and without the outbox."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidecar.alerts import compose
from sidecar.alerts.channels import Channel
from sidecar.alerts.notices import Notice
from sidecar.alerts.occurrences import Occurrence
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.app.reporting import channels
from sidecar.cli.stdio import write_json, write_line
from sidecar.config import reader
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.actions import AlertEvent
from sidecar.core.events import BanCause

TIMEOUT_S: Final = 15.0
BANTIME_S: Final = 86_400.0
# An address of documentation (RFC 5737).
EXAMPLE: Final = "203.0.113.7"


def run(
    environ: Mapping[str, str],
    jails: Path | None,
    filters: Path | None,
    name: str,
    *,
    ban: bool,
    as_json: bool,
) -> ExitCode:
    """Send, show the results, and return the exit code. Raises ConfigErrors, and Failed where there is no sender."""
    settings = reader.read(environ, jails=jails, filters=filters, look=False)
    found = [channel for channel in channels(settings) if name in ("", channel.sender.name)]
    if not found:
        sentence = f"there is no sender {name}" if name else "no sender is configured"
        raise Failed(
            ExitCode.CONFIG,
            f"{sentence}: set SLACK_WEBHOOK_URL, or an `action` (docs/alerts.md); check-config has notes",
        )
    results = {channel.sender.name: _result(channel, _notice(channel, ban=ban)) for channel in found}
    failed = any(results.values())
    if as_json:
        senders = [{"name": each, "sent": not why, "why": why or None} for each, why in results.items()]
        write_json({"ok": not failed, "senders": senders})
    else:
        for each, why in results.items():
            write_line(f"{each}: {why or 'sent'}")
    return ExitCode.NO if failed else ExitCode.OK


def _notice(channel: Channel, *, ban: bool) -> Notice:
    now = time.time()
    if not ban:
        return compose.trial(now)
    jail = next(iter(channel.actions), "wordpress")
    example = Occurrence(
        AlertEvent.BAN, jail, EXAMPLE, now, "example", now + BANTIME_S, BANTIME_S, str(BanCause.FAILURES), 3,
        lines=(f"This is a test: Authentication failure for admin from {EXAMPLE}",),
    )  # fmt: skip
    return compose.described(example)


def _result(channel: Channel, notice: Notice) -> str:
    """Return why the message was not sent; "": it was."""
    try:
        channel.sender.send(notice, TIMEOUT_S)
    except (Delayed, Rejected, MessageRefused) as err:
        return str(err)
    return ""
