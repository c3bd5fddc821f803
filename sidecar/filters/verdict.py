"""What a filter says about one line.

This is the code that decides, both for whole batches (`matcher.py`) and for a person's question about one line
(`explain()`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import NamedTuple, Protocol, TypeAlias

from sidecar.access.detect import AccessLog
from sidecar.access.reader import Reading, RequestReader
from sidecar.core.address import parse_host, parse_network
from sidecar.core.events import Framing
from sidecar.filters.framing import unwrapper
from sidecar.filters.loader import ADDRESS_GROUPS, Filter, Rule


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter says about one line, for people and for `test-filter`.

    `failregex` counts from 1. `id` is the address exactly as it is, canonical, perhaps a network. `time` is the line's
    unix time, `date` the text that was taken for its date, and `text` what the failregexes saw. `peer` is the address
    that connected, if that is not the client: a ban of the client would drop nothing then. With `usedns = raw` an
    `id` may be a name.
    """

    matched: bool
    failregex: int | None = None
    id: str | None = None
    user: str | None = None
    time: float | None = None
    date: str | None = None
    text: str = ""
    peer: str = ""


class Failure(NamedTuple):
    """A failregex that matched (`rule` counts from 0), and the match of the prefregex before it.

    `session_groups`: what the lines of its session captured together, if the filter follows sessions.
    """

    rule: int
    match: re.Match[str]
    prefix: re.Match[str] | None = None
    session_groups: Mapping[str, str | None] | None = None

    @property
    def groups(self) -> Mapping[str, str | None]:
        """What was captured: by the session, else by the failregex, and what it left out by the prefregex."""
        if self.session_groups is not None:
            return self.session_groups
        groups = self.match.groupdict()
        if self.prefix is None:
            return groups
        own = {name: text for name, text in groups.items() if text is not None}
        return {**self.prefix.groupdict(), **own}

    @property
    def address(self) -> str:
        """The address or name as the line has it, without the network that may stand behind it; "" if it has none."""
        if self.session_groups is not None:
            return next((text for name in ADDRESS_GROUPS if (text := self.session_groups.get(name))), "")
        for match in (self.match, self.prefix):
            names = match.re.groupindex if match else ()
            for name in ADDRESS_GROUPS:
                if match and name in names and (text := match[name]):
                    return str(text)
        return ""

    @property
    def id(self) -> str:
        """The address with its network, as the line has them."""
        groups = self.groups
        network = groups.get("cidr") if not groups.get("fid") else None
        return f"{self.address}/{network}" if network else self.address

    @property
    def target(self) -> str:
        """What was aimed at (`<F-TARGET>`); "" if the failregex does not say."""
        return self.groups.get("target") or ""

    @property
    def success(self) -> bool:
        """Whether this was a login that worked (`successregex`)."""
        return "success" in self.match.re.groupindex

    @property
    def user(self) -> str | None:
        """The user name, if the line has one."""
        groups = self.groups
        others = (text for name, text in sorted(groups.items()) if name.startswith("alt_user") and text)
        return groups.get("user") or next(others, None)


Decide: TypeAlias = Callable[[Filter, str, Sequence[int] | None], Failure | None]
"""`decide()`, or something that stands for it."""


