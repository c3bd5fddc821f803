"""What a filter says about one line: the code that decides, for whole batches and for a person who asks."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import NamedTuple, Protocol

from sidecar.core.address import parse_host, parse_network
from sidecar.core.events import Framing
from sidecar.filters.framing import unwrapper
from sidecar.filters.loader import WHO, Filter


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter says about one line, for people and for `test-filter`; `failregex` counts from 1."""

    matched: bool
    failregex: int | None = None
    id: str | None = None  # the address exactly as it is, canonical
    user: str | None = None
    time: float | None = None
    date: str | None = None  # the text that was taken for the line's date
    text: str = ""  # what the failregexes saw


class Failure(NamedTuple):
    """A failregex that matched: which (from 0), its match, and the match of the prefregex before it."""

    rule: int
    match: re.Match[str]
    prefix: re.Match[str] | None = None
    told: Mapping[str, str | None] | None = None  # what the lines of its session say together

    @property
    def groups(self) -> Mapping[str, str | None]:
        """What the groups hold: the session's, else the failregex's, else the prefregex's."""
        if self.told is not None:
            return self.told
        groups = self.match.groupdict()
        if self.prefix is None:
            return groups
        return {
            **self.prefix.groupdict(),
            **{name: text for name, text in groups.items() if text is not None},
        }

    @property
    def address(self) -> str:
        """Who it was, as the line says, without the network that may stand behind it; "" if it does not say."""
        if self.told is not None:
            return next((text for name in WHO if (text := self.told.get(name))), "")
        for match in (self.match, self.prefix):
            names = match.re.groupindex if match else ()
            for name in WHO:
                if match and name in names and (text := match[name]):
                    return str(text)
        return ""

    @property
    def id(self) -> str:
        """Who it was, with the network."""
        groups = self.groups
        network = groups.get("cidr") if not groups.get("fid") else None
        return f"{self.address}/{network}" if network else self.address

    @property
    def target(self) -> str:
        """What was aimed at (`<F-TARGET>`); "" if the failregex does not say."""
        return self.groups.get("target") or ""

    @property
    def success(self) -> bool:
        """Was it a login that worked (`successregex`)?"""
        return "success" in self.match.re.groupindex

    @property
    def user(self) -> str | None:
        groups = self.groups
        others = (text for name, text in sorted(groups.items()) if name.startswith("alt_user") and text)
        return groups.get("user") or next(others, None)


def decide(rules: Filter, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
    """Does this line, its date cut out, count? `candidates` are the failregexes worth trying, in order (None: all).

    The first that matches wins. `ignoreregex` is asked first where there are clearly fewer of them than failregexes,
    and otherwise about what a failregex has matched, as fail2ban does.
    """
    text += "\n"
    if rules.ignores_first and any(rule.regex.search(text) for rule in rules.ignoreregex):
        return None
    prefix = None
    if rules.prefregex:
        prefix = rules.prefregex.regex.search(text)
        if not prefix:
            return None
        content = prefix.groupdict().get("content")
        text = f"{content}\n" if content else text
    for index in range(len(rules.failregex)) if candidates is None else candidates:
        if found := rules.failregex[index].regex.search(text):
            if not rules.ignores_first and any(rule.regex.search(text) for rule in rules.ignoreregex):
                return None
            return Failure(index, found, prefix)
    return None


Decide = Callable[[Filter, str, Sequence[int] | None], Failure | None]


def failed(
    rules: Filter, text: str, candidates: Sequence[int] | None = None, decide: Decide = decide
) -> Failure | None:
    """As `decide()`, without what is only to be remembered (`<F-NOFAIL>`): a failure that this line shows by itself."""
    failure = decide(rules, text, candidates)
    return (
        None if failure and "nofail" in failure.match.re.groupindex and failure.match["nofail"] else failure
    )


def split_date(rules: Filter, text: str) -> tuple[str, re.Match[str] | None]:
    """The line without its date, and the date."""
    found = rules.dates.find(text)
    return (text[: found.start(1)] + text[found.end(1) :], found) if found else (text, None)


def date_in_header(framing: Framing, line: str, text: str) -> bool:
    """Was the line's own date its syslog header, already taken off? There is no second one to look for."""
    return framing is Framing.SYSLOG and text is not line


class Tracker(Protocol):
    """What a filter that `remembers` has seen so far; `following.Following` is one."""

    def decide(self, text: str, at: float) -> Failure | None: ...


def time_of(
    rules: Filter, line: str, framing: Framing, now: float, zone: tzinfo | None = None
) -> float | None:
    """The time that a line tells of itself, by its transport or in its text; no failregex is asked."""
    at, text = unwrapper(framing)(line, now, zone)
    if at is not None or date_in_header(framing, line, text):
        return at
    _, date = split_date(rules, text)
    return rules.dates.seconds(date, now, zone) if date else None


def explain(
    rules: Filter,
    line: str,
    framing: Framing,
    now: float,
    zone: tzinfo | None = None,
    *,
    tracker: Tracker | None = None,
) -> Verdict:
    """What the filter says about one line, as `Matcher.scan` would decide it.

    `memory` is for a filter that `remembers`: the same one for all the lines of a log, in their order.
    """
    line = line.rstrip("\r\n")
    at, text = unwrapper(framing)(line, now, zone)
    seen, date = (text, None) if date_in_header(framing, line, text) else split_date(rules, text)
    if at is None and date:
        at = rules.dates.seconds(date, now, zone)
    told = date[1] if date else None
    failure = failed(rules, seen) if tracker is None else tracker.decide(seen, now if at is None else at)
    address = canonical(failure.id) if failure else None
    if failure is None or address is None:
        return Verdict(matched=False, time=at, date=told, text=seen)
    return Verdict(
        matched=True,
        failregex=failure.rule + 1,
        id=address,
        user=failure.user,
        time=now if at is None else at,
        date=told,
        text=seen,
    )


def canonical(text: str) -> str | None:
    found = parse_network(text) if "/" in text else parse_host(text)
    return None if found is None else str(found)
