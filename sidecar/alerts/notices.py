"""What people are told: decisions and troubles -> Notices -> an outbox for each service.

A Notice holds text as it came, some of it written by attackers; a sender escapes it for its own service.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple, Protocol, TypeAlias

from sidecar.core.durations import format_duration
from sidecar.core.events import DECIDED_HERE, YEAR_10000, Ban, BanCause, Turn

Kind: TypeAlias = Literal["start", "stop", "ban", "bans", "trouble", "recovered"]
Level: TypeAlias = Literal["good", "warning", "danger"]

LINE = 300  # characters of a log line: what shows without unfolding; the store keeps the whole
WORDS = 300  # of any sentence that is not ours: nft and Docker explain themselves at length
NAMES = 600  # of a list of names


class Field(NamedTuple):
    """A titled value; `verbatim` is text as someone outside wrote it."""

    title: str
    value: str
    short: bool = True
    verbatim: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to people."""

    kind: Kind
    level: Level
    text: str  # one sentence
    fields: tuple[Field, ...] = ()
    key: str = ""  # what is in trouble; its recovery has the same


class Delayed(Exception):  # noqa: N818 - an answer
    """Not delivered, but perhaps `after` so many seconds or later. The message has no secret."""

    def __init__(self, sentence: str, after: float = 0.0) -> None:
        super().__init__(sentence)
        self.after = after


class Rejected(Exception):  # noqa: N818 - likewise
    """Not delivered, and trying again will not help. The message has no secret."""


class Sender(Protocol):
    """A service that people read, such as Slack."""

    @property
    def name(self) -> str: ...

    def send(self, notice: Notice, within: float) -> None:
        """Deliver it, waiting at most about `within` seconds. Raises Delayed or Rejected."""


class Channel(Protocol):
    """Where notices go on their way to people. Neither call ever waits."""

    def tell(self, notice: Notice) -> None: ...

    def bans(self, bans: Sequence[Ban]) -> None: ...


class Alerts:
    """The sink that tells people. Any thread may call it, and it returns at once."""

    name = "alerts"

    def __init__(self, channels: Sequence[Channel]) -> None:
        self._channels = tuple(channels)

    def apply(self, turn: Turn) -> None:
        bans = [each for each in turn.decisions if isinstance(each, Ban) and each.cause in DECIDED_HERE]
        if bans:
            for channel in self._channels:
                channel.bans(bans)

    def tell(self, notice: Notice) -> None:
        for channel in self._channels:
            channel.tell(notice)

    def problem_changed(self, name: str, sentence: str | None) -> None:
        """Something is broken, in one sentence; None: it works again. `health.Problems` calls it."""
        self.tell(recovered(name) if sentence is None else broken(name, sentence))


def started(version: str, jails: Sequence[str], bans: int) -> Notice:
    """It watches from now on, with so many bans taken over from before."""
    return Notice(
        "start",
        "good",
        f"wp-sidecar {version} has started",
        (Field("Jails", some(jails) or "none"), Field("Bans in force", f"{bans:,}")),
    )


def stopped(bans: int) -> Notice:
    """It watches no longer; so many bans stay in the kernel until they end."""
    return Notice("stop", "good", "wp-sidecar has stopped", (Field("Bans left in force", f"{bans:,}"),))


def broken(name: str, sentence: str) -> Notice:
    """What is in trouble, and the sentence that says how."""
    what = Field("What", sentence[:WORDS], short=False, verbatim=True)
    return Notice("trouble", "danger", f"Trouble with {name}", (what,), key=name)


def recovered(name: str) -> Notice:
    return Notice("recovered", "good", f"{name} works again", key=name)


def banned(ban: Ban) -> Notice:
    """One ban, with its evidence."""
    fields = (
        Field("Address", ban.address),
        Field("Failures", str(ban.failures) if ban.cause == BanCause.FAILURES else ""),
        Field("Times banned", str(ban.ban_count) if ban.ban_count > 1 else ""),
        Field("Jail", ban.jail),
        Field("Log" if "/" in ban.origin_name else "Container", ban.origin_name[:NAMES]),
        Field("Until", until(ban)),
        Field("Reason", ban.reason[:WORDS], short=False, verbatim=True),
        Field("Last line", ban.evidence[-1][:LINE] if ban.evidence else "", short=False, verbatim=True),
    )
    word = "Would have banned" if ban.dry_run else "Banned"
    return Notice(
        "ban",
        "warning",
        f"{word} {ban.address} {_after(ban)}",
        tuple(field for field in fields if field.value),
    )


def _after(ban: Ban) -> str:
    if ban.cause == BanCause.MANUAL:
        return "by hand"
    if ban.cause == BanCause.GROUP:
        return f"because {ban.failures} of its hosts are banned"
    return f"after {ban.failures} failure{'s' * (ban.failures != 1)}"


def until(ban: Ban) -> str:
    """When the ban ends, for people: `2026-11-23 08:40:04 UTC (1d)`, or `for good`."""
    if ban.until >= YEAR_10000:
        return "for good"
    return f"{datetime.fromtimestamp(ban.until, UTC):%Y-%m-%d %H:%M:%S} UTC ({format_duration(ban.until - ban.at)})"


def some(names: Sequence[str], total: int = 0, joint: str = ", ") -> str:
    """A list of names that fits into a message: `a, b and 3 more`. `total` is how many they really are."""
    lengths = itertools.accumulate(len(name) + len(joint) for name in names)
    shown = sum(length <= NAMES for length in lengths)
    more = max(total, len(names)) - shown
    return joint.join(names[:shown]) + (f" and {more:,} more" if more else "")


def plain(text: str, most: int) -> str:
    r"""One printable line: what would break it, colour a terminal or turn text round shows as `\x1b`."""
    return re.sub(r"\W", _shown, text[:most])[:most]


def _shown(found: re.Match[str]) -> str:
    char = found[0]
    return char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
