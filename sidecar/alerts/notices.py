"""What a message to people is made of.

A notice holds text as it came, some of it written by attackers. Each sender escapes it for its own service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import accumulate
from typing import Final, NamedTuple

# Characters of a list of names.
MAX_LIST_LENGTH: Final = 600


class NoticeKind(StrEnum):
    """What a notice is about."""

    START = "start"
    STOP = "stop"
    # One ban.
    BAN = "ban"
    # Many bans together.
    BANS = "bans"
    # Something is wrong.
    PROBLEM = "problem"
    # It is not wrong any more.
    RESOLVED = "resolved"


class NoticeLevel(StrEnum):
    """How urgent a notice is. The values are Slack's names of colours."""

    GOOD = "good"
    WARNING = "warning"
    DANGER = "danger"


class Field(NamedTuple):
    """A value with a title. `verbatim` marks text that someone outside wrote."""

    title: str
    value: str
    short: bool = True
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people."""

    kind: NoticeKind
    level: NoticeLevel
    # One sentence.
    text: str
    fields: tuple[Field, ...] = ()
    # The name of the problem; the notice that it is resolved has the same. "": nothing will follow.
    key: str = ""


def listed(names: Sequence[str], total: int = 0, separator: str = ", ") -> str:
    """Return a list that fits into a message: `a, b and 3 more`.

    `total` is the number of all names, where only the first of them are given.
    """
    lengths = accumulate(len(name) + len(separator) for name in names)
    shown = sum(length <= MAX_LIST_LENGTH for length in lengths)
    more = max(total, len(names)) - shown
    return separator.join(names[:shown]) + (f" and {more:,} more" if more else "")
