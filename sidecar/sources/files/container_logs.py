"""The source of containers' logs that kubelet or Docker store in files.

A scan of the layout finds the logs, the jails choose among them, and each chosen log has a follower. Between scans the
thread waits until inotify reports that a log was written to, and then steps its follower.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from sidecar.core.containers import LabelTrust
from sidecar.core.events import Origin, Topology
from sidecar.core.front_ends import with_joined_networks
from sidecar.core.jail import Jail
from sidecar.core.watched import choose
from sidecar.sources.base import ContainerSelection, Outputs, TopologyListener, TopologyNotifier
from sidecar.sources.files.container_folder import SETTLE_S, ContainerFolder
from sidecar.sources.files.cri_lines import ContainerLines
from sidecar.sources.files.follower import Follower
from sidecar.sources.files.layouts import ContainerLog, LogLayout
from sidecar.sources.files.log_watcher import Changes, LogWatcher

# The interval between scans if no change is reported: with inotify, and without it.
SCAN_INTERVAL_S: Final = 10.0
UNRELIABLE_SCAN_INTERVAL_S: Final = 1.0
# The interval between scans if changes are reported all the time. A scan of 110 pods takes about 5 ms.
MIN_SCAN_INTERVAL_S: Final = 0.2


class ContainerLogs:
    """Follows the logs of all watched containers of one layout, every line exactly once. A Service with one thread."""

    def __init__(
        self,
        layout: LogLayout,
        jails: Sequence[Jail],
        outputs: Outputs,
        topology: TopologyListener,
        *,
        cursors: Mapping[str, bytes],
        since: float,
        labels: LabelTrust = LabelTrust.STRENGTHEN,
        inotify: bool = True,
    ) -> None:
        """`cursors`: the stored cursors of the last run, by key.

        `since`: of a log without a cursor, files last written to before this are not read (unix seconds).
        `labels`: what the containers' own labels may decide.
        """
        self._layout = layout
        self._selection = ContainerSelection(tuple(jails), since, labels)
        self._problem = outputs.problems.problem(layout.name)
        self._topology = TopologyNotifier(topology)
        self._followers = Followers(layout, outputs, cursors)
        self._watcher = LogWatcher(inotify=inotify)
        self._scan_due = -math.inf
        self._closed = threading.Event()

    @property
    def name(self) -> str:
        return self._layout.name

    def run(self) -> None:
        """Block until closed."""
        last_scan = -math.inf
        try:
            while not self._closed.is_set():
                now = time.monotonic()
                if now >= max(self._scan_due, last_scan + MIN_SCAN_INTERVAL_S):
                    last_scan = now
                    reliable = self._watcher.reliable
                    self._scan_due = now + (SCAN_INTERVAL_S if reliable else UNRELIABLE_SCAN_INTERVAL_S)
                    self._scan()
                self._followers.step(time.time())
                self._wait(time.monotonic())
        finally:
            self._followers.close()

    def reconfigure(
        self, jails: Sequence[Jail], since: float, labels: LabelTrust = LabelTrust.STRENGTHEN
    ) -> None:
        """Have these jails choose the containers from now on. Any thread may call this."""
        self._selection = ContainerSelection(tuple(jails), since, labels)
        self._rescan()

    def cluster_changed(self) -> None:
        """Choose containers again, because their labels may have changed. Any thread may call this."""
        self._rescan()

    def close(self) -> None:
        self._closed.set()
        self._watcher.wake()

    def _rescan(self) -> None:
        self._scan_due = -math.inf
        self._watcher.wake()

    def _wait(self, now: float) -> None:
        """Wait until a log is written to, or until the next scan or sweep."""
        settling = self._followers.settling
        until = min(self._scan_due, now + SETTLE_S / 4 if settling else math.inf)
        changes = self._watcher.wait(now, now if self._followers.awake else until)
        if changes.rescan:
            self._scan_due = -math.inf
        self._followers.wake(changes, settling)

    def _scan(self) -> None:
        """Start and end followers as the jails choose, and report the topology."""
        selection = self._selection
        try:
            scan = self._layout.scan()
        except OSError as err:
            self._problem.set(self._layout.explain(err))
            return
        self._problem.clear()
        containers = with_joined_networks(each.container for each in scan.logs)
        watched = choose(
            containers,
            selection.jails,
            self._layout.discovered(containers, selection.labels),
            selection.labels,
        )
        chosen = watched.jails
        stopped = {each.container.name for each in scan.logs if not each.runs}
        unwatched, excluded = (
            tuple(name for name in names if name not in stopped)
            for names in (watched.unwatched, watched.excluded)
        )
        running = replace(watched, unwatched=unwatched, excluded=excluded)
        self._topology.notify(Topology.of(scan.networks, running))
        known = {container.id for container in containers}
        for key in self._followers.keys() - chosen.keys():
            self._followers.leave(key, until_read=key not in known, closed=self._closed)
        for each in scan.logs:
            if jails := chosen.get(each.container.id):
                self._followers.follow(each, jails, selection.since)
        if self._watcher.watch(scan.folders, self._followers.folders()):
            self._scan_due = -math.inf


@dataclass(frozen=True, slots=True)
class _Followed:
    follower: Follower
    finder: ContainerFolder


class Followers:
    """The followers of one layout's logs, by container id, and which of them may have new lines."""

    def __init__(self, layout: LogLayout, outputs: Outputs, cursors: Mapping[str, bytes]) -> None:
        self._layout = layout
        self._outputs = outputs
        self._cursors = dict(cursors)
        self._followed: dict[str, _Followed] = {}
        self._awake: set[str] = set()

    @property
    def awake(self) -> bool:
        """Whether any may have new lines."""
        return bool(self._awake)

    @property
    def settling(self) -> frozenset[str]:
        """The ids of logs with a next file while the current one may still be written to."""
        return frozenset(key for key, each in self._followed.items() if each.follower.settling)

    def keys(self) -> frozenset[str]:
        return frozenset(self._followed)

    def folders(self) -> Iterator[tuple[str, str]]:
        """Yield the id of each log and each folder with files of it."""
        for key, each in self._followed.items():
            for folder in {each.finder.folder, *each.finder.linked_folders()}:
                yield key, folder

    def follow(self, log: ContainerLog, jails: tuple[str, ...], since: float) -> None:
        """Follow this log, or update its name and jails if it is followed already."""
        key = log.container.id
        if key not in self._followed:
            cursor_key = f"{self._layout.name}:{key}"
            finder = ContainerFolder(log.folder, since)
            state = self._cursors.pop(cursor_key, b"")
            follower = Follower(cursor_key, finder, ContainerLines(), self._outputs, state)
            self._followed[key] = _Followed(follower, finder)
            self._awake.add(key)
        origin = Origin(self._layout.origin, log.container.name, "", jails)
        self._followed[key].follower.describe(origin, log.unsupported)

    def leave(self, key: str, *, until_read: bool, closed: threading.Event) -> None:
        """End the follower of a log. `until_read`: first read the open file to its end, as its folder was removed."""
        each = self._followed.pop(key)
        while until_read and not closed.is_set() and each.follower.step(time.time()):
            pass
        each.follower.close()
        # If the log is chosen again, reading continues here.
        if (cursor := each.follower.cursor) and os.path.exists(each.finder.folder):  # noqa: PTH110
            self._cursors[cursor.key] = cursor.state
        # The next pod of a StatefulSet has the same name and may be followed already.
        if each.follower.name not in {other.follower.name for other in self._followed.values()}:
            each.follower.forget()

    def wake(self, changes: Changes, settling: Iterable[str]) -> None:
        """Mark the logs that changed, and those that are settling, for the next step."""
        renamed = self._followed.keys() if changes.all_logs else {*changes.renamed, *settling}
        for key in self._followed.keys() & {*changes.written, *renamed}:
            self._awake.add(key)
            self._followed[key].follower.files_changed |= key in renamed

    def step(self, now: float) -> None:
        """Do one step of each follower that may have new lines. `now`: unix seconds."""
        awake = self._awake & self._followed.keys()
        self._awake = {key for key in awake if self._followed[key].follower.step(now)}

    def close(self) -> None:
        for each in self._followed.values():
            each.follower.close()
