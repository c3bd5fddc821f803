"""All access logs that are being read: the format of each, and how much of it was understood."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Final, TypeAlias

from sidecar.access.chain import NO_PROXIES, Proxies
from sidecar.access.detect import AccessLog, Format
from sidecar.access.reader import RequestReader
from sidecar.access.sample import LogSample
from sidecar.core.events import Origin

LogKey: TypeAlias = tuple[str, str, str]
"""A log: source, name and stream of its origin."""

# Logs come and go with their containers; the longest known are forgotten first.
MAX_LOGS: Final = 4096


@dataclass(frozen=True, slots=True)
class Declared:
    """What people configured: formats by jail (`logformat`) and by log (label `wp-sidecar.log-format`), and proxies."""

    by_jail: Mapping[str, Format]
    by_log: Mapping[str, Format]
    # Trusted to name their clients in X-Forwarded-For; and those of single logs, whose container has a label.
    proxies: Proxies = NO_PROXIES
    proxies_by_log: Mapping[str, Proxies] = field(default_factory=dict)

    def of(self, name: str, jails: Sequence[str]) -> Format | None:
        """Return the format of the log of this name; a label goes over the jails that look at the log."""
        declared = (self.by_log.get(name), *(self.by_jail.get(jail) for jail in jails))
        return next((each for each in declared if each), None)

    def proxies_of(self, name: str) -> Proxies:
        """Return the proxies that may name their clients in the log of this name."""
        return self.proxies_by_log.get(name, self.proxies)


NOTHING_DECLARED: Final = Declared({}, {})


class AccessLogs:
    """The access logs by their origin. Any thread may ask; each log is read by one thread at a time."""

    def __init__(self, declared: Declared = NOTHING_DECLARED, zone: tzinfo | None = None) -> None:
        self._declared = declared
        self._zone = zone
        self._logs: dict[LogKey, RequestReader] = {}
        # Which jails look at a log, as far as a declared format depends on them.
        self._jails: dict[LogKey, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def of(self, origin: Origin) -> RequestReader:
        """Return the reader of the log that lines of this origin belong to."""
        key = origin.source, origin.name, origin.stream
        found = self._logs.get(key)
        if found is None:
            with self._lock:
                while len(self._logs) >= MAX_LOGS:
                    self._forget(next(iter(self._logs)))
                declared = self._declared.of(origin.name, origin.jails)
                found = self._logs[key] = RequestReader(
                    AccessLog(declared, self._zone, self._declared.proxies_of(origin.name))
                )
                self._jails[key] = origin.jails
        return found

    def reconfigure(self, declared: Declared) -> None:
        """Read by these from now on. A log that has another format now, or other proxies, begins afresh."""
        with self._lock:
            before, self._declared = self._declared, declared
            for key, jails in list(self._jails.items()):
                name = key[1]
                has_format = before.of(name, jails) == declared.of(name, jails)
                if not has_format or before.proxies_of(name) != declared.proxies_of(name):
                    self._forget(key)

    def snapshot(self) -> dict[LogKey, AccessLog]:
        """Return the logs by (source, name, stream), as they are now."""
        with self._lock:
            return {key: reader.log for key, reader in self._logs.items()}

    def samples(self) -> dict[LogKey, LogSample]:
        """Return how much of each log is understood, by (source, name, stream)."""
        with self._lock:
            return {key: reader.sample for key, reader in self._logs.items()}

    def _forget(self, key: LogKey) -> None:
        del self._logs[key], self._jails[key]
