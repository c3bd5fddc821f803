"""Responses of the status page, with what a browser may do with them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Final

from sidecar.runtime.http_server import HttpResponse

HTML: Final = "text/html; charset=utf-8"
# Nothing from elsewhere, no inline script or style, in no frame; a form leads here.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    # For browsers that do not know `frame-ancestors`.
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Under `no-referrer` a browser does not say where a form came from (`Origin: null`).
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}


def page_response(
    body: bytes | Iterable[bytes],
    status: HTTPStatus = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
    content_type: str = HTML,
) -> HttpResponse:
    return HttpResponse(status, body, content_type, HEADERS | dict(headers or {}))


def redirect(path: str, cookie: str = "") -> HttpResponse:
    """Return a response that leads to a page of ours, and sets a cookie."""
    cookies = {"Set-Cookie": cookie} if cookie else {}
    return page_response(b"", HTTPStatus.SEE_OTHER, {"Location": path, **cookies})
