"""The file of what is still to be sent: it survives `kill -9`, restarts, and most power cuts.

    000007.jsonl: {"confirmed": {"slack": 41}}        how far each sender had come when this segment was begun
                  {"n": 42, "o": [...]}               an occurrence, with its number
                  {"n": 43, "d": {...}}               many of them, counted
                  {"n": 44, "m": [...]}               any other message
                  {"turn": 45}                        what follows was decided in one turn, which is being stored
                  {"stored": 45}                      and now it is
                  {"k": "slack", "c": 43}             the service has confirmed everything up to 43

A line is written with one `write()`. What a killed process wrote is in the kernel already; `sync()`, which a thread of
a sender calls, is for power cuts. A last line that is torn is skipped. A segment whose messages were all confirmed is
removed, so nothing is ever rewritten and no writer waits for that.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

from sidecar.alerts.notices import Notice
from sidecar.alerts.occurrences import Digest, Occurrence

log = logging.getLogger(__name__)

Event: TypeAlias = Notice | Occurrence | Digest

SEGMENT_BYTES: Final = 1024 * 1024
# When there is more, the oldest segments are removed even if a sender has not come so far. It is some 50,000 bans.
MAX_BYTES: Final = 16 * 1024 * 1024


@dataclass(slots=True)
class _Segment:
    """What is known about one file."""

    # The number of the last message in it.
    last: int
    size: int = 0


class Journal:
    """Numbered messages in the segments of one folder. Any thread may use it.

    An OSError of the folder is raised by `append` and `confirm`; the numbers go on without it.
    """

    def __init__(self, folder: Path | None, segment_bytes: int = SEGMENT_BYTES) -> None:
        """`folder` is made if it is missing. None: nothing is kept."""
        self._folder, self._segment_bytes = folder, segment_bytes
        self._lock = threading.Lock()
        self._file = -1
        # Whether anything was written since the last `sync()`.
        self._unsynced = False
        self._segments: dict[int, _Segment] = {}
        self._confirmed: dict[str, int] = {}
        self._last = 0
        self._unstored: int | None = None

    def load(self) -> list[tuple[int, Event]]:
        """Return all messages that are kept, in their order. Call it once, before anything else. Raises OSError."""
        if self._folder is None:
            return []
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found: list[tuple[int, Event]] = []
        for path in sorted(self._folder.glob("[0-9]*.jsonl")):
            data = path.read_bytes()
            for line in data.splitlines():
                found += self._understood(line)
            self._segments[int(path.stem)] = _Segment(self._last, len(data))
        self._begin_segment()
        return found

    def confirmed(self, key: str) -> int | None:
        """Return up to which number this sender's service has confirmed messages; None: the sender is new."""
        return self._confirmed.get(key)

    def begin(self, key: str) -> int:
        """Have a new sender begin after the last message there is, and return its number. Raises OSError."""
        self.confirm(key, self._last)
        return self._last

    def append(self, events: Sequence[Event], *, is_turn: bool = False) -> int:
        """Number the messages and keep them; return the number of the first. Raises OSError.

        Those of a turn are known not to be stored until `stored()`.
        """
        with self._lock:
            first = self._last + 1
            self._last += len(events)
            if self._folder is not None:
                lines = [json.dumps({"turn": first}) + "\n"] if is_turn else []
                self._write("".join([*lines, *(_line(n, event) for n, event in enumerate(events, first))]))
            return first

    def stored(self, first: int) -> None:
        """Keep that the turn that begins with this message is stored. Raises OSError."""
        with self._lock:
            if self._folder is not None:
                self._write(json.dumps({"stored": first}) + "\n")

    @property
    def unstored(self) -> int | None:
        """The first message of a turn that was being stored when the last run was killed; None: there was none."""
        return self._unstored

    @property
    def last(self) -> int:
        return self._last

    def confirm(self, key: str, number: int) -> None:
        """Keep that a service has confirmed everything up to this number. Raises OSError."""
        with self._lock:
            self._confirmed[key] = max(number, self._confirmed.get(key, 0))
            if self._folder is not None:
                self._write(json.dumps({"k": key, "c": self._confirmed[key]}) + "\n")
                self._remove_confirmed()

    def retain(self, keys: Iterable[str]) -> None:
        """Forget senders that are not among these, so that nothing is kept for them."""
        kept = set(keys)
        with self._lock:
            self._confirmed = {key: number for key, number in self._confirmed.items() if key in kept}

    def sync(self) -> None:
        """Return when everything is on the disk. Raises OSError."""
        with self._lock:
            file = os.dup(self._file) if self._file >= 0 and self._unsynced else -1
            self._unsynced = False
        if file >= 0:
            # Without the lock, so that no writer waits for the disk.
            try:
                os.fdatasync(file)
            finally:
                os.close(file)

    def close(self) -> None:
        with self._lock:
            if self._file >= 0:
                os.close(self._file)
            self._file = -1

    def _write(self, text: str) -> None:
        """Append to the last segment, and begin another one where it is full."""
        if not text:
            return
        if self._file < 0 or self._segments[max(self._segments)].size > self._segment_bytes:
            self._begin_segment()
        segment, data = self._segments[max(self._segments)], text.encode()
        self._unsynced = True
        segment.size += len(data)
        segment.last = self._last
        # A disk that is full takes a part of it. The rest must not run into the next line.
        if os.write(self._file, data) != len(data):
            segment.size += self._segment_bytes
            raise OSError("the disk is full")

    def _begin_segment(self) -> None:
        assert self._folder is not None  # noqa: S101 - the callers ask
        # It may have been removed meanwhile.
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = max(self._segments, default=0) + 1
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        file = os.open(self._folder / f"{number:06}.jsonl", flags, 0o600)
        if self._file >= 0:
            os.close(self._file)
        self._file, self._segments[number] = file, _Segment(self._last)
        os.write(file, (json.dumps({"confirmed": self._confirmed, "last": self._last}) + "\n").encode())
        self._remove_confirmed()

    def _remove_confirmed(self) -> None:
        """Remove the segments that no sender needs, and the oldest of too many."""
        assert self._folder is not None  # noqa: S101 - the callers ask
        done = min(self._confirmed.values(), default=self._last)
        *others, _ = sorted(self._segments)
        for number in others:
            total = sum(segment.size for segment in self._segments.values())
            if self._segments[number].last > done and total <= MAX_BYTES:
                return
            (self._folder / f"{number:06}.jsonl").unlink(missing_ok=True)
            del self._segments[number]

    def _understood(self, line: bytes) -> Iterator[tuple[int, Event]]:
        """Take in one line; yield its message, if it has one."""
        try:
            values = json.loads(line)
            if "confirmed" in values:
                for key, number in values["confirmed"].items():
                    self._confirmed[key] = max(int(number), self._confirmed.get(key, 0))
                self._last = max(self._last, int(values["last"]))
            elif "turn" in values:
                self._unstored = int(values["turn"])
            elif "stored" in values:
                self._unstored = None
            elif "k" in values:
                self._confirmed[values["k"]] = int(values["c"])
            else:
                number, event = int(values["n"]), _event(values)
                self._last = max(self._last, number)
                yield number, event
        except (ValueError, TypeError, KeyError, AttributeError):
            # The end of a line that was being written when the power failed.
            log.warning("a line of the alerts' journal cannot be read and is skipped")


def _line(number: int, event: Event) -> str:
    if isinstance(event, Occurrence):
        return json.dumps({"n": number, "o": event}) + "\n"
    values = {"d" if isinstance(event, Digest) else "m": event.to_json()}
    return json.dumps({"n": number, **values}) + "\n"


def _event(values: dict[str, Any]) -> Event:
    if "o" in values:
        return Occurrence.from_json(values["o"])
    return Digest.from_json(values["d"]) if "d" in values else Notice.from_json(values["m"])
