"""The status page as an application of the web server. With the token people may ban and unban."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, TypeVar, cast
from urllib.parse import parse_qs

from sidecar.control.protocol import AllowedRequest, BanOrder, BansRequest, ControlRequest, StatusRequest
from sidecar.core.rate import Rate
from sidecar.runtime.http_server import HttpRequest, HttpResponse
from sidecar.web.activity import Activity
from sidecar.web.changes import ChangeForms, Commands
from sidecar.web.doctor import Checkups
from sidecar.web.response import page_response

A = TypeVar("A")

# Each page asks the loop about all bans, which bans wait for. Thirty browsers load the page this often by themselves.
PAGES_A_MINUTE: Final = 60
# Pieces of text that are sent together.
PIECES: Final = 500
FOLDER: Final = Path(__file__).parent
STYLE: Final = "style.css"
ASSETS: Final = {
    f"/{STYLE}": (STYLE, "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
TOO_MANY: Final = b"this page was loaded too often: wait a minute, log in, or use the command line\n"


class StatusPage:
    """Answers `/`, the two files that the page loads, and its forms."""

    def __init__(
        self, commands: Commands, activity: Activity, changes: ChangeForms, doctor: Checkups
    ) -> None:
        self._commands = commands
        self._activity = activity
        self._changes = changes
        self._doctor = doctor
        self._lock = threading.Lock()
        self._loaded = Rate(60.0)
        self.form_paths: Final = changes.paths
        self.paths: Final = frozenset({"/", *ASSETS, *changes.paths})

    def respond(self, request: HttpRequest) -> HttpResponse:
        # What writes the page and its tables is loaded when somebody opens it.
        from sidecar.web import page  # noqa: PLC0415

        if asset := ASSETS.get(request.path):
            name, content_type = asset
            style = page.ban_titles_style() if name == STYLE else ""
            return page_response((FOLDER / name).read_bytes() + style.encode(), content_type=content_type)
        now = time.time()
        if request.path in self._changes.paths:
            return self._changes.respond(request, now)
        session = self._changes.session_of(request, now)
        if session is None and self._is_too_often(now):
            return page_response(TOO_MANY, HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "60"}, "text/plain")
        given = {key: values[0] for key, values in parse_qs(request.query, max_num_fields=10).items()}
        search, order = given.get("q", "")[: page.MAX_SEARCH_LENGTH].strip(), given.get("order", "")
        bans = BansRequest(
            evidence=False, search=search, first=page.MAX_ROWS,
            order=BanOrder(order) if order in [*BanOrder] else BanOrder.ENDS,
        )  # fmt: skip
        shown = page.PageData(
            self._ask(StatusRequest()), self._ask(bans), self._activity, bans.search, bans.order, now, session,
            self._ask(AllowedRequest())["allowed"] if session else (), self._changes.are_possible,
            self._doctor.latest(),
        )  # fmt: skip
        return page_response(_encoded(page.page(shown)))

    def _ask(self, request: ControlRequest[A]) -> A:
        answer: Any = self._commands.answer(request.as_json())
        return cast("A", answer)

    def _is_too_often(self, now: float) -> bool:
        with self._lock:
            return self._loaded.count(now) >= PAGES_A_MINUTE or self._loaded.add(now) > PAGES_A_MINUTE


def _encoded(pieces: Iterator[str]) -> Iterator[bytes]:
    while some := "".join(itertools.islice(pieces, PIECES)):
        yield some.encode()
