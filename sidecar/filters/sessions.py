"""Filters that need more than one line: a window of lines (`maxlines`), or a session followed by its id (`<F-MLFID>`).

What is remembered belongs to one filter and one origin, is small, and is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from sidecar.filters.loader import WHO, Filter
from sidecar.filters.verdict import Decide, Failure, decide

MOST_SESSIONS: Final = 100  # as many as fail2ban remembers
FORGOTTEN: Final = 300.0  # seconds without a line of the session, likewise


@dataclass(slots=True)
class Session:
    """What the lines of one session have told so far."""

    at: float
    told: dict[str, str | None] = field(default_factory=dict)
    users: set[str] = field(default_factory=set)
    owed: Failure | None = None  # a failure of which nobody has said yet whose it was


class SessionTracker:
    """One filter on the lines of one origin, in their order."""

    def __init__(self, rules: Filter, decide: Decide = decide) -> None:
        self._rules, self._decide = rules, decide
        self._lines: list[str] = []
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def under(self, rules: Filter, decide: Decide) -> SessionTracker:
        """The same memory for a filter that finds the same, read anew."""
        other = SessionTracker(rules, decide)
        other._lines, other._sessions = self._lines, self._sessions
        return other

    def decide(self, text: str, at: float) -> Failure | None:
        """Does this line, with those before it, count? `text` is without its date, `at` is unix seconds."""
        failure = self._windowed(text) if self._rules.maxlines > 1 else self._decide(self._rules, text, None)
        if failure is None:
            return None
        session = failure.groups.get("mlfid")
        if session is None:
            return None if failure.groups.get("nofail") is not None else failure
        return self._followed(session, failure, at)

    def _windowed(self, text: str) -> Failure | None:
        """The window's lines as one text; those that matched leave it, those that were skipped stay."""
        self._lines = [*self._lines, text][-self._rules.maxlines :]
        failure = self._decide(self._rules, "\n".join(self._lines), None)
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

    def _followed(self, name: str, failure: Failure, at: float) -> Failure | None:
        session = self._session(name, at)
        groups = failure.groups
        session.told.update(
            {key: text for key, text in groups.items() if text is not None and key not in _OF_A_LINE}
        )
        another = bool(failure.user and session.users and failure.user not in session.users)
        session.users |= {failure.user} if failure.user else set()
        known = any(session.told.get(key) for key in WHO)
        gained = groups.get("mlfgained") is not None
        if gained and not another:
            session.owed = None
        elif another or (
            groups.get("nofail") is None and not gained
        ):  # a second user name in one session is a guess
            session.owed = failure
        told = None
        if session.owed and known:
            told, session.owed = failure._replace(told=dict(session.told)), None
        if groups.get("mlfforget") is not None:
            self._sessions.pop(name, None)
        return told

    def _session(self, name: str, at: float) -> Session:
        session = self._sessions.pop(name, None)
        if session is None or at - session.at > FORGOTTEN:
            session = Session(at)
        session.at = at
        self._sessions[name] = session
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return session


_OF_A_LINE: Final = frozenset({"nofail", "mlfforget", "mlfgained", "content"})
