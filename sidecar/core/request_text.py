"""Texts of requests with `<tags>`: which tag is what, and whether a text is JSON or a message in Slack's format."""

from __future__ import annotations

import json
import re
from typing import Any, Final

TAG: Final = re.compile(r"<([A-Za-z][A-Za-z0-9_.\-/]*)>")
# The address, under each of its names in fail2ban's action files.
ADDRESS_TAGS: Final = frozenset({"ip", "fid", "ip-host", "ip-rev", "F-ID", "F-IP", "F-HOST"})
# Tags whose values are log lines, which attackers wrote.
LINE_TAGS: Final = frozenset({"matches", "ipmatches", "ipjailmatches"})
# The whole message, which fail2ban does not have: for problems.
TEXT_TAG: Final = "text"
# Keys of the JSON of Slack, and of the many services that take the same.
SLACK_KEYS: Final = frozenset({"text", "attachments", "blocks"})
# `"failures": <failures>`: a tag that is not in a string.
_BARE_TAG: Final = re.compile(r"(?<=[:\[,])(\s*)<[A-Za-z][\w.\-/]*>(?=\s*[,}\]])")


def names_address(text: str) -> bool:
    """Return whether a tag for the address is in this text."""
    return any(found[1] in ADDRESS_TAGS for found in TAG.finditer(text))


def is_only_address(text: str) -> bool:
    """Return whether the text is a tag for the address and nothing else: then it is for a program, not for people."""
    found = TAG.fullmatch(text.strip())
    return bool(found and found[1] in ADDRESS_TAGS)


def json_of(text: str) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON with its tags in strings; a tag that stands for a number is 0. None where it is not JSON."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(_BARE_TAG.sub(r"\1 0", text))
    except ValueError:
        return None


def is_slack_like(text: str) -> bool:
    """Return whether this is a message in the format of Slack."""
    found = json_of(text)
    return isinstance(found, dict) and bool(SLACK_KEYS & found.keys())


def texts_of(text: str) -> list[str]:
    """Return the texts in a part of a body: those of its JSON, the values of its fields, or the whole."""
    found = json_of(text)
    if found is not None:
        return strings(found)
    fields = text.split("&")
    return [field.partition("=")[2] for field in fields] if all("=" in field for field in fields) else [text]


def strings(value: Any) -> list[str]:  # noqa: ANN401 - JSON
    """Return all strings in this JSON."""
    if isinstance(value, str):
        return [value]
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [text for each in inner for text in strings(each)]
