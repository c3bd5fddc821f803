# ruff: noqa: PLC0415 - rich is loaded only where a table is shown
"""The commands that ask the running daemon."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from sidecar.cli.text import safe, when
from sidecar.config.errors import ConfigError
from sidecar.config.units import ban_duration
from sidecar.control import exit_codes
from sidecar.control.server import NoDaemon, ask
from sidecar.core.durations import format_duration

SOON = 3.0  # seconds a health check waits; Docker's own default for one is 30
PATIENCE = 60.0  # seconds for filters to be read and tried (ours take one), and for 100,000 bans to be told


def status(socket: Path, *, as_json: bool) -> None:
    reply = ask(socket, {"do": "status"})
    if as_json:
        _json(reply)
        return
    from sidecar.cli import tables

    tables.status(reply, time.time())


def reload(socket: Path, *, as_json: bool) -> int:
    """The exit code, as of check-config: where there are mistakes they are told, and nothing has changed."""
    reply = ask(socket, {"do": "reload"}, timeout=PATIENCE)
    if as_json:
        _json(reply)
    elif reply["ok"]:
        for note in reply["notes"]:
            sys.stdout.write(f"note: {safe(note)}\n")
        for name in reply["restart"]:
            sys.stdout.write(f"needs a restart to be taken over: {safe(name)}\n")
        sys.stdout.write(f"in force now: {', '.join(reply['jails'])}\n")
    else:
        for error in reply["mistakes"]:
            sys.stderr.write(f"wp-sidecar: {safe(str(ConfigError(**error)))}\n")
        sys.stderr.write("wp-sidecar: nothing was changed, the old configuration stays in force\n")
    return exit_codes.OK if reply["ok"] else exit_codes.CONFIG


def bans(socket: Path, *, observed: bool = False, fleet: bool = False, as_json: bool) -> None:
    """`observed`: only those that keep nobody out."""
    # a table shows no evidence, and that of 100,000 bans is 50 MB
    request = {"do": "bans", "evidence": as_json} | ({"fleet": True} if fleet else {})
    reply = ask(socket, request, timeout=PATIENCE)
    if observed:
        reply["bans"] = [ban for ban in reply["bans"] if ban["observed"]]
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


def unban(socket: Path, address: str | None, jail: str, *, fleet: bool = False, as_json: bool) -> None:
    reply = ask(socket, {"do": "unban", "who": address, "jail": jail} | ({"fleet": True} if fleet else {}))
    if as_json:
        _json(reply)
        return
    for lifted in reply["unbanned"]:
        sys.stdout.write(f"{lifted['ip']} is let in again in {lifted['jail']}\n")
    if fleet:
        sys.stdout.write(f"the fleet knew of {reply['fleet']} such bans, and is told to lift them\n")
    elif not reply["unbanned"]:
        sys.stdout.write(f"{safe(address)} was not banned\n" if address else "nobody was banned\n")


def history(socket: Path, address: str, *, as_json: bool) -> None:
    reply = ask(socket, {"do": "history", "who": address})
    if as_json:
        _json(reply)
        return
    for jail, times in reply["times"].items():
        sys.stdout.write(f"{reply['ip']} was banned {times} time{'s' * (times != 1)} in {jail}\n")
    if not reply["times"]:
        sys.stdout.write(f"{reply['ip']} was never banned, as far as is remembered\n")


def explain(socket: Path, address: str, *, as_json: bool) -> None:
    reply = ask(socket, {"do": "explain", "who": address})
    if as_json:
        _json(reply)
        return
    for sentence in _explained(reply):
        sys.stdout.write(sentence + "\n")


def _explained(reply: dict[str, Any]) -> Iterator[str]:
    ip = reply["ip"]
    for net in reply["within"]:
        yield f"{ip} lies in {net}, which is banned"
    everywhere = {each["never"] for each in reply["jails"]}
    if None not in everywhere and len(everywhere) == 1:
        yield f"{ip} is never banned: it is {everywhere.pop()}"
        return
    for each in reply["jails"]:
        if each["never"]:
            yield f"{each['jail']}: never banned, it is {each['never']}"
        elif ban := each["ban"]:
            how = "would be banned, and is only observed" if ban["observed"] else "banned"
            why = ban["reason"] or ban["cause"]
            yield f"{each['jail']}: {how} {_until(ban['until'])}, {safe(why)}{_before(each['times'] - 1)}"
        else:
            counts = f"{each['failures']} of {each['maxretry']} failures within {format_duration(each['findtime'])}"
            yield f"{each['jail']}: {counts}{_before(each['times'])}"


def _before(times: int) -> str:
    return f"; banned {times} time{'s' * (times != 1)} before" if times > 0 else ""


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
    return exit_codes.OK if well else exit_codes.NO


def seconds(text: str) -> float | None:
    """What `--for` says: seconds, -1 for good, None where nothing was said."""
    if not text:
        return None
    try:
        lasts = ban_duration(text)
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint="--for") from None
    return -1 if lasts == math.inf else lasts


def _until(until: float | None) -> str:
    if until is None:
        return "for good"
    return f"until {when(until)} ({format_duration(until - time.time())})"


def _json(reply: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(reply) + "\n")
