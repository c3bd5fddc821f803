"""What is wrong with this host and its sites, and the line to change: facts in, findings out.

A check is a row of `HOST_CHECKS` or `SITE_CHECKS`: a function that yields what it found. It does nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sidecar.advice.exposure import exposure
from sidecar.advice.facts import Facts, HostFacts, LogFacts, SiteFacts
from sidecar.advice.finding import HOST, Finding
from sidecar.advice.unwatched import unwatched
from sidecar.core.allowlist import CONTAINERS, GATEWAY, IGNOREIP, OWN, PROXY, of_cdn, of_monitor
from sidecar.core.containers import ENABLE_LABEL, LOG_FORMAT_LABEL, Container
from sidecar.core.durations import format_duration
from sidecar.core.front_ends import serves_web
from sidecar.core.text import printable

# Bans and failures carry times of the engine, and of this process.
MAX_SKEW_S: Final = 5.0
# Nobody ran this version before: 2026-01-01.
EARLIEST: Final = 1_767_225_600.0
# Several times what the store and its journal take with 100,000 bans.
MIN_FREE_BYTES: Final = 256 * 1024 * 1024
# So few lines say nothing about a log: a server writes as many when it starts.
MIN_LINES: Final = 20
MIN_REQUESTS: Final = 5
MAX_SHOWN: Final = 5
MAX_EXAMPLE_CHARS: Final = 120
LOOPBACK: Final = "loopback"
_LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]", "::1")
_CDN: Final = of_cdn("")
_MONITOR: Final = of_monitor("")


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Return what every check found, the host first."""
    found = [each for check in HOST_CHECKS for each in check(facts.host)]
    found += [each for check in WATCH_CHECKS for each in check(facts)]
    found += [each for site in facts.sites for check in SITE_CHECKS for each in check(facts.host, site)]
    return tuple(dict.fromkeys(found))


def _daemon(host: HostFacts) -> Iterator[Finding]:
    daemon = host.daemon
    if daemon.error:
        yield _wrong(HOST, "no daemon answers, so nobody is banned by new failures", daemon.error)
        return
    yield _well(HOST, f"the daemon answers: {daemon.bans:,} banned, {daemon.dry_runs:,} dry runs")
    for problem in daemon.problems:
        sentence, change = _split(problem)
        yield _wrong(HOST, sentence, change)


def _configuration(host: HostFacts) -> Iterator[Finding]:
    config = host.config
    for error in config.errors:
        yield _wrong(HOST, "the configuration has an error", error)
    if not config.errors:
        names = ", ".join(jail.name for jail in config.jails)
        yield _well(HOST, f"the configuration has no errors; jails: {names}")
    for note in config.notes:
        yield _well(HOST, "a note about the configuration", note)
    dry = [jail.name for jail in config.jails if jail.observe]
    if dry:
        sentence = f"a dry run, which drops nothing: {', '.join(dry)}"
        yield _well(HOST, sentence, "To have bans enforced, remove `mode = observe`")


def _engine(host: HostFacts) -> Iterator[Finding]:
    if (engine := host.engine) is None:
        return
    if engine.error:
        yield _wrong(HOST, f"Docker at {engine.url} cannot be asked", engine.error)
    else:
        yield _well(HOST, f"Docker answers at {engine.url}")


def _kernel(host: HostFacts) -> Iterator[Finding]:
    kernel = host.kernel
    if kernel.error:
        yield _wrong(HOST, "nftables cannot be used", kernel.error)
    elif kernel.has_table:
        yield _well(HOST, f"the nftables table is in force (Linux {kernel.release})")
    elif host.daemon.error:
        yield _well(HOST, f"nftables can be read (Linux {kernel.release}); no table is in force")
    else:
        yield _wrong(
            HOST,
            "the daemon runs, and its nftables table is not here",
            "Run this command where the daemon runs: `docker exec wp-sidecar wp-sidecar doctor`",
        )


