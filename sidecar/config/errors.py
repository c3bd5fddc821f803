"""What is wrong with a configuration, all of it at once, each with its place."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from difflib import get_close_matches

# The image runs as root without capabilities, and what follows from that surprises people who know root.
CAPLESS = "root without capabilities reads only what root owns or everyone may read (chown it, or chmod a+r)"
DIRECTORY = "is a directory; Docker makes one where a file to mount is missing"


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One thing to change: where it is, and a sentence about it."""

    file: str  # a path, or `environment`
    section: str  # "" where a file has none
    key: str  # "" where it is about the whole section
    message: str
    line: int = 0  # from 1; 0: not known

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.line else self.file
        place = ".".join(part for part in (self.section, self.key) if part)
        return ": ".join(part for part in (file, place, self.message) if part)

    def told(self) -> dict[str, str | int | None]:
        """As programs are told: its fields, the line null where it is not known."""
        return asdict(self) | {"line": self.line or None}


class ConfigErrors(Exception):  # noqa: N818 - they are the user's, and there may be many
    """A configuration that cannot be used."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


def unknown(word: str, known: Iterable[str], prefix: str = "") -> str:
    """A sentence about a word that is not known, with the one that was perhaps meant; `prefix` stands before all."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.7)
    return f"unknown. Did you mean {prefix}{near[0]}?" if near else "unknown"
