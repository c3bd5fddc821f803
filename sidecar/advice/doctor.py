"""What is wrong with this host and its sites, and the line to change: facts in, findings out.

A check is a row of a table: a function that yields what it found. It does nothing else.

    host_checks    the daemon, configuration, Docker, kernel, clock, alerts, state, sockets
    here           which logs are watched
    log_checks     can a site's logs be read and understood, and are its clients in them?
    site_checks    what a ban does for the site
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from sidecar.advice.facts import Facts
from sidecar.advice.finding import HOST, Finding
from sidecar.advice.host_checks import HOST_CHECKS
from sidecar.advice.log_checks import LOG_CHECKS
from sidecar.advice.site_checks import SITE_CHECKS
from sidecar.advice.unwatched import unwatched
from sidecar.core.containers import ENABLE_LABEL


def examine(facts: Facts) -> tuple[Finding, ...]:
    """Return what every check found, the host first."""
    found = [each for check in HOST_CHECKS for each in check(facts.host)]
    found += [each for check in WATCH_CHECKS for each in check(facts)]
    for site in facts.sites:
        found += [each for check in (*LOG_CHECKS, *SITE_CHECKS) for each in check(facts.host, site)]
    return tuple(dict.fromkeys(found))


def _sites(facts: Facts) -> Iterator[Finding]:
    engine = facts.host.engine
    # Where Docker is not asked, logs may be those of Kubernetes, which the daemon alone knows.
    if not facts.sites and engine and not engine.error:
        yield Finding.wrong(
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
            yield Finding.wrong(
                name, "its log cannot be read", "See docs/sources.md for the log drivers that can be"
            )
        else:
            yield Finding.well(name, f"the daemon reads its log{f' ({log.format})' * bool(log.format)}")


def _unwatched(facts: Facts) -> Iterator[Finding]:
    for name in facts.unwatched:
        yield Finding.of_advice(HOST, unwatched(name))


def _labels(facts: Facts) -> Iterator[Finding]:
    for sentence in facts.labels:
        yield Finding.of_advice(HOST, sentence)


WATCH_CHECKS: list[Callable[[Facts], Iterable[Finding]]] = [_sites, _unwatched, _labels, _logs_of_daemon]
