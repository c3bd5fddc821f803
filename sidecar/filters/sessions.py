"""Filters that need more than one line: a window of lines (`maxlines`), or a session with an id (`<F-MLFID>`).

What is remembered belongs to one filter and one log, is bounded, and expires.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeAlias

from sidecar.core.events import Origin
from sidecar.filters.loader import ADDRESS_GROUPS, Filter
from sidecar.filters.redos_sandbox import GuardedFilter
from sidecar.filters.verdict import Failure, decide

# Both are fail2ban's own limits: sessions of one log, and seconds without a line of the session.
MAX_SESSIONS: Final = 100
SESSION_TIMEOUT_S: Final = 300.0
# Logs come and go; the tracker that was made first is dropped first.
MAX_TRACKERS: Final = 4_096
# Groups that say something about their line only, not about the session.
_LINE_GROUPS: Final = frozenset({"nofail", "mlfforget", "mlfgained", "content"})

LogKey: TypeAlias = tuple[str, str, str]
"""A log: source, name and stream of its origin. Which jails look at it does not matter here."""


@dataclass(slots=True)
class LoginSession:
    """What the lines of one session have said so far.

    `groups` are the texts that failregexes captured, `pending` is a failure without an address yet.
    """

    at: float
    groups: dict[str, str | None] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    pending: Failure | None = None


class SessionTracker:
    """One filter on the lines of one log, in their order. One thread at a time."""

    def __init__(self, log_filter: Filter, guarded: GuardedFilter | None = None) -> None:
        """`guarded`: how texts are decided where the filter is prone to ReDoS."""
        self._filter = log_filter
        self._decide = guarded.decide if guarded else partial(decide, log_filter)
        self._lines: list[str] = []
        self._sessions: OrderedDict[str, LoginSession] = OrderedDict()

    def continued(self, log_filter: Filter, guarded: GuardedFilter | None = None) -> SessionTracker:
        """Return a tracker for an equivalent filter that takes over the memory of this one."""
        other = SessionTracker(log_filter, guarded)
        other._lines, other._sessions = self._lines, self._sessions
        return other

    def decide(self, text: str, at: float) -> Failure | None:
        """Return the failure that this line and those before it make, if any.

        `text` is the line without its date, `at` its unix time. Raises RegexTimeoutError.
        """
        failure = self._decide_window(text) if self._filter.maxlines > 1 else self._decide(text)
        if failure is None:
            return None
        session = failure.groups.get("mlfid")
        if session is None:
            return None if failure.groups.get("nofail") is not None else failure
        return self._in_session(session, failure, at)

    def _decide_window(self, text: str) -> Failure | None:
        """Decide the last `maxlines` lines as one text. Lines that matched leave it, lines that were skipped stay."""
        self._lines = [*self._lines, text][-self._filter.maxlines :]
        failure = self._decide("\n".join(self._lines))
        if failure is None:
            return None
        shift = failure.prefix.start("content") if failure.prefix and failure.prefix["content"] else 0
        start, end = (shift + offset for offset in failure.match.span())
        skipped = [
            failure.match.span(name) for name in failure.match.re.groupindex if name.startswith("skiplines")
        ]
        kept, at = [], 0
        for line in self._lines:
            within = start <= at < end and not any(shift + a <= at < shift + b for a, b in skipped)
            kept += [] if within or at <= start < at + len(line) + 1 else [line]
            at += len(line) + 1
        self._lines = kept
        return failure

    def _in_session(self, name: str, failure: Failure, at: float) -> Failure | None:
        session = self._session(name, at)
        groups = failure.groups
        session.groups.update(
            {key: text for key, text in groups.items() if text is not None and key not in _LINE_GROUPS}
        )
        # A second user name in one session is a guess, whatever the line itself says.
        another_user = bool(failure.user and session.users and failure.user not in session.users)
        session.users |= {failure.user} if failure.user else set()
        has_address = any(session.groups.get(key) for key in ADDRESS_GROUPS)
        logged_in = groups.get("mlfgained") is not None
        if logged_in and not another_user:
            session.pending = None
        elif another_user or (groups.get("nofail") is None and not logged_in):
            session.pending = failure
        found = None
        if session.pending and has_address:
            found = failure._replace(session_groups=dict(session.groups))
            session.pending = None
        if groups.get("mlfforget") is not None:
            self._sessions.pop(name, None)
        return found

    def _session(self, name: str, at: float) -> LoginSession:
        session = self._sessions.pop(name, None)
        if session is None or at - session.at > SESSION_TIMEOUT_S:
            session = LoginSession(at)
        session.at = at
        self._sessions[name] = session
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.popitem(last=False)
        return session


class SessionTrackers:
    """The trackers of one filter, one for each log. Threads may share it, each with logs of its own."""

    def __init__(self, log_filter: Filter, guarded: GuardedFilter) -> None:
        self._filter, self._guarded = log_filter, guarded
        self._trackers: dict[LogKey, SessionTracker] = {}
        self._predecessors: dict[LogKey, SessionTracker] = {}

    def of(self, origin: Origin) -> SessionTracker:
        """Return the tracker of a log; a new log gets a new one."""
        key = (origin.source, origin.name, origin.stream)
        tracker = self._trackers.get(key)
        if tracker is None:
            while len(self._trackers) >= MAX_TRACKERS:
                self._trackers.pop(next(iter(self._trackers)), None)
            # Its thread has finished the lines before, so nothing else writes into the predecessor.
            before = self._predecessors.pop(key, None)
            tracker = (
                before.continued(self._filter, self._guarded)
                if before
                else SessionTracker(self._filter, self._guarded)
            )
            self._trackers[key] = tracker
        return tracker

    def continue_from(self, before: SessionTrackers) -> None:
        """Take over the memory of these trackers, which are of an equivalent filter."""
        self._predecessors = before._trackers
