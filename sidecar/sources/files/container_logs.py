"""Follows containers' logs as kubelet or Docker keep them in files, every line exactly once."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from sidecar.core.containers import choose
from sidecar.core.events import Topology
from sidecar.core.jail import Jail
from sidecar.sources.base import Emit, LogListener, NullLogListener, Report, untold
from sidecar.sources.files.follower import SETTLE, Log, Mark, Telling
from sidecar.sources.files.inotify import CONTENTS, NAMES, OVERFLOW, Inotify, Polling
from sidecar.sources.files.layouts import Found, Tree

log = logging.getLogger(__name__)

LOOK: Final = (
    10.0  # seconds between looks at what containers there are, beside those that the kernel asks for
)
UNTOLD: Final = 1.0  # the same, where it tells of nothing
SOONEST: Final = 0.2  # seconds between looks, however often it asks; one costs about 5 ms with 110 pods
SWEEP: Final = 1.0  # seconds between looks at every log: the kernel does not tell of all file systems
EVERY: Final = 0.2  # the same, where it tells of none


class Cri:
    """All watched containers of one tree of log files, in one thread. A Service."""

    def __init__(
        self,
        tree: Tree,
        jails: Sequence[Jail],
        emit: Emit,
        surroundings: Callable[[Topology], None],
        *,
        cursors: Mapping[str, bytes],
        since: float,
        listener: LogListener | None = None,
        problem: Report = untold,
        inotify: bool = True,
    ) -> None:
        """`since`: files last written to before that are not read at first sight (unix time)."""
        self.name = tree.name
        self._tree, self._jails, self._since = tree, tuple(jails), since
        self._surroundings = surroundings
        self._told: Topology | None = None
        self._cursors = dict(cursors)
        self._telling = Telling(emit, listener or NullLogListener(), problem, tree.source)
        self._logs: dict[str, Log] = {}
        self._awake: set[str] = set()  # whose logs may have something to read
        self._due = -math.inf  # when to look at what there is
        self._looked = self._swept = -math.inf
        self._notices = _notices() if inotify else Polling()
        self._watches: dict[int, str] = {}  # watch -> whose log; "" where it is of the tree
        self._pace = SWEEP if isinstance(self._notices, Inotify) else EVERY
        self._closed = threading.Event()

    def run(self) -> None:
        """Block until closed."""
        try:
            while not self._closed.is_set():
                now = time.monotonic()
                if now >= max(self._due, self._looked + SOONEST):
                    self._looked, self._due = now, now + (UNTOLD if self._pace == EVERY else LOOK)
                    self._look()
                self._awake = {key for key in self._awake if key in self._logs and self._logs[key].step()}
                self._wait(time.monotonic())
        finally:
            for each in self._logs.values():
                each.close()

    def reconfigure(self, jails: Sequence[Jail], since: float) -> None:
        """These choose the containers from now on. Any thread may call this."""
        self._jails, self._since = tuple(jails), since
        self.look_soon()

    def look_soon(self) -> None:
        """What containers there are, or what is known of them, has changed. Any thread may call this."""
        self._due = -math.inf
        self._notices.wake()

    def close(self) -> None:
        self._closed.set()
        self._notices.wake()

    def _wait(self, now: float) -> None:
        """Until something is written, or it is time to look without being told."""
        if now - self._swept >= self._pace:
            self._swept = now
            self._wake(self._logs)
        settling = any(each.settling for each in self._logs.values())
        until = min(self._due, self._swept + self._pace, now + SETTLE / 4 if settling else math.inf)
        events = self._notices.wait(0 if self._awake else max(0.0, until - now))
        for watch, bits in events.items():
            key = self._watches.get(watch, "")
            if bits & OVERFLOW:
                self._wake(self._logs)
            if bits & ~CONTENTS or bits & NAMES:
                self._due = -math.inf
            if key in self._logs:
                self._awake.add(key)
                self._logs[key].renamed |= bool(bits & NAMES)
        if settling:
            self._wake(key for key, each in self._logs.items() if each.settling)

    def _wake(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._awake.add(key)
            self._logs[key].renamed = True

    def _look(self) -> None:
        """Follow the containers that are to be watched now, leave the others, tell of the surroundings."""
        try:
            found = self._tree.look()
        except OSError as err:
            self._telling.problem(self.name, self._tree.wrong(err))
            return
        self._telling.problem(self.name, None)
        there = [each.container for each in found]
        chosen = choose(there, self._jails, self._tree.discovered(there))
        watched = tuple(container for container in there if container.id in chosen)
        around = Topology(self._tree.networks(), watched)
        if around != self._told:  # before any line is read that could have a gateway banned
            self._surroundings(around)
            self._told = around
        known = {container.id for container in there}
        for key in self._logs.keys() - chosen.keys():
            self._leave(key, gone=key not in known)
        for each in found:
            if each.container.id in chosen:
                self._follow(each, chosen[each.container.id])
        self._watch(each for each in found if each.container.id in chosen)

    def _follow(self, found: Found, jails: tuple[str, ...]) -> None:
        key = found.container.id
        if key not in self._logs:
            mark = Mark.decode(self._cursors.pop(self._key(key), b""))
            self._logs[key] = Log(self._key(key), found.folder, self._telling, mark, since=self._since)
            self._awake.add(key)
        self._logs[key].call(found.container.name, jails, found.unreadable)

    def _leave(self, key: str, *, gone: bool) -> None:
        """Its folder was removed, or nobody looks at it any more. What is open of it can be read to the end."""
        each = self._logs.pop(key)
        while gone and not self._closed.is_set() and each.step():
            pass
        each.close()
        if os.path.exists(each.folder):  # noqa: PTH110  so that nothing counts twice when it is looked at again
            self._cursors[each.key] = each.cursor
        if each.name not in {other.name for other in self._logs.values()}:  # a StatefulSet's next pod has it
            each.forget()

    def _key(self, container: str) -> str:
        return f"{self.name}:{container}"

    def _watch(self, found: Iterable[Found]) -> None:
        """Have the kernel tell of the tree's folders and of those where the logs are written."""
        wanted = [(folder, NAMES, "") for folder in self._tree.folders]
        for each in found:
            folders = {each.folder, *self._logs[each.container.id].elsewhere()}
            wanted += [(folder, CONTENTS, each.container.id) for folder in folders]
        before, self._watches = self._watches, {}
        for folder, what, key in wanted:
            try:
                self._watches[self._notices.watch(folder, what)] = key
            except FileNotFoundError:
                self._due = -math.inf
            except OSError as err:
                if self._pace != EVERY:
                    log.warning("%s is not watched (%s); logs are looked at every %.1f s", folder, err, EVERY)
                self._pace = EVERY
        if self._watches.keys() - before.keys():  # what came before we watched, nobody told of
            self._due = -math.inf
        for watch in before.keys() - self._watches.keys():
            self._notices.forget(watch)


def _notices() -> Inotify | Polling:
    try:
        return Inotify()
    except OSError as err:
        log.warning(
            "the kernel does not tell of changed logs (%s); they are looked at every %.1f s", err, EVERY
        )
        return Polling()