def decide(log_filter: Filter, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
    """Return the failure that a line shows, its date cut out.

    `candidates` are the failregexes worth trying, in order (None: all). The first that matches wins. As in fail2ban,
    `ignoreregex` is asked first if there are clearly fewer of them than failregexes, and otherwise about a line that a
    failregex has matched.
    """
    text += "\n"
    if log_filter.ignores_first and _is_ignored(log_filter, text):
        return None
    prefix = None
    if log_filter.prefregex:
        prefix = log_filter.prefregex.regex.search(text)
        if not prefix:
            return None
        content = prefix.groupdict().get("content")
        text = f"{content}\n" if content else text
    for index in range(len(log_filter.failregex)) if candidates is None else candidates:
        if found := log_filter.failregex[index].regex.search(text):
            if not log_filter.ignores_first and _is_ignored(log_filter, text):
                return None
            return Failure(index, found, prefix)
    return None


def _is_ignored(log_filter: Filter, text: str) -> bool:
    return any(rule.regex.search(text) for rule in log_filter.ignoreregex)


def ignored_by(log_filter: Filter, text: str) -> Rule | None:
    """Return the ignoreregex by which a line, its date cut out, is not a failure; None if it is not one anyway."""
    if not log_filter.ignoreregex:
        return None
    failure = unless_nofail(decide(replace(log_filter, ignoreregex=()), text))
    if failure is None:
        return None
    content = failure.prefix.groupdict().get("content") if failure.prefix else None
    seen = content if content and not log_filter.ignores_first else text
    return next((rule for rule in log_filter.ignoreregex if rule.regex.search(seen + "\n")), None)


def unless_nofail(failure: Failure | None) -> Failure | None:
    """Return the failure, but None if its line is only to be remembered (`<F-NOFAIL>`)."""
    if failure and "nofail" in failure.match.re.groupindex and failure.match["nofail"]:
        return None
    return failure


def split_date(log_filter: Filter, text: str) -> tuple[str, re.Match[str] | None]:
    """Return the line without its date, and the date's match; its group 1 was cut out."""
    found = log_filter.dates.find(text)
    return (text[: found.start(1)] + text[found.end(1) :], found) if found else (text, None)


def date_in_header(framing: Framing, line: str, text: str) -> bool:
    """Return whether the line's own date was its syslog header, already taken off; there is no second one then."""
    return framing is Framing.SYSLOG and text is not line


class Tracker(Protocol):
    """What a filter that needs earlier lines has seen so far: a `SessionTracker`."""

    def decide(self, text: str, at: float) -> Failure | None: ...


def time_of(
    log_filter: Filter, line: str, framing: Framing, now: float, zone: tzinfo | None = None
) -> float | None:
    """Return a line's own unix time, from its transport or its text; None if it has none. No failregex is tried."""
    zone = log_filter.zone or zone
    at, text = unwrapper(framing)(line, now, zone)
    if at is not None or date_in_header(framing, line, text):
        return at
    _, date = split_date(log_filter, text)
    return log_filter.dates.seconds(date, now, zone) if date else None


def explain(
    log_filter: Filter,
    line: str,
    framing: Framing,
    now: float,
    zone: tzinfo | None = None,
    *,
    tracker: Tracker | None = None,
    reader: RequestReader | None = None,
) -> Verdict:
    """Return what the filter says about one line, as `Matcher.scan` would decide it.

    A filter that needs earlier lines is given the same `tracker` for all lines of a log, in their order; a filter on
    requests the same `reader`.
    """
    line, zone = line.rstrip("\r\n"), log_filter.zone or zone
    at, text = unwrapper(framing)(line, now, zone)
    if log_filter.reads_requests:
        return _explain_request(
            log_filter, (reader or RequestReader(AccessLog(zone=zone))).readings(text), at, now
        )
    seen, date = (text, None) if date_in_header(framing, line, text) else split_date(log_filter, text)
    if at is None and date:
        at = log_filter.dates.seconds(date, now, zone)
    date_text = date[1] if date else None
    failure = (
        unless_nofail(decide(log_filter, seen))
        if tracker is None
        else tracker.decide(seen, now if at is None else at)
    )
    address = _shown_id(log_filter, failure) if failure else None
    if failure is None or address is None:
        return Verdict(matched=False, time=at, date=date_text, text=seen)
    return Verdict(
        matched=True,
        failregex=failure.rule + 1,
        id=address,
        user=failure.user,
        time=now if at is None else at,
        date=date_text,
        text=seen,
    )


def _explain_request(
    log_filter: Filter, readings: Sequence[Reading], at: float | None, now: float
) -> Verdict:
    """Return what the filter says about a line that stands for one of these requests."""
    decided = [
        (reading, unless_nofail(decide(log_filter, log_filter.line_of(reading)))) for reading in readings
    ]
    failed = [(reading, failure) for reading, failure in decided if failure and not failure.success]
    worked = decided if all(failure and failure.success for _, failure in decided) else []
    for reading, failure in failed or worked:
        address = _shown_id(log_filter, failure) if failure else None
        when = at if at is not None else reading.time
        if failure and address:
            time = now if when is None else when
            return Verdict(
                matched=True, failregex=failure.rule + 1, id=address, user=failure.user, time=time,
                text=log_filter.line_of(reading), peer=reading.peer,
            )  # fmt: skip
    time_of_line = at if at is not None or not readings else readings[0].time
    return Verdict(matched=False, time=time_of_line, text=log_filter.line_of(readings[0]) if readings else "")


def _shown_id(log_filter: Filter, failure: Failure) -> str | None:
    """Return the address of a failure; with `usedns = raw` the name as it is, as in fail2ban."""
    address = canonical(failure.id)
    return failure.id if address is None and log_filter.usedns == "raw" else address


def canonical(text: str) -> str | None:
    """Return an address, or a network, in its canonical form; None if it is neither."""
    found = parse_network(text) if "/" in text else parse_host(text)
    return None if found is None else str(found)
