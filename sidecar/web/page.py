"""The HTML of the status page: answers of commands in, pieces of text out."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from sidecar.advice.finding import HOST, Finding
from sidecar.control.protocol import (
    MIN_SHOWN_SHARE,
    AllowedEntry,
    BanEntry,
    BanOrder,
    BansAnswer,
    StatusAnswer,
    StreamStatus,
)
from sidecar.core.containers import LABEL_PREFIX
from sidecar.core.durations import format_duration
from sidecar.web.activity import SLOTS, Activity
from sidecar.web.changes import (
    ALLOW,
    BAN,
    CHECK,
    DISALLOW,
    LOGIN,
    LOGOUT,
    MAX_ADDRESS_CHARS,
    MAX_REASON_CHARS,
    UNBAN,
)
from sidecar.web.charts import bars
from sidecar.web.doctor import Checkup
from sidecar.web.html import (
    Markup,
    button,
    choice,
    document,
    field,
    form,
    section,
    table,
    text,
    titles_style,
    with_code,
)
from sidecar.web.sessions import WebSession

# Of a longer list the search finds the rest. 10,000 rows are 5 MB.
MAX_ROWS: Final = 10_000
MAX_SEARCH_LENGTH: Final = 100
# A list of this many rows is laid out as it is scrolled through.
LONG: Final = 200
ORDERS: Final[Mapping[str, str]] = {
    BanOrder.ENDS: "ends first", BanOrder.NEWEST: "newest first", BanOrder.FAILURES: "most failures first",
}  # fmt: skip
BAN_TITLES: Final = (
    "address", "jail", "reason", "failures", "container", "since", "ends", "packets dropped",
)  # fmt: skip
# Above the buttons of those who are logged in.
LIFT_TITLE: Final = "lift"
# The class of the table.
BANS: Final = "bans"
# A host has tens of sites.
MAX_LOGS: Final = 500


class PageData(NamedTuple):
    """What a page is made of. `session`: of somebody who may change bans. `allowed`: what people allowed."""

    status: StatusAnswer
    bans: BansAnswer
    activity: Activity
    search: str
    order: BanOrder
    now: float
    session: WebSession | None
    allowed: Iterable[AllowedEntry]
    # Whether there is a token to log in with.
    has_login: bool
    checkup: Checkup


def page(shown: PageData) -> Iterator[str]:
    """Yield the page."""
    status = shown.status
    is_ready = status["health"]["ready"]
    state = "healthy" if is_ready else "not healthy"
    yield from document(
        f"wp-sidecar: {state}, {status['bans']:,} banned",
        (
            '<a class="skip" href="#bans">Skip to the bans</a>\n',
            f'<header><h1>wp-sidecar</h1><p id="state" role="status" class="{"well" if is_ready else "ill"}">',
            f"{state}, {status['bans']:,} banned</p>",
        ),
        _account(shown),
        ("</header>\n<main>\n",),
        section("problems", "Problems", _problems(status["health"]["why"], status)),
        section("day", "The last 24 hours", _charts(shown.activity)),
        section("doctor", "Doctor", _doctor(shown)),
        section("sites", "Sites and logs", _sites(shown)),
        section("policy", "Policy", _policy(status)),
        _changes(shown),
        section("bans", "Bans", _search(shown), _bans(shown)),
        section("events", "Recent events", _events(shown.activity)),
        (
            "</main>\n",
            f"<footer><p>wp-sidecar {text(status['version'])}, up {format_duration(shown.now - status['started'])}, ",
            f"as of <time>{_local(shown.now)}</time>. ",
            '<a href="/metrics">Metrics</a>, <a href="/readyz">readiness</a>.</p></footer>',
        ),
        script="/page.js",
    )


def ban_titles_style() -> str:
    """Return the part of the style sheet with the titles of the bans."""
    return titles_style(BANS, (*BAN_TITLES, LIFT_TITLE))


def _account(shown: PageData) -> Iterator[str]:
    yield '<div id="account">'
    if shown.session:
        yield from form(LOGOUT, shown.session.form_key, (button("Log out"),))
    elif shown.has_login:
        yield f'<a href="{LOGIN}">Log in</a>'
    yield "</div>"


def _changes(shown: PageData) -> Iterator[str]:
    if shown.session is None:
        return
    notice, key = shown.session.notice, shown.session.form_key
    jails = [("", "the jail of bans by hand")]
    jails += [(jail["name"], jail["name"]) for jail in shown.status["jails"] if jail["name"] != "manual"]
    ban = (
        field("address", "Ban an address or a network", maxlength=MAX_ADDRESS_CHARS, required=""),
        choice("jail", "in", jails),
        field("for", "for", maxlength=20, placeholder="its ban time, or 1d"),
        field("reason", "because", maxlength=MAX_REASON_CHARS),
        button("Ban"),
    )
    allow = (
        field("allow", "Allow an address or a network", maxlength=MAX_ADDRESS_CHARS, required=""),
        field("allow-for", "for", maxlength=20, placeholder="good, or 8h"),
        field("comment", "because", maxlength=MAX_REASON_CHARS),
        button("Allow"),
    )
    said = f'<p id="notice" role="status">{text(notice)}.</p>\n' if notice else ""
    yield from section(
        "changes", "By hand", (said,), form(BAN, key, ban), form(ALLOW, key, allow), _allowed(shown, key)
    )


def _allowed(shown: PageData, key: str) -> Iterator[str]:
    rows = [
        (
            each["ip"], each["comment"], _local(each["at"]), _end(each["until"], shown.now),
            button("Take back", "allowed", each["ip"], f"Take back {each['ip']}"),
        )
        for each in shown.allowed
    ]  # fmt: skip
    if rows:
        yield from form(
            DISALLOW, key, table("Allowed", ("allowed", "because", "since", "ends", "take back"), rows)
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


def _doctor(shown: PageData) -> Iterator[str]:
    checkup = shown.checkup
    wrong = [each for each in checkup.findings if not each.ok]
    well = [each for each in checkup.findings if each.ok and each.subject == HOST]
    if checkup.at is not None:
        summary = f"{len(wrong):,} wrong of {len(checkup.findings):,} findings" if wrong else "All is well"
        yield f"<p>{summary}, as of <time>{_local(checkup.at)}</time>.</p>\n"
    if checkup.error:
        yield f'<p class="ill">{text(checkup.error)}.</p>\n'
    if checkup.is_running:
        yield "<p>It is looking now. Load the page again in a moment.</p>\n"
    yield from _findings(wrong, with_subject=True)
    if well:
        yield "<details><summary>What is well on this host</summary>"
        yield from _findings(well, with_subject=False)
        yield "</details>\n"
    if shown.session:
        yield from form(CHECK, shown.session.form_key, (button("Look again"),))


def _findings(findings: Sequence[Finding], *, with_subject: bool) -> Iterator[str]:
    """Yield findings, each with what to change."""
    if not findings:
        return
    yield '<ul class="findings">'
    for each in findings:
        where = f"{text(each.subject)}: " if with_subject else ""
        mark = "" if each.ok else "<strong>wrong</strong> "
        change = f'<span class="change">{with_code(each.change)}.</span>' if each.change else ""
        yield f"<li>{mark}{where}{with_code(each.sentence)}. {change}</li>\n"
    yield "</ul>\n"


def _sites(shown: PageData) -> Iterator[str]:
    logs = shown.status["streams"]
    if not logs:
        yield "<p>No log is read.</p>\n"
        return
    by_site: dict[str, list[Finding]] = {}
    for each in shown.checkup.findings:
        by_site.setdefault(each.subject, []).append(each)
    yield '<div class="sites">'
    for log in logs[:MAX_LOGS]:
        name = log["container"]
        yield f"<article><h3>{text(name)}</h3><dl>\n"
        for what, value in _log(log, shown.status["labels"].get(name, ()), shown.now):
            if value:
                yield f"<dt>{what}</dt><dd>{text(value)}</dd>\n"
        yield "</dl>"
        yield from _findings(by_site.get(name, []), with_subject=False)
        yield "</article>\n"
    yield "</div>\n"
    if len(logs) > MAX_LOGS:
        yield f"<p>{len(logs) - MAX_LOGS:,} more: <code>wp-sidecar status</code> has all.</p>\n"


def _log(log: StreamStatus, labels: Sequence[str], now: float) -> Iterator[tuple[str, str]]:
    """Yield what is known of a log, each with its name; what is not known is empty."""
    last = log.get("last")
    yield "log", log["state"]
    yield "last line", "" if last is None else f"{format_duration(max(0, now - last))} ago"
    yield "format", log["format"] or log.get("note", "")
    yield "understood", f"{log['understood']:,} of {log['read']:,} requests" if log["read"] else ""
    yield "ports", ", ".join(map(str, log.get("ports", ())))
    for jail in log.get("jails", ()):
        yield f"jail {text(jail['name'])}", f"{_counts(jail)}, for {_lasts(jail)}{_mode(jail)}"
    yield "labels", ", ".join(each.removeprefix(LABEL_PREFIX) for each in labels)


def _counts(jail: Mapping[str, Any]) -> str:
    return f"{jail['maxretry']} in {format_duration(jail['findtime'])}"


def _lasts(jail: Mapping[str, Any]) -> str:
    return "good" if jail["bantime"] is None else format_duration(jail["bantime"])


def _mode(jail: Mapping[str, Any]) -> str:
    return ", dry run" if jail["mode"] == "observe" else ""


def _policy(status: StatusAnswer) -> Iterator[str]:
    rows = [
        (
            jail["name"],
            _counts(jail),
            f"for {_lasts(jail)}",
            "dry run" if jail["mode"] == "observe" else "enforced",
            f"{jail['failures']:,}",
            f"{jail['active']:,}",
        )
        for jail in status["jails"]
    ]
    yield from table("Jails", ("jail", "banned after", "ban lasts", "mode", "failures", "banned now"), rows)
    shares = [(share["reason"], share["ipv4"]) for share in status["allowlist"] if share["ipv4"]]
    never = [f"{reason} ({share * 100:.2g} %)" for reason, share in shares if share >= MIN_SHOWN_SHARE]
    if small := [reason for reason, share in shares if share < MIN_SHOWN_SHARE]:
        never.append(f"and, less than 0.01 % each, {', '.join(small)}")
    if never:
        yield f"<p>Never banned, with the share of all public IPv4 addresses: {text(', '.join(never))}.</p>\n"


def _search(shown: PageData) -> Iterator[str]:
    yield (
        '<form role="search" action="/#bans" method="get"><label for="q">Address, jail or container</label> '
        f'<input id="q" name="q" type="search" maxlength="{MAX_SEARCH_LENGTH}" value="{text(shown.search)}"> '
        f"{choice('order', 'Order', ORDERS.items(), shown.order)}<button>Search</button></form>\n"
    )


def _bans(shown: PageData) -> Iterator[str]:
    bans, search = iter(shown.bans["bans"]), shown.search
    first = list(itertools.islice(bans, LONG))
    if not first:
        yield "<p>No address is banned.</p>\n" if not search else f"<p>No ban has “{text(search)}”.</p>\n"
        return
    long = BANS if len(first) == LONG else ""
    bans = itertools.chain(first, bans)
    titles = [*BAN_TITLES, *((LIFT_TITLE,) if shown.session else ())]
    if shown.session:
        # One form for all rows: 10,000 of them would double the page.
        rows = ((*_ban_row(ban, shown.now), _unban_button(ban)) for ban in bans)
        yield from form(UNBAN, shown.session.form_key, table("Bans", titles, rows, long=long))
    else:
        yield from table("Bans", titles, (_ban_row(ban, shown.now) for ban in bans), long=long)
    if more := shown.bans.get("more", 0):
        yield f"<p>{more:,} more. Search, or ask <code>wp-sidecar bans</code>.</p>\n"


def _unban_button(ban: BanEntry) -> Markup:
    return button("Unban", "ban", f"{ban['ip']} {ban['jail']}", f"Unban {ban['ip']} in {ban['jail']}")


def _ban_row(ban: BanEntry, now: float) -> tuple[str, ...]:
    reason = ban["reason"] or ban["cause"]
    dropped = ban["dropped"]
    return (
        ban["ip"], ban["jail"], f"{reason}, dry run" if ban["observed"] else reason,
        f"{ban['failures']}" if ban["failures"] else "", ban["site"], _local(ban["at"]), _end(ban["until"], now),
        "" if dropped is None else f"{dropped:,}",
    )  # fmt: skip


def _end(until: float | None, now: float) -> str:
    return "never" if until is None else f"in {format_duration(until - now)}"


def _events(activity: Activity) -> Iterator[str]:
    events = activity.events()
    if not events:
        yield "<p>Nothing was banned or unbanned since the start.</p>\n"
        return
    rows = ((_local(each.at), f"{each.address} {each.what}", each.jail, each.why) for each in events)
    yield from table("Recent events", ("time", "event", "jail", "why"), rows)


def _local(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
