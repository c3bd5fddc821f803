"""Checks of the host: daemon, configuration, Docker, kernel, clock, alerts, state and sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from sidecar.advice.facts import HostFacts
from sidecar.advice.finding import HOST, Finding
from sidecar.advice.namespace import NOT_HOST_NETWORK, USE_HOST_NETWORK
from sidecar.core.durations import format_duration

# Bans and failures carry times of the engine, and of this process.
MAX_SKEW_S: Final = 5.0
# Nobody ran this version before: 2026-01-01.
EARLIEST: Final = 1_767_225_600.0
# Several times what the store and its journal take with 100,000 bans.
MIN_FREE_BYTES: Final = 256 * 1024 * 1024
_LOCAL_HOSTS: Final = ("127.0.0.1", "localhost", "[::1]", "::1")
_STATE_VOLUME: Final = "Mount a volume: `volumes: [wp-sidecar-state:/var/lib/wp-sidecar]`, writable for root"


def _daemon(host: HostFacts) -> Iterator[Finding]:
    daemon = host.daemon
    if daemon.error:
        yield Finding.wrong(HOST, "no daemon answers, so nobody is banned by new failures", daemon.error)
        return
    yield Finding.well(HOST, f"the daemon answers: {daemon.bans:,} banned, {daemon.dry_runs:,} dry runs")
    for problem in daemon.problems:
        yield Finding.of_advice(HOST, problem)


def _configuration(host: HostFacts) -> Iterator[Finding]:
    config = host.config
    for error in config.errors:
        yield Finding.wrong(HOST, "the configuration has an error", error)
    if not config.errors:
        names = ", ".join(jail.name for jail in config.jails)
        yield Finding.well(HOST, f"the configuration has no errors; jails: {names}")
    for note in config.notes:
        yield Finding.well(HOST, "a note about the configuration", note)
    dry = [jail.name for jail in config.jails if jail.observe]
    if dry:
        sentence = f"a dry run, which drops nothing: {', '.join(dry)}"
        yield Finding.well(HOST, sentence, "To have bans enforced, remove `mode = observe`")


def _engine(host: HostFacts) -> Iterator[Finding]:
    if (engine := host.engine) is None:
        return
    if engine.error:
        yield Finding.wrong(HOST, f"Docker at {engine.url} cannot be asked", engine.error)
    else:
        yield Finding.well(HOST, f"Docker answers at {engine.url}")
    if engine.stays_stopped:
        yield Finding.wrong(
            HOST,
            "if dockerd is killed, wp-sidecar stays stopped: Docker then takes it for stopped by hand",
            "Set `restart: always` for wp-sidecar",
        )


def _kernel(host: HostFacts) -> Iterator[Finding]:
    kernel = host.kernel
    if kernel.error:
        yield Finding.wrong(HOST, "nftables cannot be used", kernel.error)
    elif kernel.has_table:
        yield Finding.well(HOST, f"the nftables table is in force (Linux {kernel.release})")
    elif host.daemon.error:
        yield Finding.well(HOST, f"nftables can be read (Linux {kernel.release}); no table is in force")
    else:
        yield Finding.wrong(
            HOST,
            "the daemon runs, and its nftables table is not here",
            "Run this command where the daemon runs: `docker exec wp-sidecar wp-sidecar doctor`",
        )


def _namespace(host: HostFacts) -> Iterator[Finding]:
    if host.kernel.is_host_network is False:
        yield Finding.wrong(
            HOST,
            NOT_HOST_NETWORK,
            USE_HOST_NETWORK,
        )
    elif host.kernel.is_host_network:
        yield Finding.well(HOST, "this is the host's network, which clients' packets pass")


def _clock(host: HostFacts) -> Iterator[Finding]:
    clock = host.clock
    skew_s = host.engine.skew_s if host.engine else None
    if clock.now < EARLIEST:
        yield Finding.wrong(HOST, "the clock is years behind", "Set it: `timedatectl set-ntp true`")
    elif skew_s is not None and abs(skew_s) > MAX_SKEW_S:
        where = "ahead of" if skew_s > 0 else "behind"
        yield Finding.wrong(
            HOST,
            f"Docker's clock is {format_duration(abs(skew_s))} {where} ours",
            "Set the clocks: `timedatectl set-ntp true`, on the machine that Docker runs on too",
        )
    else:
        yield Finding.well(HOST, "the clock is right" if skew_s is None else "the clock agrees with Docker's")
    if clock.zone_error:
        yield Finding.wrong(
            HOST, f"the time zone cannot be used: {clock.zone_error}", "Set `TZ: Europe/Berlin`, or no TZ"
        )
    else:
        yield Finding.well(
            HOST, f"dates without a zone are read as {clock.zone or 'the time zone of this system'}"
        )


def _alerts(host: HostFacts) -> Iterator[Finding]:
    for sender in host.senders:
        if sender.error:
            what = f"{sender.name} cannot reach {sender.server or 'its server'}: {sender.error}"
            yield Finding.wrong(HOST, what, f"Correct {sender.source}, or let this host connect")
        elif sender.server:
            yield Finding.well(HOST, f"{sender.name} reaches {sender.server}; nothing was sent")
        else:
            yield Finding.well(HOST, f"{sender.name}: not tried", "`wp-sidecar alert test` sends a message")
    if not host.senders and not host.config.errors:
        yield Finding.well(
            HOST, "nobody is alerted", "Set SLACK_WEBHOOK_URL, or an `action` (docs/alerts.md)"
        )


def _state(host: HostFacts) -> Iterator[Finding]:
    state = host.state
    if state.error:
        yield Finding.wrong(
            HOST, f"the state directory {state.path} cannot be used: {state.error}", _STATE_VOLUME
        )
    elif state.is_lasting is False:
        yield Finding.wrong(
            HOST, f"the state directory {state.path} is lost with this container", _STATE_VOLUME
        )
    elif state.free_bytes is not None and state.free_bytes < MIN_FREE_BYTES:
        free = state.free_bytes // (1024 * 1024)
        yield Finding.wrong(HOST, f"the disk of {state.path} has {free:,} MiB left", "Make room on it")
    else:
        yield Finding.well(HOST, f"the state directory {state.path} can be written")


def _sockets(host: HostFacts) -> Iterator[Finding]:
    sockets = host.sockets
    bad = False
    if sockets.mode is not None and sockets.mode & 0o077:
        bad = True
        yield Finding.wrong(
            HOST,
            f"other users may ban by the control socket {sockets.control} (mode {sockets.mode:04o})",
            f"chmod 0600 {sockets.control}",
        )
    address, _, port = sockets.listen.rpartition(":")
    if address and address not in _LOCAL_HOSTS:
        bad = True
        yield Finding.wrong(
            HOST,
            f"the status page and the metrics are open to others at {sockets.listen}, with addresses of clients",
            f"Set WP_SIDECAR_LISTEN=127.0.0.1:{port}, or close the port to all but your monitoring",
        )
    if _is_open_docker(sockets.docker):
        bad = True
        yield Finding.wrong(
            HOST,
            f"Docker is asked without encryption at {sockets.docker}; whoever reaches it owns the host",
            "Use the socket (unset DOCKER_HOST), a socket proxy on this host, or https:// with certificates",
        )
    if not bad:
        yield Finding.well(HOST, "no socket is open to others")


def _is_open_docker(url: str) -> bool:
    scheme, _, rest = url.partition("://")
    host = rest.partition("/")[0].rpartition(":")[0]
    # A name without a dot is a socket proxy in a network of containers.
    is_far = "." in host or ":" in host
    return scheme in ("tcp", "http") and is_far and host not in _LOCAL_HOSTS


HOST_CHECKS: list[Callable[[HostFacts], Iterable[Finding]]] = [
    _daemon, _configuration, _engine, _kernel, _namespace, _clock, _alerts, _state, _sockets,
]  # fmt: skip
