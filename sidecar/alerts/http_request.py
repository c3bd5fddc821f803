"""One HTTP request to a service, and what its answer means for a message.

The URL of a webhook is the password to a channel, so no log line and no exception's text contains it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from sidecar.alerts.sender import Delayed, MessageRefused, Rejected

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 10.0
MIN_TIMEOUT_S: Final = 0.1
MAX_RETRY_AFTER_S: Final = 3600.0
# How services say what is wrong: `no_service`, `invalid_payload`.
ERROR_CODE: Final = re.compile(rb"[a-z_]{1,60}")
MAX_ERROR_CODE_BYTES: Final = 100
# The service does not accept this message, but it is there: bad request, not acceptable, conflict, too large,
# unsupported type, unprocessable.
OF_THE_MESSAGE: Final = frozenset({400, 406, 409, 413, 414, 415, 422, 431})
# Slack answers 400 for these too, and they are not about the message.
OF_THE_WEBHOOK: Final = frozenset(
    {"user_not_found", "channel_not_found", "no_service", "no_team", "invalid_token"}
)


@dataclass(frozen=True, slots=True)
class WebRequest:
    """What is sent. `service` and `setting` are words for sentences: "Slack", "SLACK_WEBHOOK_URL"."""

    url: str
    body: bytes
    service: str
    setting: str
    method: str = "POST"
    headers: Mapping[str, str] | None = None


def send(request: WebRequest, within_s: float) -> None:
    """Send it. Raises Delayed on 408, 425, 429, 5xx and where no answer came, otherwise Rejected or MessageRefused.

    Where an answer does not come in time the message may have arrived. It was not confirmed, so it is sent again.
    """
    within_s = max(MIN_TIMEOUT_S, within_s)
    log_no_urls()
    try:
        with requests.request(
            request.method,
            request.url,
            data=request.body,
            headers={"User-Agent": "wp-sidecar", **(request.headers or {})},
            timeout=(min(CONNECT_TIMEOUT_S, within_s), min(READ_TIMEOUT_S, within_s)),
            # A redirect would be followed with a GET, without the message.
            allow_redirects=False,
            # The text of the answer is read only where it says what is wrong.
            stream=True,
        ) as response:
            _check(response, request)
    except requests.ReadTimeout:
        raise Delayed(f"{request.service} accepted the connection, but did not answer in time.") from None
    except requests.ConnectionError as err:
        raise Delayed(f"{request.service} cannot be reached: {_reason(err)}.") from None
    # Any of these may quote the URL.
    except (requests.RequestException, HTTPError, ValueError) as err:
        raise MessageRefused(f"{request.setting} cannot be used ({type(err).__name__}).") from None


def log_no_urls() -> None:
    """Have urllib3 log no URL: at DEBUG it logs the path, which is a secret."""
    logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)


def _check(response: requests.Response, request: WebRequest) -> None:
    """Raise Delayed, Rejected or MessageRefused unless the message was accepted."""
    status, service = response.status_code, request.service
    if 200 <= status < 300:
        return
    if status in (408, 425, 429) or status >= 500:
        raise Delayed(f"{service} answered {status}.", _retry_after(response.headers.get("Retry-After", "0")))
    if status < 400:
        raise MessageRefused(
            f"{service} answered {status}, a redirect: put the final address into {request.setting}."
        )
    code = _error_code(response)
    shown = f" ({code})" if code else ""
    if status in OF_THE_MESSAGE and code not in OF_THE_WEBHOOK:
        raise Rejected(f"{service} answered {status}{shown} to a message.")
    raise MessageRefused(
        f"{service} answered {status}{shown}: does the webhook of {request.setting} still exist?"
    )


def _error_code(response: requests.Response) -> str:
    """Return the service's word for what is wrong: `no_service`. Not the page of a proxy, which could quote the URL."""
    try:
        found = ERROR_CODE.fullmatch(response.raw.read(MAX_ERROR_CODE_BYTES).strip())
    except HTTPError:
        return ""
    return found[0].decode() if found else ""


def _retry_after(header: str) -> float:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110); an hour at most."""
    try:
        return float(header) if re.fullmatch(r"\d{1,4}\.\d{1,9}", header) else _whole_retry_after(header)
    except (InvalidHeader, ValueError):
        return 0.0


def _whole_retry_after(header: str) -> float:
    return float(min(Retry().parse_retry_after(header), MAX_RETRY_AFTER_S))


def _reason(err: BaseException) -> str:
    """Return the system's own words. What requests and urllib3 put around them contains the URL."""
    seen: BaseException | None = err
    while seen:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        causes = (getattr(seen, "reason", None), *seen.args)
        inner = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        seen = inner or seen.__cause__ or seen.__context__
    return type(err).__name__