def _namespace(host: HostFacts) -> Iterator[Finding]:
    if host.kernel.sees_containers is False:
        yield _wrong(
            HOST,
            "this is not the host's network, so no packet of a client passes the firewall",
            "Set `network_mode: host` for wp-sidecar",
        )
    elif host.kernel.sees_containers:
        yield _well(HOST, "this is the host's network, which clients' packets pass")


def _clock(host: HostFacts) -> Iterator[Finding]:
    clock = host.clock
    skew_s = host.engine.skew_s if host.engine else None
    if clock.now < EARLIEST:
        yield _wrong(HOST, "the clock is years behind", "Set it: `timedatectl set-ntp true`")
    elif skew_s is not None and abs(skew_s) > MAX_SKEW_S:
        where = "ahead of" if skew_s > 0 else "behind"
        yield _wrong(
            HOST,
            f"Docker's clock is {format_duration(abs(skew_s))} {where} ours",
            "Set the clocks: `timedatectl set-ntp true`, on the machine that Docker runs on too",
        )
    else:
        yield _well(HOST, "the clock is right" if skew_s is None else "the clock agrees with Docker's")
    if clock.zone_error:
        yield _wrong(
            HOST, f"the time zone cannot be used: {clock.zone_error}", "Set `TZ: Europe/Berlin`, or no TZ"
        )
    else:
        yield _well(HOST, f"dates without a zone are read as {clock.zone or 'the time zone of this system'}")


def _alerts(host: HostFacts) -> Iterator[Finding]:
    for sender in host.senders:
        if sender.error:
            what = f"{sender.name} cannot reach {sender.server or 'its server'}: {sender.error}"
            yield _wrong(HOST, what, f"Correct {sender.source}, or let this host connect")
        elif sender.server:
            yield _well(HOST, f"{sender.name} reaches {sender.server}; nothing was sent")
        else:
            yield _well(HOST, f"{sender.name}: not tried", "`wp-sidecar alert test` sends a message")
    if not host.senders and not host.config.errors:
        yield _well(HOST, "nobody is alerted", "Set SLACK_WEBHOOK_URL, or an `action` (docs/alerts.md)")


def _state(host: HostFacts) -> Iterator[Finding]:
    state = host.state
    if state.error:
        yield _wrong(HOST, f"the state directory {state.path} cannot be used: {state.error}", _STATE_VOLUME)
    elif state.is_lasting is False:
        yield _wrong(HOST, f"the state directory {state.path} is lost with this container", _STATE_VOLUME)
    elif state.free_bytes is not None and state.free_bytes < MIN_FREE_BYTES:
        free = state.free_bytes // (1024 * 1024)
        yield _wrong(HOST, f"the disk of {state.path} has {free:,} MiB left", "Make room on it")
    else:
        yield _well(HOST, f"the state directory {state.path} can be written")


_STATE_VOLUME: Final = "Mount a volume: `volumes: [wp-sidecar-state:/var/lib/wp-sidecar]`, writable for root"


def _sockets(host: HostFacts) -> Iterator[Finding]:
    sockets = host.sockets
    bad = False
    if sockets.mode is not None and sockets.mode & 0o077:
        bad = True
        yield _wrong(
            HOST,
            f"other users may ban by the control socket {sockets.control} (mode {sockets.mode:04o})",
            f"chmod 0600 {sockets.control}",
        )
    address, _, port = sockets.listen.rpartition(":")
    if address and address not in _LOCAL_HOSTS:
        bad = True
        yield _wrong(
            HOST,
            f"the status page and the metrics are open to others at {sockets.listen}, with addresses of clients",
            f"Set WP_SIDECAR_LISTEN=127.0.0.1:{port}, or close the port to all but your monitoring",
        )
    if _is_open_docker(sockets.docker):
        bad = True
        yield _wrong(
            HOST,
            f"Docker is asked without encryption at {sockets.docker}; whoever reaches it owns the host",
            "Use the socket (unset DOCKER_HOST), a socket proxy on this host, or https:// with certificates",
        )
    if not bad:
        yield _well(HOST, "no socket is open to others")


