# ruff: noqa: PLC0415 - `import` alone reads a file
"""`export` and `import`: bans, and what is allowed, from one host to another, or from a list.

Both stream: a list of 100,000 bans is never in memory whole.
"""

from __future__ import annotations

import json
import math
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, NamedTuple

import typer

from sidecar.cli.options import InJail, Json, Socket, seconds_of, socket_path
from sidecar.cli.stdio import write_error, write_json, write_line, write_row
from sidecar.control.client import ask, stream
from sidecar.control.exit_codes import ExitCode
from sidecar.control.protocol import MAX_REQUEST_BYTES, AllowedRequest, BansRequest
from sidecar.control.transfer import ImportRequest
from sidecar.core.events import YEAR_10000
from sidecar.core.text import printable

commands = typer.Typer(rich_markup_mode=None)

STREAM_TIMEOUT_S: Final = 60.0
# A piece is one turn of the daemon's loop.
IMPORT_TIMEOUT_S: Final = 30.0
MAX_ENTRIES: Final = 2_000
# A request has a few more fields, and JSON puts two bytes between entries.
MAX_PIECE_BYTES: Final = MAX_REQUEST_BYTES - 8_192
MAX_LINE_BYTES: Final = 16_384
STANDARD_INPUT: Final = "-"
# What is counted, in the order in which it is shown, and how a dry run says it.
TOTALS: Final = {
    "banned": ("banned", "would be banned"),
    "longer": ("banned for longer", "would be banned for longer"),
    "allowed": ("allowed", "would be allowed"),
    "unbanned": (
        "unbanned, because an address is allowed",
        "would be unbanned, because an address is allowed",
    ),
    "known": ("in force before", "in force already"),
    "over": ("over already", "over already"),
}
BAN_FIELDS: Final = ("ip", "jail", "at", "until", "cause", "failures", "site", "reason")


@commands.command("export")
def export(
    *,
    bans: Annotated[bool, typer.Option("--bans", help="Only bans.")] = False,
    allowed: Annotated[
        bool, typer.Option("--allowed", help="Only what `allow` put on the allowlist.")
    ] = False,
    text: Annotated[
        bool,
        typer.Option(
            "--text", help="An address a line, a comment after #: of bans, or with --allowed of that."
        ),
    ] = False,
    jail: InJail = "",
    socket: Socket = None,
) -> None:
    """Write bans and what is allowed, a line each, for `import`. Dry runs are left out."""
    if allowed and (bans or jail):
        raise typer.BadParameter(
            "--allowed goes with neither --bans nor --jail; without these both are written"
        )
    path = socket_path(socket)
    # What is allowed comes first, so that `import` bans nobody who is.
    if allowed or not (bans or jail or text):
        for value in stream(path, AllowedRequest(), STREAM_TIMEOUT_S):
            entry = json.loads(value)
            write_row(_allowed_text(entry) if text else json.dumps({"kind": "allow", **entry}))
    if allowed:
        return
    for value in stream(path, BansRequest(evidence=False, jail=jail), STREAM_TIMEOUT_S):
        ban = json.loads(value)
        if not ban["observed"]:
            fields = {key: ban[key] for key in BAN_FIELDS}
            write_row(_ban_text(ban) if text else json.dumps({"kind": "ban", **fields}))


