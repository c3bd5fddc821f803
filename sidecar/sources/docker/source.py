"""Follows the logs of the watched containers through the Docker Engine's API, every line exactly once.

    events ──▶ list again ──▶ which containers are watched ──▶ a LogReader for each     (watched_logs, log_reader)
                          └─▶ networks and ports, for the loop

The source subscribes to events, lists, and lists again at every event and every 30 s. Under a flood of events it
lists now and then only. A watched container has a thread of its own for as long as it runs. The log of a container
that started and stopped between two lists is read to its end all the same. That the Engine goes away and comes back is
part of the work.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence

from sidecar.core.containers import LabelTrust
from sidecar.core.events import Topology
from sidecar.core.jail import Jail
from sidecar.core.watched import choose
from sidecar.runtime.backoff import Backoff
from sidecar.runtime.problems import Problem
from sidecar.sources.base import (
    ContainerSelection,
    Outputs,
    SourceUnavailable,
    TopologyListener,
    TopologyNotifier,
)
from sidecar.sources.docker import api
from sidecar.sources.docker.api import DockerHost, Engine, reason
from sidecar.sources.docker.connection import MIN_WAIT_S, Answer, Interrupt, PendingRequest
from sidecar.sources.docker.finished import FinishedContainers
from sidecar.sources.docker.inventory import Inventory, Listing, name_of
from sidecar.sources.docker.list_pace import ListPace
from sidecar.sources.docker.starting import EventDecoder, StartingContainers
from sidecar.sources.docker.watched_logs import WatchedLogs
from sidecar.sources.docker.wire import EngineError
from sidecar.sources.own_container import own_container_id

log = logging.getLogger(__name__)

FIRST_RETRY_DELAY_S, MAX_RETRY_DELAY_S = 0.1, 2.0
# A daemon that restarts is away for about one second; that is not a problem yet.
MAX_QUIET_OUTAGE_S = 5.0

# The start of the process waits so long for an Engine that accepts a question and does not answer. Then all else
# begins, and the silence is reported as at any other time.
MAX_START_CHECK_S = 1.0
# Between looks whether the Engine leaves a question without an answer.
SILENCE_CHECK_INTERVAL_S = 0.5
LIST_PERIOD_S = 30.0
# The Engine says that a container was connected to a network before its lists have that, so there is one more list
# after a while.
SETTLE_S = 1.0


class DockerSource:
    """All watched containers of one Engine. A Service."""

    name = "docker"

    def __init__(
        self,
        host: DockerHost,
        outputs: Outputs,
        topology: TopologyListener,
        selection: ContainerSelection,
        cursors: Mapping[str, bytes],
        *,
        list_period_s: float = LIST_PERIOD_S,
        trusted_images: Sequence[str] = (),
    ) -> None:
        """`cursors`: how far the last run has read. `list_period_s`: seconds between lists without an event.

        `trusted_images`: globs of the names of images whose labels count as their containers' own.
        """
        self._host, self._selection, self._list_period_s = host, selection, list_period_s
        self._topology = TopologyNotifier(topology)
        self._logs = WatchedLogs(host, outputs, cursors)
        self._inventory = Inventory(own_container_id(), trusted_images)
        self._starting = StartingContainers(self._inventory, self._logs)
        self._finished = FinishedContainers(self._inventory, self._logs)
        self._outage = Outage(str(host.endpoint), outputs.problems.problem(self.name))
        self._interrupt = Interrupt()
        # Set where no pause is waited for: there is a new configuration, or this is the end.
        self._woken = threading.Event()

    def check(self, *, is_start: bool = False) -> None:
        """Find out whether the Engine answers. At the start of the process, a problem is reported if it does not.

        Later that raises SourceUnavailable, with the reason and the remedy.
        """
        if not is_start:
            api.check(self._host)
            return
        patience = Interrupt()
        timer = threading.Timer(MAX_START_CHECK_S, patience.set)
        timer.start()
        try:
            api.check(self._host, patience)
        except SourceUnavailable as err:
            if not patience.is_set:
                self._outage.report(str(err))
        finally:
            timer.cancel()

    def run(self) -> None:
        """Block until closed."""
        self._logs.watch_freezes(self._interrupt)
        threading.Thread(target=self._watch_silence, name="docker silence", daemon=True).start()
        try:
            while not self._interrupt.is_set:
                self._woken.clear()
                why = self._watch_until_lost()
                if not self._interrupt.is_set and not self._woken.is_set():
                    self._interrupt.wait(
                        self._outage.retry_delay_s(why, time.monotonic(), self._logs.open_count)
                    )
        finally:
            self._logs.close()

    def reconfigure(
        self, jails: Sequence[Jail], since: float, labels: LabelTrust = LabelTrust.STRENGTHEN
    ) -> None:
        """Have these jails choose the containers, by a list that is asked for now. Any thread may call this.

        Containers that stay watched are read on; a log that has no cursor is read from `since` on (unix time).
        """
        self._selection = ContainerSelection(tuple(jails), since, labels)
        self._woken.set()
        self._interrupt.cut()

    def close(self) -> None:
        self._interrupt.set()
        self._woken.set()

    def _watch_silence(self) -> None:
        """Report an Engine that accepts a question and does not answer, long before the question is given up."""
        while not self._interrupt.wait(SILENCE_CHECK_INTERVAL_S):
            self._outage.check_silence(time.monotonic(), self._logs.open_count)

    def _watch_until_lost(self) -> str:
        """Watch until the Engine goes away; return why."""
        try:
            self._host.forget_version()
            with contextlib.closing(self._host.open(self._interrupt, self._outage.pending)) as engine:
                self._watch(engine)
        except (OSError, EngineError) as err:
            return reason(err)
        return "it ended the connection"

    def _watch(self, engine: Engine) -> None:
        """List at each event. The events are opened first, so that nothing falls between them and the list."""
        pace, decoder, is_settled = ListPace(time.monotonic()), EventDecoder(), True
        with contextlib.closing(engine.events()) as events:
            while not self._interrupt.is_set:
                began = time.monotonic()
                self._apply(engine, self._inventory.listing(engine))
                self._outage.over()
                pace.listed(began, time.monotonic())
                # Without an event, a list is due after the period.
                period_s = self._finished.list_period_s(self._list_period_s)
                goes_on, by_event = self._wait_for_event(
                    engine, events, pace, decoder, period_s if is_settled else min(period_s, SETTLE_S)
                )
                if not goes_on:
                    break
                is_settled = not by_event

    def _wait_for_event(
        self, engine: Engine, events: Answer, pace: ListPace, decoder: EventDecoder, timeout_s: float
    ) -> tuple[bool, bool]:
        """Wait until the next list is due, for this many seconds without an event.

        Return whether the stream of events goes on, and whether an event came.
        """
        urgent = by_event = False
        while True:
            try:
                event = events.read(max(timeout_s, MIN_WAIT_S))
            except TimeoutError:
                return True, by_event
            by_event = True
            for found in decoder.feed(event):
                self._starting.note(engine, found, self._selection)
                urgent = urgent or found.action == "start"
            timeout_s = pace.delay_s(time.monotonic(), urgent=urgent)
            if not event or not timeout_s:
                return bool(event), by_event

    def _apply(self, engine: Engine, listing: Listing) -> None:
        """Read the logs of the containers that are to be watched now, leave the others, publish the topology."""
        selection = self._selection
        watched = choose(listing.running, selection.jails, labels=selection.labels)
        # Before any line is read that could have a gateway banned.
        self._topology.notify(Topology.of(listing.networks, watched))
        self._logs.keep(listing.ids)
        for entry in listing.stopped:
            self._logs.rename(entry["Id"], name_of(entry))
        for container in listing.running:
            if jails := watched.jails.get(container.id):
                self._logs.read(container.id, container.name, jails, selection.since)
            else:
                self._logs.leave(container.id)
        self._starting.listed(listing)
        self._finished.read(engine, listing, selection)
        self._logs.listed()


class Outage:
    """Since when the Engine does not answer. It becomes a problem after a while.

    `pending` is the question that waits for an answer. Another thread may call `check_silence`.
    """

    def __init__(self, url: str, problem: Problem) -> None:
        self.pending = PendingRequest()
        self._url, self._problem = url, problem
        self._since: float | None = time.monotonic()
        self._backoff = Backoff(FIRST_RETRY_DELAY_S, MAX_RETRY_DELAY_S)
        self._lock = threading.Lock()

    def retry_delay_s(self, why: str, now: float, open_logs: int) -> float:
        """Note that the Engine is away, for this reason; return the seconds to wait before it is asked again.

        `open_logs`: how many logs are being read all the same, over connections of their own.
        """
        if self._since is None:
            self._since = now
            self._backoff.reset()
            log.info("Docker is away (%s); asking until it is back", why)
        elif now - self._since > MAX_QUIET_OUTAGE_S:
            self._problem.set(outage_sentence(self._url, why, open_logs))
        return self._backoff.next()

    def check_silence(self, now: float, open_logs: int) -> None:
        """Report a question that has no answer for a while. It is not given up for that."""
        with self._lock:
            since = self.pending.since
            if since is not None and now - since > MAX_QUIET_OUTAGE_S:
                self._problem.set(silence_sentence(self._url, open_logs))

    def report(self, sentence: str) -> None:
        """Report the problem at once, with a sentence that says what to change."""
        self._problem.set(f"{sentence}. No container log is read until it answers")

    def over(self) -> None:
        """The Engine answers."""
        if self._since is not None:
            self._since = None
            log.info("connected to Docker at %s", self._url)
        # After a look that found a question without an answer.
        with self._lock:
            self._problem.clear()


def outage_sentence(url: str, why: str, open_logs: int) -> str:
    """Return what an outage means."""
    if open_logs == 0:
        return f"Docker at {url} is away ({why}); no container log is read until it is back"
    return (
        f"Docker at {url} does not say which containers there are ({why}). Logs that are open are read on "
        f"({open_logs} now); no new container is watched. If a socket proxy is in between, it has to allow "
        "CONTAINERS, NETWORKS and EVENTS"
    )


def silence_sentence(url: str, open_logs: int) -> str:
    """Return what it means that the Engine does not answer, and where to look."""
    logs = (
        f"Logs that are open ({open_logs} now) are read as far as it still sends their lines"
        if open_logs
        else "No container log is read"
    )
    return (
        f"Docker at {url} accepts connections and does not answer for more than {MAX_QUIET_OUTAGE_S:.0f} s. {logs}; no "
        "new container is watched until it does. Look at `docker ps` on the host, and if that hangs too, at "
        "`journalctl -u docker`: it may wait for a disk, or for a lock that a container which starts or stops holds"
    )