def _is_open_docker(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition(":")[0]
    # A name without a dot is a socket proxy in a network of containers.
    is_far = "." in host or ":" in host
    return scheme in ("tcp", "http") and is_far and host not in _LOCAL_HOSTS


def _sites(facts: Facts) -> Iterator[Finding]:
    engine = facts.host.engine
    # Where Docker is not asked, logs may be those of Kubernetes, which the daemon alone knows.
    if not facts.sites and engine and not engine.error:
        yield _wrong(
            HOST,
            "no log of a site is watched",
            f'Start WordPress; or give its container `labels: {ENABLE_LABEL}: "true"`, or a jail a `logpath`',
        )


def _logs_of_daemon(facts: Facts) -> Iterator[Finding]:
    """Look at the logs that the daemon alone reads: those of Kubernetes, of files of Docker, and of syslog."""
    looked_at = {log.name for site in facts.sites for log in (site.log, *site.front_ends)}
    for name, log in facts.host.daemon.logs.items():
        if name in looked_at or log.state == "closed":
            continue
        if log.state == "unreadable":
            yield _wrong(
                name, "its log cannot be read", "See docs/sources.md for the log drivers that can be"
            )
        else:
            yield _well(name, f"the daemon reads its log{f' ({log.format})' * bool(log.format)}")


def _unwatched(facts: Facts) -> Iterator[Finding]:
    for name in facts.unwatched:
        sentence, change = _split(unwatched(name))
        yield _wrong(HOST, sentence, change)


def _labels(facts: Facts) -> Iterator[Finding]:
    for sentence in facts.labels:
        yield _wrong(HOST, *_split(sentence))


def _log_is_read(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    for log in (site.log, *site.front_ends):
        what = "its log" if log is site.log else f"the log of {log.name} before it"
        if not log.error:
            yield _well(site.log.name, f"{what} can be read{f' (driver {log.driver})' * bool(log.driver)}")
        elif log.driver:
            yield _wrong(
                site.log.name,
                f"{what} cannot be read (driver {log.driver}): {log.error}",
                f"Give {log.name} `logging: {{driver: local}}`, and create it again "
                f"(docker compose up -d --force-recreate {log.name})",
            )
        else:
            yield _wrong(site.log.name, f"{what} cannot be read: {log.error}", _FILE_MOUNT)


_FILE_MOUNT: Final = (
    "Mount its folder into this container, readable for root: `volumes: [/var/log/nginx:/var/log/nginx:ro]`"
)


def _format(host: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    logs = _readable(site)
    if not logs:
        return
    formats = {name: log.format for name, log in host.daemon.logs.items()}
    known = [log for log in logs if log.understood or formats.get(log.name)]
    for log in known:
        name = log.format or formats.get(log.name) or "messages of a plugin"
        yield _well(site.log.name, f"the log of {log.name} is understood: {name}")
    if known:
        return
    longest = max(logs, key=lambda log: log.lines)
    if longest.lines < MIN_LINES:
        yield _well(
            site.log.name,
            f"its log has {longest.lines} new lines, too few to know the format",
            "Open a page of the site, and ask again",
        )
        return
    shown = "; ".join(f'"{printable(each, MAX_EXAMPLE_CHARS)}"' for each in longest.examples[-1:])
    is_file = site.container is None
    setting = "`logformat` in the jail" if is_file else f"the label `{LOG_FORMAT_LABEL}` of {longest.name}"
    yield _wrong(
        site.log.name,
        f"the log of {longest.name} is not understood: of {longest.lines:,} lines none is a request or a plugin's "
        f"message, as {shown}",
        f"Set {setting} to the web server's `log_format` or `LogFormat`, or have its access log written to stdout",
    )


def _clients(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    totals = [
        Counter({why: n for why, n in log.clients.items() if not _is_expected(why)})
        for log in _readable(site)
    ]
    chosen = max(totals, key=lambda each: (each[""] > each.total() / 2, each.total()), default=Counter[str]())
    count = chosen.total()
    if count < MIN_REQUESTS:
        return
    reason, most = max(chosen.items(), key=lambda each: each[1])
    if not reason or chosen[""] * 2 >= count:
        yield _well(
            site.log.name, f"its log has the clients' own addresses ({chosen['']} of {count} requests)"
        )
        return
    yield _wrong(
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


def _ports(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    if (container := site.container) is None:
        return
    name = site.log.name
    entrances = [container, *(each for each in container.front_ends if serves_web(each))]
    for each in entrances:
        if each.bypasses_firewall:
            yield _wrong(
                name,
                f"{each.name} is on a macvlan or ipvlan network, so its packets pass no firewall of the host",
                "Put it on a bridge network, and publish its ports",
            )
            return
    published = sorted(frozenset[int]().union(*(each.published for each in entrances)))
    if published:
        yield _well(name, f"bans close the ports that lead to it: {_listed(published)}")
    elif any(each.is_on_host for each in entrances) or any(jail.ports is None for jail in site.jails):
        yield _well(name, f"bans close the ports of its jails: {_of_jails(site)}")
    else:
        yield _well(
            name,
            f"no container publishes a port that leads to it, so bans close the ports of its jails: {_of_jails(site)}",
            "If a web server on the host listens elsewhere, set `port` in the jail",
        )


def _of_jails(site: SiteFacts) -> str:
    if any(jail.ports is None for jail in site.jails):
        return "all"
    return _listed(sorted(frozenset[int]().union(*(jail.ports or () for jail in site.jails)))) or "none"


def _ipv6(_: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    if site.container is None:
        return
    if why := exposure(site.container):
        sentence, change = _split(why)
        yield _wrong(site.log.name, sentence, change)
    elif _is_published(site.container):
        yield _well(site.log.name, "IPv6 clients are not hidden behind Docker's userland proxy")


def _is_published(container: Container) -> bool:
    return any(each.published for each in (container, *container.front_ends))


def _would_ban(host: HostFacts, site: SiteFacts) -> Iterator[Finding]:
    if not _readable(site):
        return
    if not site.would_ban:
        yield _well(site.log.name, "by its newest lines nobody would be banned now")
        return
    shown = [f"{address} ({jail})" for address, jail in site.would_ban]
    more = f" and {len(shown) - MAX_SHOWN:,} more" if len(shown) > MAX_SHOWN else ""
    change = "Start the daemon" if host.daemon.error else "`wp-sidecar explain ADDR` says how each stands"
    yield _well(
        site.log.name,
        f"by its newest lines {len(shown):,} would be banned now: {', '.join(shown[:MAX_SHOWN])}{more}",
        change,
    )


HOST_CHECKS: list[Callable[[HostFacts], Iterable[Finding]]] = [
    _daemon, _configuration, _engine, _kernel, _namespace, _clock, _alerts, _state, _sockets,
]  # fmt: skip
WATCH_CHECKS: list[Callable[[Facts], Iterable[Finding]]] = [_sites, _unwatched, _labels, _logs_of_daemon]
SITE_CHECKS: list[Callable[[HostFacts, SiteFacts], Iterable[Finding]]] = [
    _log_is_read, _format, _clients, _ports, _ipv6, _would_ban,
]  # fmt: skip


def _well(subject: str, sentence: str, change: str = "") -> Finding:
    return Finding(subject, ok=True, sentence=sentence, change=change)


def _wrong(subject: str, sentence: str, change: str) -> Finding:
    return Finding(subject, ok=False, sentence=sentence, change=change)


def _readable(site: SiteFacts) -> list[LogFacts]:
    return [log for log in (site.log, *site.front_ends) if not log.error]


def _split(text: str) -> tuple[str, str]:
    """Return the first sentence, and the rest, which says what to change."""
    sentence, _, change = text.partition(". ")
    return sentence, change


def _listed(ports: Iterable[int]) -> str:
    return ", ".join(map(str, ports))
