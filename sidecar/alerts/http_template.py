"""The sender for action files: it posts what their curl lines would have posted, without running anything.

A value goes into JSON as JSON and into a form percent-encoded, and a log line into a message to Slack without a mention
or a link, so nothing that an attacker wrote can change the request. Messages that the file has no line for, such as a
problem or a digest, are put in the place of the texts that name the address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlsplit

from urllib3.filepost import encode_multipart_formdata

from sidecar.alerts import tags
from sidecar.alerts.http_request import WebRequest, send
from sidecar.alerts.notices import Notice
from sidecar.alerts.slack import escape
from sidecar.core.actions import Action, AlertEvent, BodyPart, RequestTemplate
from sidecar.core.jail import configured_name
from sidecar.core.request_text import LINE_TAGS, TEXT_TAG, is_slack_like, json_of, names_address, texts_of
from sidecar.core.text import printable

FORM: Final = "application/x-www-form-urlencoded"
CONTENT_TYPE: Final = "content-type"
EVENTS: Final = frozenset(each.value for each in AlertEvent)
# What curl sends raw in a form, and what neither ends a field nor stands for something else there.
UNQUOTED: Final = " :/,()[]{}@!$'*~=?\"\\-_."
# Keys of short texts, where one line is enough.
SHORT_KEYS: Final = frozenset({"fallback", "title", "summary", "subject"})
# Characters of a log line, and of a text that is put in.
MAX_LINE_LENGTH, MAX_TEXT_LENGTH = 300, 1_500


class HttpTemplate:
    """Posts to the URL of one action file. Each jail may have texts of its own."""

    def __init__(self, name: str, actions: Mapping[str, Action], host: str = "") -> None:
        """`actions` are by jail, and have the same destination."""
        self.name = name
        self._actions, self._host = dict(actions), host
        # The message that is being sent, and how many of its requests were accepted.
        self._notice: Notice | None = None
        self._sent = 0

    def send(self, notice: Notice, within_s: float) -> None:
        """Post the notice. Raises Delayed, Rejected or Refused."""
        action = self._actions.get(configured_name(notice.jail)) or next(iter(self._actions.values()))
        meaning = tags.values(notice, self._host)
        own = action.requests_for(AlertEvent(notice.kind)) if notice.kind.value in EVENTS else []
        if notice.occurrence and notice.occurrence.dry_run:
            # The file's words say that the address is banned.
            own = []
        usual = action.requests_for(AlertEvent.BAN) or [request for _, request in action.requests]
        requests = [rendered(each, meaning, None, action.source) for each in own]
        if notice is not self._notice:
            self._notice, self._sent = notice, 0
        # Where one of several fails, those before it are not sent again.
        for request in (requests or [rendered(usual[0], meaning, notice, action.source)])[self._sent :]:
            send(request, within_s)
            self._sent += 1


def rendered(
    template: RequestTemplate, meaning: Mapping[str, str], notice: Notice | None, setting: str
) -> WebRequest:
    """Return the request. With a notice, its text stands where the template's text names the address."""
    headers = {
        name: tags.filled(value, meaning, lambda _, text: printable(text)) for name, value in template.headers
    }
    kinds = [
        value.partition(";")[0].strip() for name, value in headers.items() if name.lower() == CONTENT_TYPE
    ]
    is_form = not kinds or kinds[0] == FORM
    fill = _Filling(meaning, notice, _message_texts(template), is_form=is_form)
    if template.multipart:
        fields = [(part.name, fill.text(part)) for part in template.parts]
        body, content_type = encode_multipart_formdata(fields)
        headers["Content-Type"] = content_type
    else:
        body = "&".join(fill.part(part) for part in template.parts).encode()
        if template.parts and not kinds:
            headers["Content-Type"] = FORM
    url = tags.filled(template.url, meaning, lambda _, value: quote(value, safe=""))
    service = urlsplit(url).hostname or "the service"
    return WebRequest(url, body, service, setting, template.method, headers)


class _Filling:
    """Fills the parts of one request."""

    def __init__(
        self, meaning: Mapping[str, str], notice: Notice | None, texts: frozenset[str], *, is_form: bool
    ) -> None:
        """`texts` are those of the template in whose place the notice stands."""
        self._meaning, self._notice, self._texts, self._is_form = meaning, notice, texts, is_form

    def part(self, part: BodyPart) -> str:
        """Return the part as it stands in the body."""
        name = f"{part.name}=" if part.name else ""
        if part.encoded:
            # As curl has it, byte by byte.
            return name + quote(self.text(part), safe="").replace("%20", "+")
        # curl sends it as it stands. What is put in must not end the field.
        is_field = self._is_form and (part.name or "=" in part.text)
        if is_field and self._notice is None:
            return name + self._filled(part.text, quoted=True)
        if is_field and not part.name and json_of(part.text) is None:
            return "&".join(self._field(field) for field in part.text.split("&"))
        return name + (quote(self.text(part), safe="") if is_field else self.text(part))

    def text(self, part: BodyPart) -> str:
        """Return the part's text, before any encoding."""
        if self._notice is None:
            return self._filled(part.text)
        if json_of(part.text) is not None:
            return json.dumps(self._replaced(json_of(part.text), is_slack_like(part.text)))
        return self._notice.plain if part.text in self._texts else self._filled(part.text)

    def _field(self, field: str) -> str:
        name, _, value = field.partition("=")
        assert self._notice is not None  # noqa: S101 - the caller asks
        return f"{name}={quote(self._notice.plain if value in self._texts else self._filled(value), safe='')}"

    def _filled(self, text: str, *, quoted: bool = False) -> str:
        in_json, slack = json_of(text) is not None, is_slack_like(text)

        def fit(tag: str, value: str) -> str:
            if slack and (tag in LINE_TAGS or tag == TEXT_TAG):
                limit = MAX_TEXT_LENGTH if tag == TEXT_TAG else MAX_LINE_LENGTH
                value = "\n".join(escape(line, limit) for line in value.splitlines())
            if in_json:
                value = json.dumps(value)[1:-1]
            return quote(value, safe=UNQUOTED) if quoted else value

        return tags.filled(text, self._meaning, fit)

    def _replaced(self, value: Any, slack: bool, key: str = "") -> Any:  # noqa: ANN401, FBT001 - JSON
        """Return the JSON with the notice in the texts that name the address, and tags filled in the others."""
        if isinstance(value, dict):
            return {name: self._replaced(each, slack, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self._replaced(each, slack, key) for each in value]
        if not isinstance(value, str):
            return value
        if value in self._texts:
            return self._message(slack=slack, short=key in SHORT_KEYS)
        return tags.filled(value, self._meaning, lambda _, text: text)

    def _message(self, *, slack: bool, short: bool) -> str:
        notice = self._notice
        assert notice is not None  # noqa: S101 - the caller asks
        if not slack:
            return notice.text if short else notice.plain
        lines = [escape(notice.text, MAX_TEXT_LENGTH)]
        if not short:
            lines += [f"{each.title}: {escape(each.value, MAX_TEXT_LENGTH)}" for each in notice.fields]
        return "\n".join(lines)


def _message_texts(template: RequestTemplate) -> frozenset[str]:
    """Return the texts that name the address; where none does, as in a start, the longest."""
    texts = [text for part in template.parts for text in texts_of(part.text)]
    named = [text for text in texts if names_address(text)]
    return frozenset(named or sorted(texts, key=len)[-1:])
