"""The last entries of a log, as Docker answers when it is asked for them alone.

A log may grow by hundreds of lines between two questions. So entries are known by their stamps, not by their number.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecar.core.text import printable
from sidecar.sources.docker.api import Engine, LogStream, RequestRefusedError
from sidecar.sources.docker.docker_log import DockerLog
from sidecar.sources.docker.line_joiner import is_terminals
from sidecar.sources.docker.wire import (
    STAMP_BYTES,
    STDERR,
    STDOUT,
    EngineError,
    FrameDecoder,
    Line,
    ProtocolError,
)

# A number of entries takes Docker some milliseconds; this is for the case that it never ends.
TAIL_TIMEOUT_S = 10.0
GROWTH = 8
MAX_WINDOW = GROWTH**6
# How often an answer is asked for that fails before its first entry. The chance that Docker leaves out one that it has
# is a half at worst.
MAX_ASKED = 16
# A window of this many entries has room for what a busy site writes until its log is open.
MIN_WINDOW = GROWTH**5


class Answer:
    """An answer with the last entries of a log. It has those that the log had when it was asked for.

    It may be read no further than its beginning, which costs Docker next to nothing. Whoever makes it closes it.
    """

    def __init__(self, engine: Engine, log: DockerLog, count: int | None) -> None:
        """`count`: how many entries are asked for; None: all. Raises OSError and RequestRefusedError."""
        self.asked = count
        # How many came, the first one's stamp, and the highest.
        self.came = 0
        self.first = self.highest = b""
        # Docker failed to read what follows, and what it said, if anything.
        self.has_failed, self.failure = False, ""
        self._engine = engine
        self._decoder: TerminalEntries | FrameDecoder | None = None
        # What was read to know the beginning.
        self._begun: list[list[Line]] = []
        self._stream: LogStream | None = None
        with self._failure_noted():
            self._stream = engine.logs(log.container, 0, follow=False, tail=count, timeout_s=TAIL_TIMEOUT_S)

    def begin(self) -> bytes:
        """Return the first entry's stamp; nothing where there is none. Raises OSError and RequestRefusedError."""
        while not self.first and (entries := self._read()) is not None:
            self._begun.append(entries)
        return self.first

    def parts(self) -> Iterator[list[Line]]:
        """Yield the entries as they come. Raises as `begin`."""
        begun, self._begun = self._begun, []
        yield from begun
        while (entries := self._read()) is not None:
            yield entries

    def body(self, entries: Iterable[Line]) -> bytes:
        """Return these entries as they come in the body of an answer."""
        if isinstance(self._decoder, TerminalEntries):
            return b"".join(text + b"\n" for _, text in entries)
        return b"".join(_FRAME_HEADER(kind, len(text)) + text for kind, text in entries)

    @property
    def is_short(self) -> bool:
        """Whether fewer entries came than were asked for, once all was read."""
        return self.has_failed or (self.asked is not None and self.came < self.asked)

    def close(self) -> None:
        if self._stream:
            self._stream.close()

    def _read(self) -> list[Line] | None:
        """Return the entries that came; None at the end, or where Docker failed."""
        if self._stream is None or self.has_failed:
            return None
        entries: list[Line] | None = None
        with self._failure_noted():
            if data := self._stream.read():
                self._decoder = self._decoder or (TerminalEntries() if is_terminals(data) else FrameDecoder())
                entries = self._decoder.feed(data)
            elif not self._stream.complete:
                # A connection that was cut says nothing about the log.
                raise ConnectionError("an answer about the end of a log was cut")
        if not entries:
            return entries
        sound = [*itertools.takewhile(lambda entry: entry[0] in (STDOUT, STDERR), entries)]
        if len(sound) < len(entries):
            self.has_failed, self.failure = (
                True,
                printable(entries[len(sound)][1].decode(errors="replace"), 200),
            )
        if sound:
            self.first = self.first or sound[0][1][:STAMP_BYTES]
            self.highest = max(self.highest, *(text[:STAMP_BYTES] for _, text in sound))
            self.came += len(sound)
        return sound

    @contextlib.contextmanager
    def _failure_noted(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            if self._engine.is_before_23:
                # There it does not mean that it never ends.
                raise ConnectionError("no answer about the end of a log") from None
            self.has_failed = True
        except RequestRefusedError:
            raise
        except EngineError:
            self.has_failed = True


@dataclass(frozen=True, slots=True)
class Tail:
    """The last entries of a log."""

    count: int
    # The stamp of the first one, and the highest.
    first: bytes
    highest: bytes
    # Whether the line that was read last is among them.
    has_mark: bool
    # Whether more were asked for: the log has no more, or Docker has left some out.
    is_whole: bool


def last_entries(
    engine: Engine, log: DockerLog, count: int | None, *, at_most: float = math.inf
) -> Tail | None:
    """Return the last `count` entries of the log; None where Docker fails to read them. Raises OSError.

    Also RequestRefusedError, as where the container was removed.

    `count`: None for all. `at_most`: of these, no more than the first this many, give or take what comes at once.
    """
    mark, has_mark = log.cursor.stamp, False
    with contextlib.closing(Answer(engine, log, count)) as answer:
        for entries in answer.parts():
            has_mark = has_mark or any(text[:STAMP_BYTES] == mark for _, text in entries)
            if answer.came >= at_most:
                break
        if answer.has_failed or not answer.came:
            return None
        return Tail(answer.came, answer.first, answer.highest, has_mark, answer.is_short)


def begun_answer(engine: Engine, log: DockerLog, count: int | None) -> Answer:
    """Return an answer whose beginning was read. If it has none, it begins in the damage, or the log is empty.

    From Docker 23 on, an answer that comes to the damage may fail before all that is before it was sent: Docker draws
    lots between the entries it has ready and the error (moby, daemon/logs.go). So one without any is asked for again.
    Raises OSError and EngineError.
    """
    for _ in range(MAX_ASKED - 1):
        answer = Answer(engine, log, count)
        if answer.begin() or not answer.failure:
            return answer
        answer.close()
    answer = Answer(engine, log, count)
    answer.begin()
    return answer


def beginning(engine: Engine, log: DockerLog) -> bytes:
    """Return the stamp of the log's first entry; nothing where there is none. Raises OSError and EngineError."""
    with contextlib.closing(begun_answer(engine, log, None)) as answer:
        return answer.first


def window_with_room(engine: Engine, log: DockerLog, count: int) -> int:
    """Return a number of last entries without damage, with room for lines to come. Raises OSError.

    `count`: so many are undamaged.
    """
    while 0 < count * GROWTH <= MIN_WINDOW:
        found = last_entries(engine, log, count * GROWTH)
        if found is None or found.is_whole:
            break
        count *= GROWTH
    return count


class TerminalEntries:
    """The body of a log of a container with a TTY -> its lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[Line]:
        """Return the lines that are complete by now. Raises ProtocolError where one has no end."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_REST_BYTES:
            raise ProtocolError("a line without an end")
        return [(STDOUT, line) for line in whole]


_FRAME_HEADER = struct.Struct(">BxxxL").pack
MAX_REST_BYTES = 4 * 1024 * 1024
