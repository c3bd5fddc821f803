"""Tells which logs may have new lines, from inotify and from regular sweeps.

inotify does not report changes on every file system, and cannot be used when all watches of the user are taken. So all
logs are checked once a second in any case, and five times a second if inotify fails.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sidecar.sources.files.inotify import CONTENTS, NAMES, OVERFLOW, Inotify, Polling

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S: Final = 1.0
POLL_INTERVAL_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed during a wait.

    `written`: the keys of logs that may have new lines. `renamed`: the keys of logs with renamed or new files.
    `all_logs`: every log may have changed. `rescan`: logs may have been added or removed.
    """

    written: frozenset[str] = frozenset()
    renamed: frozenset[str] = frozenset()
    all_logs: bool = False
    rescan: bool = False


class LogWatcher:
    """Watches the folders of many logs. One thread waits, and any thread may wake it."""

    def __init__(self, *, inotify: bool = True) -> None:
        self._notifier = _notifier() if inotify else Polling()
        self._interval_s = SWEEP_INTERVAL_S if isinstance(self._notifier, Inotify) else POLL_INTERVAL_S
        # The log's key by watch; "" for a folder that contains logs' folders.
        self._keys: dict[int, str] = {}
        self._next_sweep = 0.0

    @property
    def reliable(self) -> bool:
        """Whether inotify works."""
        return self._interval_s != POLL_INTERVAL_S

    def watch(self, folders: Iterable[str], logs: Iterable[tuple[str, str]]) -> bool:
        """Watch these folders for new logs, the folders of each log (key, folder), and no others.

        Return whether to scan again, because changes before a folder was watched were not reported.
        """
        wanted = [(folder, NAMES, "") for folder in folders]
        wanted += [(folder, CONTENTS, key) for key, folder in logs]
        before, self._keys = self._keys, {}
        missing = False
        for folder, events, key in wanted:
            try:
                self._keys[self._notifier.watch(folder, events)] = key
            except FileNotFoundError:
                missing = True
            except OSError as err:
                if self.reliable:
                    log.warning(
                        "%s is not watched (%s); logs are polled every %.1f s", folder, err, POLL_INTERVAL_S
                    )
                self._interval_s = POLL_INTERVAL_S
        for watch in before.keys() - self._keys.keys():
            self._notifier.forget(watch)
        return missing or bool(self._keys.keys() - before.keys())

    def wait(self, now: float, until: float) -> Changes:
        """Wait for a change, but not longer than `until`. Both are times of the monotonic clock."""
        sweep = now >= self._next_sweep
        if sweep:
            self._next_sweep = now + self._interval_s
        events = self._notifier.wait(0 if sweep else max(0.0, min(until, self._next_sweep) - now))
        return Changes(
            written=frozenset(self._keys.get(watch, "") for watch in events),
            renamed=frozenset(self._keys.get(watch, "") for watch, bits in events.items() if bits & NAMES),
            all_logs=sweep or any(bits & OVERFLOW for bits in events.values()),
            rescan=any(bits & NAMES or bits & ~CONTENTS for bits in events.values()),
        )

    def wake(self) -> None:
        """End a wait. Any thread may call this."""
        self._notifier.wake()


def _notifier() -> Inotify | Polling:
    try:
        return Inotify()
    except OSError as err:
        log.warning("inotify cannot be used (%s); logs are polled every %.1f s", err, POLL_INTERVAL_S)
        return Polling()
