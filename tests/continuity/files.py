"""The files behind Docker's logs: what is in them, and how they are damaged, truncated and deleted."""

import json
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import IO

from tests.bed import Engine

LINE = re.compile(rb"\d{3}(\d{10}) (\d{7}) failed from [0-9a-f:]+ end")


def append_zeros(path: Path) -> None:
    """What a power loss leaves (moby#53631)."""
    with path.open("ab") as file:
        file.write(bytes(4096))


def zero_end(path: Path) -> None:
    """The same, where the last blocks were written by name only."""
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(max(0, size - 130))
        file.write(bytes(min(size, 130)))


def cut_record(path: Path) -> None:
    """What a full disk leaves (moby#29511)."""
    os.truncate(path, max(0, path.stat().st_size - 30))


class LogFiles:
    """The json-files of containers, by the containers' names."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        # Lines that were written, and that no log has any more; they may have been read before.
        self.destroyed: set[int] = set()
        # Names of containers whose log was ever damaged.
        self.damaged: set[str] = set()
        self._spoilt: set[str] = set()
        # Those that are so still.
        self._damaged_now: set[str] = set()

    def is_spoilt(self, name: str) -> bool:
        """Does Docker's own command not show all of the log that there is?"""
        return name in self._spoilt

    def is_damaged(self, name: str) -> bool:
        """Is there a place in the log that Docker cannot read?"""
        return name in self._damaged_now

    def sound(self, name: str) -> None:
        """The container was recreated."""
        self._spoilt.discard(name)
        self._damaged_now.discard(name)

    def lines(self, name: str) -> Counter[int]:
        """The numbers of the lines that are whole in the files."""
        found: Counter[int] = Counter()
        path = self._path(name)
        for each in path.parent.glob(f"{path.name}*"):
            found |= self._whole(each.read_bytes())
        return found

    def behind_zeros(self, name: str) -> list[int]:
        """The lines of the newest file, in order, if it begins with zeros: Docker writes on where it was truncated."""
        data = self._path(name).read_bytes()
        return [*self._whole(data)] if data[:1] == b"\0" else []

    def lines_of(self, file: IO[bytes]) -> Counter[int]:
        """The same of a file that has no name any more."""
        file.seek(0)
        return self._whole(file.read())

    def damage(self, name: str, damage: Callable[[Path], None]) -> None:
        before = self.lines(name)
        damage(self._path(name))
        self.destroyed |= before.keys() - self.lines(name).keys()
        self.damaged.add(name)
        self._damaged_now.add(name)
        self._spoilt.add(name)

    def truncate(self, name: str) -> Counter[int]:
        """Return what was in the file."""
        path = self._path(name)
        before = self._whole(path.read_bytes())
        os.truncate(path, 0)
        self._spoilt.add(name)
        return before

    def delete(self, name: str) -> IO[bytes]:
        """Return the file, which Docker writes on."""
        path = self._path(name)
        file = path.open("rb")
        path.unlink()
        self._spoilt.add(name)
        return file

    def _whole(self, data: bytes) -> Counter[int]:
        found: Counter[int] = Counter()
        for line in data.split(b"\n"):
            numbers = [int(first + second) for first, second in LINE.findall(line)]
            if _is_json(line):
                found.update(numbers)
            else:
                # Joined to half a record. Docker may read it all the same, when it follows the file.
                self.destroyed.update(numbers)
        return found

    def _path(self, name: str) -> Path:
        return Path(self._engine.cli("inspect", "--format", "{{.LogPath}}", name).stdout.strip())


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True
