"""fail2ban's filter files -> a frozen Filter, or every mistake with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mistake:
    file: str
    line: int
    text: str
    message: str


class FilterMistakes(Exception):  # noqa: N818
    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("; ".join(m.message for m in mistakes))
        self.mistakes = tuple(mistakes)


@dataclass(frozen=True, slots=True)
class Filter:
    name: str


def pack() -> Path:
    raise NotImplementedError


def load(name: str, where: Sequence[Path], options: Mapping[str, str] | None = None) -> Filter:
    raise NotImplementedError
