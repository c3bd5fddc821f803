"""Slack's incoming webhooks, which Mattermost, Rocket.Chat and Discord (`…/slack`) take as well.

The webhook's URL is the password to the channel, so no log line and no exception's text has it.
"""

from __future__ import annotations

import logging
import re
from typing import Any

import requests
from urllib3.exceptions import HTTPError, InvalidHeader
from urllib3.util import Retry

from sidecar.alerts.notices import Delayed, Field, Notice, Rejected, plain

CONNECT, READ = 5.0, 10.0  # seconds
TEXT, VALUE = 300, 1_000  # characters; Slack folds a long text, and cuts a field at 2,000
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'"})
CROWD = re.compile(
    r"@(?=(?:channel|here|everyone|all)\b)", re.IGNORECASE
)  # Mattermost and Discord wake everyone
CODE = re.compile(rb"[a-z_]{1,60}")  # how Slack says what is wrong: `no_service`, `invalid_payload`


class Slack:
    """A Sender. `host` is put before each message, for channels that hear from several. `url` may change."""

    name = "slack"

    def __init__(self, url: str, host: str = "") -> None:
        self.url, self._host = url, host
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)  # at DEBUG it logs the URL's path

    def send(self, notice: Notice, within: float) -> None:
        """Post it. Raises Delayed on 408, 429, 5xx and where no connection was made, else Rejected.

        An answer that does not come in time is Rejected: the message may have arrived, and would come twice.
        """
        try:
            with requests.post(
                self.url,
                json=payload(notice, self._host),
                headers={"User-Agent": "wp-sidecar"},
                timeout=(min(CONNECT, max(0.1, within)), min(READ, max(0.1, within))),
                allow_redirects=False,  # what would follow is a GET without the message
                stream=True,  # the answer's text is read only where it says what is wrong
            ) as response:
                _check(response)
        except requests.ReadTimeout:
            raise Rejected("Slack took the connection, but did not answer in time.") from None
        except requests.ConnectionError as err:
            raise Delayed(f"Slack cannot be reached: {_reason(err)}.") from None
        except (requests.RequestException, HTTPError, ValueError) as err:  # each may quote the URL
            raise Rejected(f"SLACK_WEBHOOK_URL cannot be used ({type(err).__name__}).") from None


def payload(notice: Notice, host: str = "") -> dict[str, Any]:
    """The message in Slack's JSON."""
    text = escape(f"{host}: {notice.text}" if host else notice.text, TEXT)
    attachment = {
        "fallback": text,
        "color": notice.level,
        "fields": [_field(field) for field in notice.fields],
        "mrkdwn_in": ["fields"],
    }
    return {"text": text, "icon_emoji": ":cop:", "attachments": [attachment]}


def escape(text: str, most: int) -> str:
    """Text that can neither format, link, nor call anyone: one line of `most` characters, escaped."""
    return CROWD.sub("@\N{ZERO WIDTH SPACE}", plain(text, most).translate(ENTITIES))


def _field(field: Field) -> dict[str, Any]:
    value = escape(field.value, VALUE)
    return {
        "title": escape(field.title, TEXT),
        "value": f"`{value}`"
        if field.verbatim
        else value,  # in a code span nothing becomes a link or a picture
        "short": field.short,
    }


def _check(response: requests.Response) -> None:
    """Raises Delayed or Rejected unless the message was taken."""
    status = response.status_code
    if 200 <= status < 300:
        return
    if status in (408, 429) or status >= 500:
        raise Delayed(
            f"Slack answered {status}.", after=_retry_after(response.headers.get("Retry-After", "0"))
        )
    if status < 400:
        raise Rejected(f"Slack answered {status}, a redirect: put the final address into SLACK_WEBHOOK_URL.")
    raise Rejected(
        f"Slack answered {status}{_code(response)}: does the webhook of SLACK_WEBHOOK_URL still exist?"
    )


def _code(response: requests.Response) -> str:
    """Slack's word for what is wrong: ` (no_service)`. Not a proxy's page: that could quote the URL."""
    try:
        found = CODE.fullmatch(response.raw.read(100).strip())
    except HTTPError:
        return ""
    return f" ({found[0].decode()})" if found else ""


def _retry_after(header: str) -> float:
    """Seconds, at most an hour; the header holds seconds or a date."""
    try:
        return float(min(Retry().parse_retry_after(header), 3600))
    except (InvalidHeader, ValueError):
        return 0.0


def _reason(err: BaseException) -> str:
    """The system's own words, without what requests and urllib3 put around them: that holds the URL."""
    seen: BaseException | None = err
    while seen:
        if isinstance(seen, OSError) and seen.strerror:
            return seen.strerror
        inner = next(
            (arg for arg in (getattr(seen, "reason", None), *seen.args) if isinstance(arg, BaseException)),
            None,
        )
        seen = inner or seen.__cause__ or seen.__context__
    return type(err).__name__
