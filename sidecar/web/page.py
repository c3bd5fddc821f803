"""The status page as an application of the web server: GET alone, no cookie, nothing that it could change."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import parse_qs

from sidecar.control.protocol import BanEntry, StatusAnswer
from sidecar.core.durations import format_duration
from sidecar.runtime.http_server import HttpRequest, HttpResponse
from sidecar.web.activity import SLOTS, Activity
from sidecar.web.charts import bars
from sidecar.web.html import section, table, text

# Of a longer list the search finds the rest. 10,000 rows are 2 MB.
MAX_ROWS: Final = 10_000
MAX_SEARCH_LENGTH: Final = 100
# Pieces of text that are sent together.
PIECES: Final = 500

HTML: Final = "text/html; charset=utf-8"
# Nothing from elsewhere, no inline script or style, in no frame; a form leads here.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
FOLDER: Final = Path(__file__).parent
ASSETS: Final = {
    "/style.css": ("style.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


class Commands(Protocol):
    """The commands of the control socket. Called from several threads at a time."""

    def answer(self, fields: Mapping[str, Any], /) -> Mapping[str, Any]: ...


class StatusPage:
    """Answers `/`, and the two files that the page loads."""

    methods = ("GET", "HEAD")
    paths: Final = frozenset({"/", *ASSETS})

    def __init__(self, commands: Commands, activity: Activity) -> None:
        self._commands = commands
        self._activity = activity

    def respond(self, request: HttpRequest) -> HttpResponse:
        if asset := ASSETS.get(request.path):
            name, content_type = asset
            return HttpResponse(HTTPStatus.OK, (FOLDER / name).read_bytes(), content_type, HEADERS)
        search = parse_qs(request.query, max_num_fields=10).get("q", [""])[0][:MAX_SEARCH_LENGTH]
        status: Any = self._commands.answer({"do": "status"})
        bans: Any = self._commands.answer({"do": "bans", "evidence": False})["bans"]
        page = _page(status, iter(bans), self._activity, search.strip(), time.time())
        return HttpResponse(HTTPStatus.OK, _encoded(page), HTML, HEADERS)


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    while some := "".join(itertools.islice(pieces, PIECES)):
        yield some.encode()


def _page(
    status: StatusAnswer, bans: Iterator[BanEntry], activity: Activity, search: str, now: float
) -> Iterator[str]:
    health = status["health"]
    state = "healthy" if health["ready"] else "not healthy"
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>wp-sidecar: {state}, {status['bans']:,} banned</title>"
        '<link rel="stylesheet" href="/style.css"><script src="/page.js" defer></script></head>\n<body>'
        '<a class="skip" href="#bans">Skip to the bans</a>\n'
        f'<header><h1>wp-sidecar</h1><p id="state" role="status" class="{"well" if health["ready"] else "ill"}">'
        f"{state}, {status['bans']:,} banned</p></header>\n<main>\n"
    )
    yield from section("problems", "Problems", _problems(health["why"], status))
    yield from section("day", "The last 24 hours", _charts(activity))
    yield from section("sites", "Logs", _sites(status))
    yield from section("policy", "Policy", _policy(status))
    yield from section("bans", "Bans", _search(search), _bans(bans, search, now))
    yield from section("events", "Recent events", _events(activity))
    yield (
        f"</main>\n<footer><p>wp-sidecar {text(status['version'])}, up {format_duration(now - status['started'])}, "
        f'as of <time>{_local(now)}</time>. <a href="/metrics">Metrics</a>'
        ".</p></footer></body></html>\n"
    )


def _problems(sentences: Iterable[str], status: StatusAnswer) -> Iterator[str]:
    found = [*sentences, *status.get("remarks", ())]
    if not found:
        yield "<p>None.</p>\n"
        return
    yield "<ul>"
    for sentence in found:
        yield f"<li>{text(sentence)}</li>"
    yield "</ul>\n"


def _charts(activity: Activity) -> Iterator[str]:
    slots = activity.slots()
    yield '<div class="charts">'
    yield from bars("Failures", [(each.at, each.failures) for each in slots], SLOTS)
    yield from bars("Bans", [(each.at, each.bans) for each in slots], SLOTS)
    yield from bars("Packets dropped", [(each.at, each.drops) for each in slots], SLOTS)
    yield "</div>\n"


def _sites(status: StatusAnswer) -> Iterator[str]:
    labels = status["labels"]
    rows = [
        (
            log["container"],
            log["state"],
            log["format"] or log.get("note", ""),
            f"{log['understood']:,} of {log['read']:,}" if log["read"] else "",
            ", ".join(labels.get(log["container"], ())),
        )
        for log in status["streams"]
    ]
    if not rows:
        yield "<p>No log is read.</p>\n"
        return
    yield from table("Logs", ("log", "state", "format", "requests understood", "labels in force"), rows)


def _policy(status: StatusAnswer) -> Iterator[str]:
    rows = [
        (
            jail["name"],
            f"{jail['maxretry']} in {format_duration(jail['findtime'])}",
            "for good" if jail["bantime"] is None else format_duration(jail["bantime"]),
            "dry run" if jail["mode"] == "observe" else "enforced",
            f"{jail['failures']:,}",
            f"{jail['active']:,}",
        )
        for jail in status["jails"]
    ]
    yield from table("Jails", ("jail", "banned after", "ban lasts", "mode", "failures", "banned now"), rows)
    never = [
        f"{share['reason']} ({share['ipv4'] * 100:.2g} % of IPv4)"
        for share in status["allowlist"]
        if share["ipv4"]
    ]
    if never:
        yield f"<p>Never banned: {text(', '.join(never))}.</p>\n"


def _search(search: str) -> Iterator[str]:
    yield (
        '<form role="search" action="/#bans" method="get"><label for="q">Address, jail or container</label> '
        f'<input id="q" name="q" type="search" maxlength="{MAX_SEARCH_LENGTH}" value="{text(search)}"> '
        "<button>Search</button></form>\n"
    )


def _bans(bans: Iterator[BanEntry], search: str, now: float) -> Iterator[str]:
    found = (ban for ban in bans if not search or _matches(ban, search.lower()))
    first = list(itertools.islice(found, MAX_ROWS))
    more = sum(1 for _ in found)
    if not first:
        yield "<p>No address is banned.</p>\n" if not search else f"<p>No ban has “{text(search)}”.</p>\n"
        return
    titles = ("address", "jail", "reason", "failures", "container", "since", "ends")
    yield from table("Bans", titles, (_ban_row(ban, now) for ban in first))
    if more:
        yield f"<p>{more:,} more. Search, or ask <code>wp-sidecar bans</code>.</p>\n"


def _matches(ban: BanEntry, search: str) -> bool:
    return any(search in part.lower() for part in (ban["ip"], ban["jail"], ban["site"], ban["reason"]))


def _ban_row(ban: BanEntry, now: float) -> tuple[str, ...]:
    ends = "never" if ban["until"] is None else f"in {format_duration(ban['until'] - now)}"
    reason = ban["reason"] or ban["cause"]
    return (
        ban["ip"], ban["jail"], f"{reason}, dry run" if ban["observed"] else reason,
        f"{ban['failures']}" if ban["failures"] else "", ban["site"], _local(ban["at"]), ends,
    )  # fmt: skip


def _events(activity: Activity) -> Iterator[str]:
    events = activity.events()
    if not events:
        yield "<p>Nothing was banned or unbanned since the start.</p>\n"
        return
    rows = ((_local(each.at), f"{each.address} {each.what}", each.jail, each.why) for each in events)
    yield from table("Recent events", ("time", "event", "jail", "why"), rows)


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
