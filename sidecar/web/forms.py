"""Forms of the status page: what a browser sent, and whether a page of ours made it do so."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qsl

from sidecar.runtime.http_server import HttpRequest

FORM: Final = "application/x-www-form-urlencoded"
MAX_FIELDS: Final = 10


class BadForm(Exception):  # noqa: N818 - it is an answer
    """What was sent is not taken. The message is for the person who sent it."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def read(request: HttpRequest) -> Mapping[str, str]:
    """Return the fields of a form of our own page. Raises BadForm."""
    if not is_from_our_page(request.headers):
        raise BadForm(
            HTTPStatus.FORBIDDEN,
            "this form came from another page: open the status page by its own address. Behind a proxy, have it pass "
            "`Host` on (nginx: proxy_set_header Host $http_host;)",
        )
    if request.body is None:
        raise BadForm(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the form is too long")
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != FORM:
        raise BadForm(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"a form is sent as {FORM}")
    try:
        pairs = parse_qsl(request.body.decode(), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadForm(HTTPStatus.BAD_REQUEST, "the form cannot be read") from None
    return {name: value.strip() for name, value in pairs}


def is_from_our_page(headers: Mapping[str, str]) -> bool:
    """Return whether a page of ours sent this request: browsers say so, and no page can have them say it falsely.

    `Sec-Fetch-Site` is sent to this host itself and over TLS; `Origin` with every form.
    """
    if site := headers.get("Sec-Fetch-Site"):
        return site == "same-origin"
    origin, host = headers.get("Origin", ""), headers.get("Host")
    return bool(host) and origin.lower() in (f"http://{host}".lower(), f"https://{host}".lower())


def came_over_tls(headers: Mapping[str, str]) -> bool:
    """Return whether the browser asked by https, also where a proxy ends it."""
    return headers.get("Origin", "").lower().startswith("https://")
