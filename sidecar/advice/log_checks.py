"""Checks of a site's logs: can they be read, is their format understood, are its clients in them?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sidecar.advice.facts import UNKNOWN_DRIVER, HostFacts, LogFacts, SiteFacts
from sidecar.advice.finding import Finding
from sidecar.core.allowlist import CONTAINERS, GATEWAY, IGNOREIP, OWN, PROXY, of_cdn, of_monitor
from sidecar.core.containers import LOG_FORMAT_LABEL
from sidecar.core.text import printable

# This few lines say nothing about a log: a server writes as many when it starts.
MIN_LINES: Final = 20
MIN_REQUESTS: Final = 5
MAX_EXAMPLE_CHARS: Final = 120
# Why requests that the host sends itself are never banned.
LOOPBACK: Final = "loopback"
_CDN: Final = of_cdn("")
_MONITOR: Final = of_monitor("")
_FILE_MOUNT: Final = (
    "Mount its folder into this container, readable for root: `volumes: [/var/log/nginx:/var/log/nginx:ro]`"
)
_BEHIND_PROXY: Final = (
    "Have the web server log the client that its proxy names: nginx `set_real_ip_from` and `real_ip_header "
    "X-Forwarded-For;`, Apache mod_remoteip; or have the proxy's own log read. See docs/sources.md, Front ends"
)
_BEHIND_GATEWAY: Final = (
    f"{_BEHIND_PROXY}. Without any proxy, Docker's own hides them: publish the ports on the host's bridge "
    "(rootful Docker), or enable IPv6 on the network"
)
_CHANGES: Final = {
    CONTAINERS: _BEHIND_GATEWAY,
    GATEWAY: _BEHIND_GATEWAY,
    OWN: _BEHIND_GATEWAY,
    PROXY: _BEHIND_PROXY,
    "a private address": f"{_BEHIND_PROXY}. If these are the clients themselves, set `ban_private = yes`",
}


def _log_is_read(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    for log in (site.log, *site.front_ends):
        what = "its log" if log is site.log else f"the log of {log.name} before it"
        if not log.error:
            yield Finding.well(
                site.log.name, f"{what} can be read{f' (driver {log.driver})' * bool(log.driver)}"
            )
        elif log.driver == UNKNOWN_DRIVER:
            yield Finding.wrong(
                site.log.name,
                f"{what} cannot be read: {log.error}",
                "Docker does not answer about it. Run `doctor` again: the container may have ended meanwhile",
            )
        elif log.driver:
            yield Finding.wrong(
                site.log.name,
                f"{what} cannot be read (driver {log.driver}): {log.error}",
                f"Give {log.name} `logging: {{driver: local}}`, and create it again "
                f"(docker compose up -d --force-recreate {log.name})",
            )
        else:
            yield Finding.wrong(site.log.name, f"{what} cannot be read: {log.error}", _FILE_MOUNT)


def _format(host: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    logs = readable(site)
    if not logs:
        return
    formats = {name: log.format for name, log in host.daemon.logs.items()}
    known = [log for log in logs if log.understood or formats.get(log.name)]
    for log in known:
        name = log.format or formats.get(log.name) or "messages of a plugin"
        yield Finding.well(site.log.name, f"the log of {log.name} is understood: {name}")
    if known:
        return
    longest = max(logs, key=lambda log: log.lines)
    if longest.lines < MIN_LINES:
        yield Finding.well(
            site.log.name,
            f"its log has {longest.lines} new lines, too few to know the format",
            "Open a page of the site, and ask again",
        )
        return
    shown = "; ".join(f'"{printable(each, MAX_EXAMPLE_CHARS)}"' for each in longest.examples[-1:])
    is_file = site.container is None
    setting = "`logformat` in the jail" if is_file else f"the label `{LOG_FORMAT_LABEL}` of {longest.name}"
    yield Finding.wrong(
        site.log.name,
        f"the log of {longest.name} is not understood: of {longest.lines:,} lines none is a request or a plugin's "
        f"message, as {shown}",
        f"Set {setting} to the web server's `log_format` or `LogFormat`, or have its access log written to stdout",
    )


def _clients(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    totals = [
        Counter({why: n for why, n in log.clients.items() if not _is_expected(why)}) for log in readable(site)
    ]
    chosen = max(totals, key=lambda each: (each[""] > each.total() / 2, each.total()), default=Counter[str]())
    count = chosen.total()
    if count < MIN_REQUESTS:
        return
    reason, most = max(chosen.items(), key=lambda each: each[1])
    if not reason or chosen[""] * 2 >= count:
        yield Finding.well(
            site.log.name, f"its log has the clients' own addresses ({chosen['']} of {count} requests)"
        )
        return
    yield Finding.wrong(
        site.log.name,
        f"of {count} requests {most} have {reason} as their client, which is never banned",
        _change_for(reason),
    )


def _is_expected(reason: str) -> bool:
    """Return whether requests from there say nothing about other clients: a person named them, or they are checks."""
    return reason in (LOOPBACK, IGNOREIP) or reason.startswith(_MONITOR)


def _change_for(reason: str) -> str:
    if reason.startswith(_CDN):
        return (
            "Ban at the CDN (its firewall), and log the visitor: nginx `real_ip_header CF-Connecting-IP;`, "
            "Apache `RemoteIPHeader`. See docs/allowlist.md"
        )
    return _CHANGES.get(reason, _BEHIND_PROXY)


def readable(site: SiteFacts) -> list[LogFacts]:
    return [log for log in (site.log, *site.front_ends) if not log.error]


LOG_CHECKS: list[Callable[[HostFacts, SiteFacts], Iterable[Finding]]] = [_log_is_read, _format, _clients]
