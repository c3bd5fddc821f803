"""The forms of the status page: log in and out, ban and unban, allow. Each does what the command of the same name does.

    browser ──form──▶ forms (is it ours?) ──▶ sessions (whose is it?) ──▶ a command of the control socket

What came of it is a notice on the page.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final, Protocol, TypeVar, cast

from sidecar.config.units import ban_duration
from sidecar.config.variable_values import MAX_WEB_TOKEN_LENGTH
from sidecar.control.protocol import (
    AllowAnswer,
    AllowRequest,
    BanRequest,
    ControlRequest,
    DisallowRequest,
    Refused,
    UnbanAnswer,
    UnbanRequest,
)
from sidecar.core.text import printable
from sidecar.runtime.http_server import HttpRequest, HttpResponse
from sidecar.web import forms
from sidecar.web.doctor import Checkups
from sidecar.web.forms import BadForm
from sidecar.web.html import button, document, field, form, text
from sidecar.web.response import page_response, redirect
from sidecar.web.sessions import (
    NO_TOKEN,
    NotLoggedIn,
    Sessions,
    WebSession,
    cookie_of,
    may_be_ours,
)

A = TypeVar("A")

log = logging.getLogger(__name__)

LOGIN: Final = "/login"
LOGOUT: Final = "/logout"
BAN: Final = "/ban"
UNBAN: Final = "/unban"
ALLOW: Final = "/allow"
DISALLOW: Final = "/disallow"
CHECK: Final = "/doctor"
# Where the notice about a form is.
CHANGES: Final = "/#changes"
# An IPv6 network has 43 characters.
MAX_ADDRESS_CHARS: Final = 64
MAX_REASON_CHARS: Final = 200
# Who asked, in a ban's reason.
ACTOR: Final = "web"


class Commands(Protocol):
    """The commands of the control socket. Called from several threads at a time."""

    def answer(self, fields: Mapping[str, Any], /) -> Mapping[str, Any]: ...


class ChangeForms:
    """Answers the paths of forms. What a person did is in the log, with the address that the form came from."""

    def __init__(self, commands: Commands, sessions: Sessions, doctor: Checkups) -> None:
        self._commands = commands
        self._doctor = doctor
        self._sessions = sessions
        self._actions: Mapping[str, Callable[[Mapping[str, str]], str]] = {
            BAN: self._ban, UNBAN: self._unban, ALLOW: self._allow, DISALLOW: self._disallow, CHECK: self._check,
        }  # fmt: skip
        self.paths: Final = frozenset({LOGIN, LOGOUT, *self._actions})

    def respond(self, request: HttpRequest, now: float) -> HttpResponse:
        if request.method == "POST":
            try:
                return self._sent(request, forms.read(request), now)
            except BadForm as err:
                return _page(err.status, "not done", _problem(str(err)), _back())
        if request.path != LOGIN:
            return _page(
                HTTPStatus.METHOD_NOT_ALLOWED, "not done", _problem("only a form changes something"), _back(),
                Allow="POST",
            )  # fmt: skip
        return _login_page(HTTPStatus.OK, "" if self._sessions.is_possible else NO_TOKEN)

    def session_of(self, request: HttpRequest, now: float) -> WebSession | None:
        """Return the session that a request belongs to, if it does to one."""
        return self._sessions.find(request.headers.get("Cookie", ""), request.client, now)

    @property
    def are_possible(self) -> bool:
        """Whether anybody may change anything."""
        return self._sessions.is_possible

    def _sent(self, request: HttpRequest, form: Mapping[str, str], now: float) -> HttpResponse:
        is_secure = forms.came_over_tls(request.headers)
        if request.path == LOGIN:
            try:
                value = self._sessions.open(form.get("token", ""), request.client, now)
            except NotLoggedIn as err:
                return _login_page(HTTPStatus.FORBIDDEN, str(err))
            return redirect("/", cookie_of(value, is_secure=is_secure))
        session = self.session_of(request, now)
        if session is None:
            raise BadForm(
                HTTPStatus.FORBIDDEN, "you are not logged in, or not any more: log in, and do it again"
            )
        if not may_be_ours(form, session):
            raise BadForm(HTTPStatus.FORBIDDEN, "this form is of an old page: load the page, and do it again")
        if request.path == LOGOUT:
            self._sessions.close(session)
            return redirect("/", cookie_of("", is_secure=is_secure))
        session.notice = f"{time.strftime('%H:%M:%S', time.localtime(now))}: {self._done(request, form)}"
        return redirect(CHANGES)

    def _done(self, request: HttpRequest, form: Mapping[str, str]) -> str:
        """Carry out a form. Return what came of it, as a sentence."""
        try:
            outcome = self._actions[request.path](form)
        except (Refused, ValueError) as err:
            outcome = str(err)
        log.info("web: %s sent %s: %s", request.client, request.path, printable(outcome, 300))
        return outcome

    def _ban(self, form: Mapping[str, str]) -> str:
        address = _address(form.get("address", ""))
        asked = BanRequest(
            address, form.get("jail", ""), _lasting(form.get("for", "")), _reason(form.get("reason", ""))
        )
        banned = self._ask(asked)["banned"]
        done = ", ".join(f"{each['ip']} is banned in {each['jail']}" for each in banned)
        return done or f"{address} is banned for at least as long already"

    def _unban(self, form: Mapping[str, str]) -> str:
        address, _, jail = form.get("ban", "").partition(" ")
        return (
            _unbanned(self._ask(UnbanRequest(_address(address), jail, web=True)))
            or f"{address} was not banned"
        )

    def _allow(self, form: Mapping[str, str]) -> str:
        asked = AllowRequest(
            _address(form.get("allow", "")),
            _lasting(form.get("allow-for", "")),
            _reason(form.get("comment", "")),
        )
        answer = self._ask(asked)
        done = ", ".join(f"{each['ip']} is allowed" for each in answer["allowed"])
        return "; ".join(filter(None, (done, _unbanned(answer))))

    def _disallow(self, form: Mapping[str, str]) -> str:
        address = _address(form.get("allowed", ""))
        done = ", ".join(self._ask(DisallowRequest(address))["disallowed"])
        return f"{done} is allowed no more" if done else f"{address} was not allowed"

    def _check(self, _: Mapping[str, str]) -> str:
        is_running = self._doctor.again().is_running
        return "doctor looks at everything" if is_running else "doctor has just looked: wait a minute"

    def _ask(self, request: ControlRequest[A]) -> A:
        return cast("A", self._commands.answer(request.as_json()))


def _address(written: str) -> str:
    """Return an address as a person wrote it. Raises Refused: without one, a request is about every address."""
    if not written or len(written) > MAX_ADDRESS_CHARS:
        raise Refused("name an address or a network, as 203.0.113.7")
    return written


def _lasting(written: str) -> float | None:
    """Return seconds (`math.inf`: for good), or None where nothing is written. Raises ValueError."""
    return ban_duration(written[:MAX_ADDRESS_CHARS]) if written else None


def _reason(written: str) -> str:
    """Return a reason that says who asked."""
    return ": ".join(filter(None, (ACTOR, written[:MAX_REASON_CHARS])))


def _unbanned(answer: UnbanAnswer | AllowAnswer) -> str:
    return ", ".join(f"{each['ip']} is unbanned in {each['jail']}" for each in answer["unbanned"])


def _login_page(status: HTTPStatus, problem: str) -> HttpResponse:
    what = field(
        "token", "Token (WP_SIDECAR_WEB_TOKEN)", type="password", autocomplete="current-password",
        maxlength=MAX_WEB_TOKEN_LENGTH, required="",
    )  # fmt: skip
    return _page(
        status,
        "log in",
        _problem(problem) if problem else (),
        form(LOGIN, "", (what, button("Log in"))),
        _back(),
    )


def _page(
    status: HTTPStatus, title: str, *content: Iterator[str] | tuple[str, ...], **headers: str
) -> HttpResponse:
    heading = (f"<header><h1>wp-sidecar: {text(title)}</h1></header>\n<main>\n",)
    page = document(f"wp-sidecar: {title}", heading, *content, ("</main>",))
    return page_response("".join(page).encode(), status, headers)


def _problem(sentence: str) -> tuple[str, ...]:
    return (f'<p role="alert" class="ill">{text(sentence)}.</p>\n',)


def _back() -> tuple[str, ...]:
    return ('<p><a href="/">The status page</a></p>\n',)
