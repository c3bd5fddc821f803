"""The sender for Slack's incoming webhooks. Mattermost, Rocket.Chat and Discord (`…/slack`) accept them too.

https://api.slack.com/messaging/webhooks. The URL of the webhook is the password to the channel, so no log
line and no exception's text contains it.
"""

from __future__ import annotations

import logging
import re
from typing import Any, Final

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from sidecar.alerts.notices import Field, Notice
from sidecar.alerts.sender import Delayed, Rejected
from sidecar.core.text import printable

CONNECT_TIMEOUT_S, READ_TIMEOUT_S = 5.0, 10.0
MIN_TIMEOUT_S: Final = 0.1
MAX_RETRY_AFTER_S: Final = 3600.0
# Characters before they are escaped. Slack folds a long text, and cuts a field at 2,000.
MAX_TEXT_LENGTH, MAX_VALUE_LENGTH = 300, 1_000
# https://api.slack.com/reference/surfaces/formatting#escaping; a backtick would end a code span.
ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'"})
# Mattermost and Discord notify everyone in the channel.
MENTION: Final = re.compile(r"@(?=(?:channel|here|everyone|all)\b)", re.IGNORECASE)
# How Slack says what is wrong: `no_service`, `invalid_payload`.
ERROR_CODE: Final = re.compile(rb"[a-z_]{1,60}")
MAX_ERROR_CODE_BYTES: Final = 100


class Slack:
    """Posts notices to one webhook."""

    name = "slack"

    def __init__(self, url: str, host: str = "") -> None:
        """`host` is put before each message, for channels with the messages of several hosts."""
        self._url, self._host = url, host
        # At DEBUG it logs the path of the URL.
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)

    def reconfigure(self, url: str) -> None:
        """Use this URL from now on."""
        self._url = url

    def send(self, notice: Notice, within_s: float) -> None:
        """Post the notice. Raises Delayed on 408, 429, 5xx and where no connection was made, otherwise Rejected.

        An answer that does not come in time is Rejected: the message may have arrived, and would be shown
        twice.
        """
        within_s = max(MIN_TIMEOUT_S, within_s)
        try:
            with requests.post(
                self._url,
                json=payload(notice, self._host),
                headers={"User-Agent": "wp-sidecar"},
                timeout=(min(CONNECT_TIMEOUT_S, within_s), min(READ_TIMEOUT_S, within_s)),
                # A redirect would be followed with a GET, without the message.
                allow_redirects=False,
                # The text of the answer is read only where it says what is wrong.
                stream=True,
            ) as response:
                _check(response)
        except requests.ReadTimeout:
            raise Rejected("Slack accepted the connection, but did not answer in time.") from None
        except requests.ConnectionError as err:
            raise Delayed(f"Slack cannot be reached: {_reason(err)}.") from None
        # Any of these may quote the URL.
        except (requests.RequestException, HTTPError, ValueError) as err:
            raise Rejected(f"SLACK_WEBHOOK_URL cannot be used ({type(err).__name__}).") from None


def payload(notice: Notice, host: str = "") -> dict[str, Any]:
    """Return the message in Slack's JSON."""
    text = escape(f"{host}: {notice.text}" if host else notice.text, MAX_TEXT_LENGTH)
    attachment = {
        "fallback": text,
        "color": notice.level,
        "fields": [_field(field) for field in notice.fields],
        "mrkdwn_in": ["fields"],
    }
    return {"text": text, "icon_emoji": ":cop:", "attachments": [attachment]}


def escape(text: str, limit: int) -> str:
    """Return one line that cannot format, link or mention anyone; `limit` counts characters before the escaping."""
    return MENTION.sub("@\N{ZERO WIDTH SPACE}", printable(text, limit).translate(ENTITIES))


def _field(field: Field) -> dict[str, Any]:
    value = escape(field.value, MAX_VALUE_LENGTH)
    return {
        "title": escape(field.title, MAX_TEXT_LENGTH),
        # In a code span nothing becomes a link or a picture.
        "value": f"`{value}`" if field.verbatim else value,
        "short": field.short,
    }


def _check(response: requests.Response) -> None:
    """Raise Delayed or Rejected unless the message was accepted."""
    status = response.status_code
    if 200 <= status < 300:
        return
    if status in (408, 429) or status >= 500:
        raise Delayed(f"Slack answered {status}.", _retry_after(response.headers.get("Retry-After", "0")))
    if status < 400:
        raise Rejected(f"Slack answered {status}, a redirect: put the final address into SLACK_WEBHOOK_URL.")
    raise Rejected(
        f"Slack answered {status}{_error_code(response)}: does the webhook of SLACK_WEBHOOK_URL still exist?"
    )


def _error_code(response: requests.Response) -> str:
    """Return Slack's word for what is wrong: ` (no_service)`. Not the page of a proxy, which could quote the URL."""
    try:
        found = ERROR_CODE.fullmatch(response.raw.read(MAX_ERROR_CODE_BYTES).strip())
    except HTTPError:
        return ""
    return f" ({found[0].decode()})" if found else ""


def _retry_after(header: str) -> float:
    """Return the seconds of a Retry-After header, which holds seconds or a date (RFC 9110); an hour at most."""
    try:
        return float(min(Retry().parse_retry_after(header), MAX_RETRY_AFTER_S))
    except (InvalidHeader, ValueError):
        return 0.0


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
