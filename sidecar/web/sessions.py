"""Who may change bans on the status page: a token opens a session, and a cookie names it.

Everybody who reaches the port may try tokens, so a client has a few wrong ones a minute, and all together have some
more. What is kept is bounded: a wrong token costs a number for each of the last clients, and only the right one makes a
session.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from sidecar.core.address import parse_address
from sidecar.core.bounded_dict import drop_oldest
from sidecar.core.rate import Rate

log = logging.getLogger(__name__)

# A working day. Each browser logs in for itself.
SESSION_S: Final = 8 * 3600.0
MAX_SESSIONS: Final = 16
# Wrong tokens within a minute, of one client and of all. Sixteen random characters outlast that by far.
PERIOD_S: Final = 60.0
MAX_WRONG: Final = 5
MAX_WRONG_OF_ALL: Final = 60
MAX_CLIENTS: Final = 256
COOKIE: Final = "wp_sidecar_session"
NO_TOKEN: Final = "nobody may change bans here: set WP_SIDECAR_WEB_TOKEN"  # noqa: S105 - not a secret


class NotLoggedIn(Exception):  # noqa: N818 - it is an answer
    """No session was opened. The message says why, and what to do."""


class CurrentSettings(Protocol):
    """Has the settings in force."""

    @property
    def settings(self) -> HasToken: ...


class HasToken(Protocol):
    @property
    def web_token(self) -> str: ...


@dataclass(slots=True)
class WebSession:
    """One browser that gave the token."""

    # The client's address, or its /64: a cookie that another site on this host was sent is of no use elsewhere.
    client: str
    ends_at: float
    # Of the token that opened it: another token ends it.
    token: bytes
    # What a form of ours carries and no other page can know.
    form_key: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    # What came of the last form.
    notice: str = ""


class Sessions:
    """Sessions by what their cookie says. Used by any thread; the time is an argument."""

    def __init__(self, current: CurrentSettings) -> None:
        self._current = current
        self._lock = threading.Lock()
        # By the hash of the cookie's value, so how long a lookup takes says nothing about a value. The oldest first.
        self._open: dict[bytes, WebSession] = {}
        self._wrong_of: dict[str, Rate] = {}
        self._wrong = Rate(PERIOD_S)

    @property
    def is_possible(self) -> bool:
        """Whether there is a token at all."""
        return bool(self._current.settings.web_token)

    def open(self, token: str, client: str, now: float) -> str:
        """Return the value of the cookie of a new session. Raises NotLoggedIn."""
        client, wanted = _canonical(client), self._current.settings.web_token
        if not wanted:
            raise NotLoggedIn(NO_TOKEN)
        with self._lock:
            self._check_rate(client, now)
            # Hashes have one length, so the comparison does not even tell how long the token is.
            if not hmac.compare_digest(_hash(token), _hash(wanted)):
                self._count_wrong(client, now)
                raise NotLoggedIn("this is not the token: it is what WP_SIDECAR_WEB_TOKEN says")
            value = secrets.token_urlsafe(32)
            self._end_expired(now)
            while len(self._open) >= MAX_SESSIONS:
                drop_oldest(self._open)
            self._open[_hash(value)] = WebSession(client, now + SESSION_S, _hash(wanted))
        log.info("web: %s logged in", client)
        return value

    def find(self, cookies: str, client: str, now: float) -> WebSession | None:
        """Return the session that a `Cookie` header names for this client, if there is one."""
        token = _hash(self._current.settings.web_token)
        with self._lock:
            self._end_expired(now)
            for value in _values(cookies):
                session = self._open.get(_hash(value))
                if session and session.client == _canonical(client) and session.token == token:
                    return session
        return None

    def close(self, session: WebSession) -> None:
        """End a session. May be called more than once."""
        with self._lock:
            self._open = {key: each for key, each in self._open.items() if each is not session}

    def _check_rate(self, client: str, now: float) -> None:
        mine = self._wrong_of.get(client)
        if mine and mine.count(now) >= MAX_WRONG:
            raise NotLoggedIn("too many wrong tokens: wait a minute")
        if self._wrong.count(now) >= MAX_WRONG_OF_ALL:
            raise NotLoggedIn(
                "too many wrong tokens, by other clients too: wait a minute, or use the command line"
            )

    def _count_wrong(self, client: str, now: float) -> None:
        if client not in self._wrong_of and len(self._wrong_of) >= MAX_CLIENTS:
            drop_oldest(self._wrong_of)
        self._wrong_of.setdefault(client, Rate(PERIOD_S)).add(now)
        self._wrong.add(now)
        log.warning("web: a wrong token from %s", client)

    def _end_expired(self, now: float) -> None:
        # A clock that was set back must not prolong a session.
        self._open = {key: each for key, each in self._open.items() if 0 < each.ends_at - now <= SESSION_S}


def cookie_of(value: str, *, is_secure: bool) -> str:
    """Return the `Set-Cookie` header for a session; "" as its value ends it in the browser."""
    age = int(SESSION_S) if value else 0
    # No script can read it, and no other site's page can have it sent.
    return f"{COOKIE}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{'; Secure' * is_secure}"


def may_be_ours(form: Mapping[str, str], session: WebSession) -> bool:
    """Return whether a form carries the key of this session's own forms."""
    return hmac.compare_digest(_hash(form.get("key", "")), _hash(session.form_key))


def _values(cookies: str) -> list[str]:
    """Return the values of our cookie: others of the same host may have any form, and may use its name."""
    pairs = (each.strip().partition("=") for each in cookies.split(";"))
    return [value for name, _, value in pairs if name == COOKIE][:MAX_SESSIONS]


def _canonical(client: str) -> str:
    return parse_address(client) or ""


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="replace")).digest()
