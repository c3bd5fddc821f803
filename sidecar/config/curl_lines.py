"""A curl line of an action file -> the request that it would have sent."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote, urlsplit

from sidecar.config.shell_words import TAG
from sidecar.core.actions import BodyPart, RequestTemplate

# Options with a value that change nothing about what is sent.
WITHOUT_MEANING: Final = frozenset(
    {
        "-o", "--output", "-w", "--write-out", "-m", "--max-time", "--connect-timeout", "--retry", "--retry-delay",
        "--retry-max-time", "--interface", "-e", "--referer", "--stderr", "--trace", "--limit-rate", "-c",
        "--cookie-jar", "--dns-servers", "--keepalive-time", "--max-redirs", "--ciphers", "--resolve",
    }
)  # fmt: skip
# Short options without a value, which may stand together: `-sSf`.
FLAGS: Final = frozenset("#0123456789BSafgijklnpqRsvLNOJZ")
VALUES: Final = frozenset("XdHFuAobmwecxTKQEPrtyYzC")
FIELD: Final = re.compile(r"([A-Za-z0-9_.\-\[\]]+)=(.*)", re.DOTALL)
JSON_TYPE: Final = (("Content-Type", "application/json"), ("Accept", "application/json"))


def request(words: Sequence[str]) -> RequestTemplate:
    """Return the request of these words, the first of which is `curl`. Raises ValueError with a sentence."""
    line = _CurlLine()
    for option, value in _options(words[1:]):
        line.take(option, value)
    return line.request()


class _CurlLine:
    """What the options of one line have said so far."""

    def __init__(self) -> None:
        self._url = ""
        self._method = ""
        self._headers: list[tuple[str, str]] = []
        self._parts: list[BodyPart] = []
        self._multipart = self._in_query = False

    def take(self, option: str, value: str) -> None:
        """Take in one option, or (with no option) the URL. Raises ValueError."""
        if option in ("", "--url"):
            self._url = self._url or value
        elif option in ("-X", "--request"):
            self._method = value.upper()
        elif option in ("-G", "--get"):
            self._in_query = True
        elif header := self._header(option, value):
            self._headers.append(header)
        elif part := self._part(option, value):
            self._parts.append(part)
        elif option.startswith("--") and option not in WITHOUT_MEANING and value:
            raise ValueError(f"the option {option} of curl is not known here")

    def _header(self, option: str, value: str) -> tuple[str, str] | None:
        if option in ("-H", "--header"):
            name, _, text = value.partition(":")
            return name.strip(), text.strip()
        if option in ("-u", "--user"):
            return "Authorization", f"Basic {base64.b64encode(value.encode()).decode()}"
        return ("User-Agent", value) if option in ("-A", "--user-agent") else None

    def _part(self, option: str, value: str) -> BodyPart | None:
        if option == "--json":
            names = {name.lower() for name, _ in self._headers}
            self._headers += [each for each in JSON_TYPE if each[0].lower() not in names]
            return BodyPart(_without_file(value))
        if option in ("-F", "--form", "--form-string"):
            self._multipart = True
            return _form_field(value, literal=option == "--form-string")
        if option == "--data-urlencode":
            return _encoded(value)
        if option in ("-d", "--data", "--data-ascii", "--data-binary", "--data-raw"):
            return _data(value if option == "--data-raw" else _without_file(value))
        return None

    def request(self) -> RequestTemplate:
        if not self._url:
            raise ValueError("this curl has no URL")
        url = self._url if "://" in self._url else f"http://{self._url}"
        host = urlsplit(TAG.sub("x", url)).hostname
        if urlsplit(TAG.sub("x", url)).scheme not in ("http", "https") or not host:
            raise ValueError("only http and https can be sent to")
        if self._in_query and self._parts:
            query = "&".join(_in_query(part) for part in self._parts)
            return RequestTemplate(
                f"{url}{'&' if '?' in url else '?'}{query}", self._method or "GET", tuple(self._headers)
            )
        method = self._method or ("POST" if self._parts else "GET")
        return RequestTemplate(url, method, tuple(self._headers), tuple(self._parts), self._multipart)


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each option with its value, and each other word with no option."""
    left = list(words)
    while left:
        word = left.pop(0)
        if word.startswith("--") and len(word) > 2:
            takes = word in WITHOUT_MEANING or _takes_value(word)
            yield word, left.pop(0) if takes and left else ""
        elif word.startswith("-") and len(word) > 1:
            yield from _short_options(word, left)
        else:
            yield "", word


def _short_options(word: str, left: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the options of `-sXPOST` or `-sX POST`."""
    for at, letter in enumerate(word[1:], 1):
        if letter in VALUES:
            rest = word[at + 1 :]
            yield f"-{letter}", rest or (left.pop(0) if left else "")
            return
        if letter not in FLAGS and letter != "G":
            raise ValueError(f"the option -{letter} of curl is not known here")
        yield f"-{letter}", ""


def _takes_value(option: str) -> bool:
    return option in {
        "--url", "--request", "--header", "--user", "--user-agent", "--json", "--form", "--form-string",
        "--data-urlencode", "--data", "--data-ascii", "--data-binary", "--data-raw", "--proxy", "--cacert", "--cert",
        "--key", "--cookie", "--oauth2-bearer", "--upload-file",
    }  # fmt: skip


def _data(value: str) -> BodyPart:
    """Return a part that is sent as it stands; `payload={…}` is a field with a JSON text."""
    field = FIELD.fullmatch(value)
    return BodyPart(field[2], field[1]) if field and field[2].lstrip()[:1] in ("{", "[") else BodyPart(value)


def _encoded(value: str) -> BodyPart:
    """Return the part of `--data-urlencode`: `content`, `=content`, `name=content`."""
    name, equals, text = value.partition("=")
    if "@" in name:
        raise ValueError("a file cannot be sent")
    return BodyPart(text, name, encoded=True) if equals else BodyPart(value, encoded=True)


def _form_field(value: str, *, literal: bool) -> BodyPart:
    name, _, text = value.partition("=")
    if not literal and text[:1] in ("@", "<") and not TAG.match(text):
        raise ValueError("a file cannot be sent")
    return BodyPart(text, name)


def _in_query(part: BodyPart) -> str:
    name = f"{part.name}=" if part.name else ""
    if not part.encoded:
        return name + part.text
    pieces, at = [], 0
    for tag in TAG.finditer(part.text):
        pieces += [quote(part.text[at : tag.start()], safe=""), tag[0]]
        at = tag.end()
    return name + "".join([*pieces, quote(part.text[at:], safe="")]).replace("%20", "+")


def _without_file(value: str) -> str:
    if value.startswith("@"):
        raise ValueError("a file or standard input cannot be sent")
    return value
