"""What a message to people is made of.

A notice holds text as it came, some of it written by attackers. Each sender escapes it for its own service.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import accumulate
from typing import Any, Final, NamedTuple, Self

from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.actions import AlertEvent

# Characters of a list of names.
MAX_LIST_LENGTH: Final = 600


class NoticeKind(StrEnum):
    """What a notice is about."""

    START = "start"
    STOP = "stop"
    # One ban, one unban, one failure, one bypassed ban.
    BAN = "ban"
    UNBAN = "unban"
    FOUND = "found"
    BYPASS = "bypass"
    # Many of them together.
    DIGEST = "digest"
    # Something is wrong.
    PROBLEM = "problem"
    # It is not wrong any more.
    RESOLVED = "resolved"
    # Somebody tries whether messages arrive.
    TEST = "test"


class NoticeLevel(StrEnum):
    """How urgent a notice is. The values are Slack's names of colours."""

    GOOD = "good"
    WARNING = "warning"
    DANGER = "danger"


# The title of the field with the line that an event came of.
LAST_LINE: Final = "Last line"


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
    # The jail that it is about; "": all of them.
    jail: str = ""
    # When it happened, in unix seconds; 0 is not known.
    at: float = field(default=0.0, compare=False)
    # What the text and the fields were made of; not stored.
    occurrence: Occurrence | None = field(default=None, compare=False, repr=False)
    digest: Digest | None = field(default=None, compare=False, repr=False)

    @property
    def event(self) -> AlertEvent:
        """What an action has to ask for to be sent this notice."""
        if self.kind in (NoticeKind.RESOLVED, NoticeKind.TEST):
            return AlertEvent.PROBLEM
        return AlertEvent.BAN if self.kind == NoticeKind.DIGEST else AlertEvent(self.kind)

    @property
    def plain(self) -> str:
        """The text and the fields as lines, without any escaping."""
        return "\n".join([self.text, *(f"{field.title}: {field.value}" for field in self.fields)])

    def to_json(self) -> list[Any]:
        return [self.kind, self.level, self.text, self.fields, self.key, self.jail, self.at]

    @classmethod
    def from_json(cls, values: Sequence[Any]) -> Self:
        """Return what `to_json` gave. Raises TypeError and ValueError."""
        kind, level, text, fields, key, jail, at = values
        found = tuple(Field(*each) for each in fields)
        return cls(NoticeKind(kind), NoticeLevel(level), text, found, key, jail, float(at))


def listed(names: Sequence[str], total: int = 0, separator: str = ", ") -> str:
    """Return a list that fits into a message: `a, b and 3 more`.

    `total` is the number of all names, where only the first of them are given.
    """
    lengths = accumulate(len(name) + len(separator) for name in names)
    shown = sum(length <= MAX_LIST_LENGTH for length in lengths)
    more = max(total, len(names)) - shown
    return separator.join(names[:shown]) + (f" and {more:,} more" if more else "")
