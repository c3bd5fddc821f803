"""What a filter says about one line: the code that decides, for whole batches and for a person who asks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from ipaddress import ip_network

from sidecar.core import who
from sidecar.core.events import Framing
from sidecar.filters.framing import opened
from sidecar.filters.loader import Filter


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


@dataclass(frozen=True, slots=True)
class Failure:
    """A failregex that matched: which (from 0), and what its groups hold."""

    rule: int
    groups: Mapping[str, str | None]

    @property
    def address(self) -> str:
        """The address alone, without the network it may stand for."""
        groups = self.groups
        return groups.get("fid") or groups.get("ip4") or groups.get("ip6") or groups.get("dns") or ""

    @property
    def id(self) -> str:
        """Who it was, as the line says; "" if it does not."""
        groups = self.groups
        address = groups.get("ip4") or groups.get("ip6") or groups.get("dns") or ""
        if address and groups.get("cidr"):
            address = f"{address}/{groups['cidr']}"
        return groups.get("fid") or address

    @property
    def user(self) -> str | None:
        alternatives = (
            text for name, text in sorted(self.groups.items()) if name.startswith("alt_user") and text
        )
        return self.groups.get("user") or next(alternatives, None)


def decide(rules: Filter, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
    """Does this line, its date cut out, count? `candidates` are the failregexes worth trying, in order (None: all).

    The first that matches wins. `ignoreregex` is asked first where there are clearly fewer of them than failregexes,
    and otherwise about what a failregex has matched, as fail2ban does.
    """
    text += "\n"
    if rules.ignores_first and any(rule.regex.search(text) for rule in rules.ignoreregex):
        return None
    prefix: Mapping[str, str | None] = {}
    if rules.prefregex:
        if not (found := rules.prefregex.regex.search(text)):
            return None
        prefix = found.groupdict()
        text = f"{content}\n" if (content := prefix.get("content")) else text
    for index in range(len(rules.failregex)) if candidates is None else candidates:
        if found := rules.failregex[index].regex.search(text):
            if not rules.ignores_first and any(rule.regex.search(text) for rule in rules.ignoreregex):
                return None
            groups = found.groupdict()
            if prefix:
                groups = {**prefix, **{name: value for name, value in groups.items() if value is not None}}
            return Failure(index, groups) if groups.get("nofail") is None else None
    return None


def parted(rules: Filter, text: str) -> tuple[str, re.Match[str] | None]:
    """The line without its date, and the date."""
    found = rules.dates.find(text)
    return (text[: found.start(1)] + text[found.end(1) :], found) if found else (text, None)


def dated(framing: Framing, line: str, text: str) -> bool:
    """Was the line's own date its syslog header, already taken off? There is no second one to look for."""
    return framing is Framing.SYSLOG and text is not line


def explain(rules: Filter, line: str, framing: Framing, now: float, zone: tzinfo | None = None) -> Verdict:
    """What the filter says about one line, as `Matcher.scan` would decide it."""
    line = line.rstrip("\r\n")
    at, text = opened(line, framing, now, zone)
    seen, date = (text, None) if dated(framing, line, text) else parted(rules, text)
    if at is None and date:
        at = rules.dates.seconds(date, now, zone)
    told = date[1] if date else None
    failure = decide(rules, seen)
    address = _canonical(failure.id) if failure else None
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


def _canonical(text: str) -> str | None:
    address, slash, prefix = text.rpartition("/")
    if not slash:
        one = who.parse(text)
        return None if one is None else str(one)
    inner = who.parse(address)
    try:
        return None if inner is None else str(ip_network(f"{inner}/{prefix}", strict=False))
    except ValueError:
        return None
