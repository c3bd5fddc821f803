"""What `replay` reads: each log is a stream of parts, so memory does not grow with it. Nothing is followed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from sidecar.cli.log_lines import line_chunks, open_log, with_framing
from sidecar.cli.meter import Meter
from sidecar.core.events import Framing, Origin


class UnreadableError(Exception):
    """The rest of a log cannot be read; the sentence says why."""


class LogPart(NamedTuple):
    """Whole lines of one stream of a log. `size` is what they have in the log, from which some may be left out."""

    stream: str
    data: bytes
    framing: Framing
    size: int


class ReplayLog(Protocol):
    """A log that can be read from its beginning. `source` and `name` are as in Origin."""

    @property
    def source(self) -> str: ...
    @property
    def name(self) -> str: ...

    def parts(self, meter: Meter) -> Iterator[LogPart]:
        """Yield the lines. Raises UnreadableError and Failed."""


@dataclass(frozen=True, slots=True)
class FileLog:
    """A file, gzipped or not, or standard input (`-`). A given `transport` is not detected."""

    name: str
    transport: Framing | None = None
    source: str = "replay"

    def parts(self, meter: Meter) -> Iterator[LogPart]:
        with open_log(self.name, meter) as stream:
            for chunk, framing in with_framing(line_chunks(stream), self.transport):
                yield LogPart("", chunk, framing, len(chunk))


@dataclass(slots=True)
class ReadLog:
    """A log, the jails of each policy that look at it, and what was read of it.

    `begin` and `end` are the times of its first and last line that have one. `error` is why its rest was not read.
    """

    log: ReplayLog
    jails: Sequence[tuple[str, ...]]
    size: int = 0
    begin: float = math.inf
    end: float = -math.inf
    error: str = ""
    _origins: dict[tuple[int, str], Origin] = field(default_factory=dict)

    def origin(self, policy: int, stream: str) -> Origin:
        """Return what a policy needs to know of a stream."""
        key = policy, stream
        if key not in self._origins:
            self._origins[key] = Origin(self.log.source, self.log.name, stream, self.jails[policy])
        return self._origins[key]
