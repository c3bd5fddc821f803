"""The sender for Slack's incoming webhooks. Mattermost, Rocket.Chat and Discord accept attachments too.

https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks/. Slack itself is sent Block Kit inside an
attachment, which gives both a coloured bar and long text; the others know plain attachments only. Discord takes
Slack's format at `…/slack`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from sidecar.alerts.compose import utc
from sidecar.alerts.http_request import WebRequest, send
from sidecar.alerts.notices import Field, Notice
from sidecar.core.actions import Action
from sidecar.core.text import printable

# Characters before they are escaped. Slack accepts 3,000 in a section and 2,000 in one of its fields, 40,000 in a
# text, and 50 blocks; Discord 1,024 in a field and 2,000 in a text.
MAX_TEXT_LENGTH, MAX_VALUE_LENGTH, MAX_SHORT_LENGTH = 1_500, 1_000, 600
# https://api.slack.com/reference/surfaces/formatting#escaping; a backtick would end a code span.
ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", "`": "'"})
# Mattermost and Discord notify everyone in the channel.
MENTION: Final = re.compile(r"@(?=(?:channel|here|everyone|all)\b)", re.IGNORECASE)
SLACK_HOSTS: Final = ("hooks.slack.com", "hooks.slack-gov.com")
DISCORD_HOSTS: Final = ("discord.com", "discordapp.com", "ptb.discord.com", "canary.discord.com")
EMOJI: Final = ":cop:"
# Of an attachment's bar, where the service does not know Slack's names.
COLOURS: Final = {"good": "#2eb886", "warning": "#daa038", "danger": "#a30200"}


class SlackFormat(StrEnum):
    """How a message is laid out."""

    BLOCKS = "blocks"
    ATTACHMENTS = "attachments"
    TEXT = "text"


class Slack:
    """Posts notices to one webhook."""

    def __init__(self, url: str, host: str = "", action: Action | None = None, name: str = "slack") -> None:
        """`host` is put before each message, for channels with the messages of several hosts."""
        self.name = name
        action = action or Action("slack", "slack", source="SLACK_WEBHOOK_URL")
        self._url, self._host, self._action = destination(url), host, action
        self._format = SlackFormat(action.option("format") or _usual_format(url))

    def send(self, notice: Notice, within_s: float) -> None:
        """Post the notice. Raises Delayed, Rejected or Refused."""
        is_discord = _host(self._url) in DISCORD_HOSTS
        body = payload(notice, self._host, self._format)
        if is_discord:
            for attachment in body.get("attachments", ()):
                attachment["color"] = COLOURS[notice.level]
        for option in ("channel", "username", "icon_emoji"):
            if value := self._action.option(option):
                body[option] = value
        service = "Discord" if is_discord else "Slack"
        request = WebRequest(
            self._url, json.dumps(body).encode(), service, self._action.source,
            headers={"Content-Type": "application/json"},
        )  # fmt: skip
        send(request, within_s)


def destination(url: str) -> str:
    """Return the URL that takes Slack's format: Discord has it beside its own."""
    if _host(url) not in DISCORD_HOSTS:
        return url
    parts = urlsplit(url)
    path = parts.path.rstrip("/")
    if not path.endswith(("/slack", "/github")):
        return urlunsplit(parts._replace(path=f"{path}/slack"))
    return url


def payload(notice: Notice, host: str = "", layout: SlackFormat = SlackFormat.ATTACHMENTS) -> dict[str, Any]:
    """Return the message in Slack's JSON."""
    text = escape(f"{host}: {notice.text}" if host else notice.text, MAX_TEXT_LENGTH)
    fields = [part for field in notice.fields for part in _parts(field)]
    body: dict[str, Any] = {"text": text, "icon_emoji": EMOJI}
    if layout == SlackFormat.TEXT:
        lines = [f"*{escape(each.title, MAX_SHORT_LENGTH)}:* {_value(each)}" for each in fields]
        return body | {"text": "\n".join([text, *lines])}
    if layout == SlackFormat.BLOCKS:
        # An attachment without blocks is rejected.
        blocks = [*_blocks(fields), *_when(notice.at)]
        return body | (
            {"attachments": [{"color": COLOURS[notice.level], "blocks": blocks}]} if blocks else {}
        )
    attachment: dict[str, Any] = {"fallback": text, "color": notice.level}
    attachment |= {"fields": [_field(field) for field in fields], "mrkdwn_in": ["fields"]}
    return body | {"attachments": [attachment | ({"ts": int(notice.at)} if notice.at else {})]}


def escape(text: str, limit: int) -> str:
    """Return one line that cannot format, link or mention anyone; `limit` counts characters before the escaping."""
    shown = printable(text, limit)
    if len(text) > limit:
        shown = f"{shown[: limit - 1]}…"
    return MENTION.sub("@\N{ZERO WIDTH SPACE}", shown.translate(ENTITIES))


def _parts(field: Field) -> list[Field]:
    """Return the field, or several where its value is too long for one."""
    size = MAX_SHORT_LENGTH if field.short else MAX_VALUE_LENGTH
    values = [field.value[at : at + size] for at in range(0, len(field.value), size)] or [""]
    first, *others = values
    more = (field._replace(title=f"{field.title} …", value=value) for value in others)
    return [field._replace(value=first), *more]


def _blocks(fields: Sequence[Field]) -> list[dict[str, Any]]:
    """Return sections: the short fields side by side, ten in each; the others below them, over the whole width."""
    short = [_block_text(each) for each in fields if each.short]
    rows = [short[at : at + 10] for at in range(0, len(short), 10)]
    return [
        *({"type": "section", "fields": row} for row in rows),
        *({"type": "section", "text": _block_text(each)} for each in fields if not each.short),
    ]


def _when(at: float) -> list[dict[str, Any]]:
    """Return the time, which Slack shows in the reader's zone: a message may have waited for long."""
    if not at:
        return []
    text = f"<!date^{int(at)}^{{date_short_pretty}} {{time_secs}}|{utc(at)}>"
    return [{"type": "context", "elements": [{"type": "mrkdwn", "text": text}]}]


def _block_text(field: Field) -> dict[str, str]:
    return {"type": "mrkdwn", "text": f"*{escape(field.title, MAX_SHORT_LENGTH)}*\n{_value(field)}"}


def _field(field: Field) -> dict[str, Any]:
    title = escape(field.title, MAX_SHORT_LENGTH)
    return {"title": title, "value": _value(field), "short": field.short}


def _value(field: Field) -> str:
    value = escape(field.value, MAX_SHORT_LENGTH if field.short else MAX_VALUE_LENGTH)
    # In a code span nothing becomes a link or a picture.
    return f"`{value}`" if field.verbatim else value


def _usual_format(url: str) -> SlackFormat:
    return SlackFormat.BLOCKS if _host(url) in SLACK_HOSTS else SlackFormat.ATTACHMENTS


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        # Sending to it is an error with a sentence.
        return ""
