"""Errors in a configuration. A reader collects every error with its place and raises them together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from sidecar.core.text import closest_match

# The image runs as root without capabilities. Operators expect root to read every file, so errors explain it.
CAPLESS: Final = (
    "root without capabilities reads only what root owns or everyone may read (chown it, or chmod a+r)"
)
DIRECTORY: Final = "is a directory; Docker makes one where a file to mount is missing"

# How similar (difflib's ratio) a known word must be to be suggested.
MIN_SIMILARITY: Final = 0.7


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One thing to change: where it is, and a sentence about it."""

    # A path, or `environment`.
    file: str
    # "" where the file has no sections.
    section: str
    # "" where the whole section is meant.
    key: str
    message: str
    # Counted from 1; 0 where it is not known.
    line: int = 0

    def __str__(self) -> str:
        file = f"{self.file}:{self.line}" if self.line else self.file
        place = ".".join(part for part in (self.section, self.key) if part)
        return ": ".join(part for part in (file, place, self.message) if part)

    def as_dict(self) -> dict[str, str | int | None]:
        """Return the fields for JSON; an unknown line is null."""
        return asdict(self) | {"line": self.line or None}


class ConfigErrors(Exception):  # noqa: N818 - it holds several
    """A configuration that cannot be used, with everything that is wrong in it."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(map(str, self.errors)))


def unknown(word: str, known: Iterable[str], prefix: str = "") -> str:
    """Return a sentence about an unknown word; it suggests a similar known one, with `prefix` before it."""
    near = closest_match(word, known, MIN_SIMILARITY)
    return f"unknown. Did you mean {prefix}{near}?" if near else "unknown"