@commands.command("import")
def import_(
    file: Annotated[
        str, typer.Argument(metavar="[FILE|-]", help="What `export` wrote, or a list; - is standard input.")
    ] = STANDARD_INPUT,
    *,
    allow: Annotated[
        bool, typer.Option("--allow", help="Allow the addresses of plain lines, instead of banning them.")
    ] = False,
    jail: Annotated[str, typer.Option("--jail", metavar="NAME", help="Put all bans into this jail.")] = "",
    lasting: Annotated[
        str,
        typer.Option(
            "--for", metavar="TIME", help="How long plain lines hold, as 2h or 1d12h; -1 is for good."
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Change nothing; say what would come of it.")
    ] = False,
    socket: Socket = None,
    as_json: Json = False,
) -> None:
    """Take over bans, and what is allowed, from a file. It has lines of `export`, or addresses with # comments."""
    from sidecar.cli.log_lines import line_chunks, open_log

    path, seconds = socket_path(socket), seconds_of(lasting, "--for", permanent=True)
    draft = secrets.token_hex(8) if dry_run else ""
    totals: Counter[str] = Counter()
    refused: list[BadLine] = []

    def refuse(bad: Iterable[BadLine]) -> None:
        for each in bad:
            refused.append(each)
            if not as_json:
                write_error(f"line {each.line}: {each.why}")

    with open_log(file) as source:
        for piece in pieces(entries(line_chunks(source), "allow" if allow else "ban", seconds)):
            if isinstance(piece, BadLine):
                refuse([piece])
                continue
            request = ImportRequest([each.fields for each in piece], jail, dry_run, draft)
            answer = ask(path, request, IMPORT_TIMEOUT_S)
            totals.update({key: answer[key] for key in TOTALS})  # type: ignore[literal-required]
            refuse(BadLine(piece[each["index"]].line, each["why"]) for each in answer["refused"])
    if dry_run:
        # The daemon forgets the draft.
        ask(path, ImportRequest([], dry_run=True), IMPORT_TIMEOUT_S)
    if as_json:
        counts = {key: totals[key] for key in TOTALS}
        write_json({**counts, "dry_run": dry_run, "refused": [each._asdict() for each in refused]})
    else:
        _show(totals, len(refused), dry_run=dry_run)
    raise typer.Exit(ExitCode.NO if refused else ExitCode.OK)


class ListedEntry(NamedTuple):
    """What a line says, as the daemon takes it."""

    line: int
    fields: Mapping[str, Any]


class BadLine(NamedTuple):
    """A line that says nothing, and why."""

    line: int
    why: str


def entries(chunks: Iterable[bytes], kind: str, seconds: float | None) -> Iterator[ListedEntry | BadLine]:
    """Yield what each line says, of chunks of whole lines.

    A plain one is of this kind, and one without an end holds this many seconds.
    """
    lines = (line for chunk in chunks for line in chunk.split(b"\n")[:-1])
    for number, raw in enumerate(lines, 1):
        # A file that Windows wrote may begin with a mark, and nobody knows in which encoding comments are.
        text = raw.decode(errors="replace").removeprefix("\ufeff").strip()
        if len(raw) > MAX_LINE_BYTES:
            yield BadLine(number, f"is longer than {MAX_LINE_BYTES:,} bytes")
        elif text.startswith("{"):
            yield _from_json(number, text, seconds)
        elif address := text.partition("#")[0].strip():
            comment = text.partition("#")[2].strip()
            key = "comment" if kind == "allow" else "reason"
            yield ListedEntry(number, _ending({"kind": kind, "ip": address, key: comment}, seconds))


def pieces(found: Iterable[ListedEntry | BadLine]) -> Iterator[list[ListedEntry] | BadLine]:
    """Yield the entries in pieces that fit into a request each, and bad lines as they come.

    What is to be allowed is sent before the bans that were read after it, and as long as it fits in one piece: the
    daemon judges how much that is together.
    """
    waiting = {"allow": Piece(), "ban": Piece()}
    for each in found:
        if isinstance(each, BadLine):
            yield each
            continue
        piece = waiting["allow" if each.fields.get("kind") == "allow" else "ban"]
        if piece.is_full_with(each):
            yield from (full.take() for full in waiting.values() if full)
        piece.add(each)
    yield from (rest.take() for rest in waiting.values() if rest)


class Piece:
    """Entries for one request."""

    def __init__(self) -> None:
        self._entries: list[ListedEntry] = []
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._entries)

    def is_full_with(self, entry: ListedEntry) -> bool:
        """Return whether this entry has no room left."""
        return len(self._entries) >= MAX_ENTRIES or self._bytes + _size(entry) > MAX_PIECE_BYTES

    def add(self, entry: ListedEntry) -> None:
        self._entries.append(entry)
        self._bytes += _size(entry)

    def take(self) -> list[ListedEntry]:
        """Return the entries, and begin again with none."""
        taken, self._entries, self._bytes = self._entries, [], 0
        return taken


def _size(entry: ListedEntry) -> int:
    return len(json.dumps(entry.fields)) + 2


def _from_json(number: int, text: str, seconds: float | None) -> ListedEntry | BadLine:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as err:
        return BadLine(number, f"is not JSON: {err}")
    known = ("kind", "ip", "jail", "until", "for", "reason", "comment")
    fields = {key: line[key] for key in known if key in line}
    if line.get("kind") == "ban" and not fields.get("reason"):
        fields["reason"] = _cause(line)
    return ListedEntry(number, _ending(fields, seconds))


def _cause(line: Mapping[str, Any]) -> str:
    """Return why the other host banned: here a person does."""
    cause = line.get("cause", "manual")
    if cause == "failures":
        return f"{line.get('failures')} failures in {line.get('site')}"
    return "" if cause == "manual" else str(cause)


def _ending(fields: dict[str, Any], seconds: float | None) -> dict[str, Any]:
    if seconds is not None and "until" not in fields and "for" not in fields:
        # JSON has no infinity.
        fields["for"] = -1 if seconds == math.inf else seconds
    return fields


def _ban_text(ban: Mapping[str, Any]) -> str:
    why = printable(ban["reason"] or _cause(ban))
    return f"{ban['ip']}  # {printable(ban['jail'])} {_end(ban['until'])}{': ' * bool(why)}{why}"


def _allowed_text(entry: Mapping[str, Any]) -> str:
    comment = f"  # {printable(entry['comment'])}" if entry["comment"] else ""
    return f"{entry['ip']}{comment}"


def _end(until: float | None) -> str:
    if until is None or until >= YEAR_10000:
        return "for good"
    return datetime.fromtimestamp(until, UTC).strftime("until %Y-%m-%dT%H:%M:%SZ")


def _show(totals: Mapping[str, int], refused: int, *, dry_run: bool) -> None:
    for key, words in TOTALS.items():
        if totals[key] or key == "banned":
            write_line(f"{words[dry_run]}: {totals[key]:,}")
    if refused:
        write_line(f"lines that are refused: {refused:,}")
