# ruff: noqa: PLC0415 - rich is loaded only where a table is shown
"""The commands that ask the running daemon."""

from __future__ import annotations

import json
import math
import sys
import time
from pathlib import Path
from typing import Any

import typer

from sidecar import exits
from sidecar.cli.text import safe, when
from sidecar.config.units import duration, lasting
from sidecar.control import NoDaemon, ask

SOON = 3.0  # seconds a health check waits; Docker's own default for one is 30


def status(socket: Path, *, as_json: bool) -> None:
    reply = ask(socket, {"do": "status"})
    if as_json:
        _json(reply)
        return
    from sidecar.cli import tables

    tables.status(reply, time.time())


def bans(socket: Path, *, as_json: bool) -> None:
    reply = ask(socket, {"do": "bans"})
    if as_json:
        _json(reply)
        return
    from sidecar.cli import tables

    tables.bans(reply["bans"], time.time())


def ban(socket: Path, address: str, jail: str, lasts: float | None, reason: str, *, as_json: bool) -> None:
    """`lasts`: seconds, -1 for good, None as long as the jail says."""
    request = {"do": "ban", "who": address, "jail": jail, "for": lasts, "reason": reason}
    reply = ask(socket, request)
    if as_json:
        _json(reply)
        return
    for made in reply["banned"]:
        sys.stdout.write(f"{made['ip']} is banned in {made['jail']} {_until(made['until'])}\n")
    if not reply["banned"]:
        sys.stdout.write(f"{safe(address)} is banned for at least as long already\n")


def unban(socket: Path, address: str | None, jail: str, *, as_json: bool) -> None:
    reply = ask(socket, {"do": "unban", "who": address, "jail": jail})
    if as_json:
        _json(reply)
        return
    for lifted in reply["unbanned"]:
        sys.stdout.write(f"{lifted['ip']} is let in again in {lifted['jail']}\n")
    if not reply["unbanned"]:
        sys.stdout.write(f"{safe(address)} was not banned\n" if address else "nobody was banned\n")


def healthcheck(socket: Path, *, as_json: bool) -> int:
    """The exit code. No daemon is no different from one that is unwell."""
    try:
        health = ask(socket, {"do": "health"}, timeout=SOON)
    except (NoDaemon, PermissionError) as err:
        health = {"live": False, "ready": False, "why": [str(err)]}
    well = health["live"] and health["ready"]
    if as_json:
        _json(health)
    elif well:
        sys.stdout.write("ok\n")
    else:
        for sentence in health["why"] or ["not ready"]:
            sys.stderr.write(f"wp-sidecar: {safe(sentence)}\n")
    return exits.OK if well else exits.NO


def seconds(text: str) -> float | None:
    """What `--for` says: seconds, -1 for good, None where nothing was said."""
    if not text:
        return None
    try:
        lasts = duration(text, for_good=True)
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint="--for") from None
    return -1 if lasts == math.inf else lasts


def _until(until: float | None) -> str:
    if until is None:
        return "for good"
    return f"until {when(until)} ({lasting(until - time.time())})"


def _json(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
