"""`name[option=value]`, `<tags>` for other options, and the tags that stand for regular expressions.

`<HOST>` and its family accept what fail2ban's documentation promises to authors of filters (jail.conf(5), FILTER
FILES); digits are ASCII here.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Final

IP4: Final = r"(?:::f{4,6}:)?(?P<ip4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})"
# `::` alone is nobody's address.
IP6: Final = r"(?P<ip6>(?!::(?![0-9a-fA-F:]))(?:[0-9a-fA-F]{1,4}::?|:){1,7}(?:[0-9a-fA-F]{1,4}|(?<=:):))"
DNS: Final = r"(?P<dns>[\w\-.^_]*\w)"
CIDR: Final = r"(?P<cidr>[0-9]+)"
ADDR: Final = rf"\[?(?:{IP4}|{IP6})\]?"
SUBNET: Final = rf"\[?(?:{IP4}|{IP6})(?:/{CIDR})?\]?"
_FIXED: Final = {
    "IP4": IP4,
    "IP6": IP6,
    "DNS": DNS,
    "CIDR": CIDR,
    "ADDR": ADDR,
    "SUBNET": SUBNET,
    "F-IP4/": IP4,
    "F-IP6/": IP6,
    "F-DNS/": DNS,
    "F-CIDR/": CIDR,
    "F-ADDR/": ADDR,
    "F-SUBNET/": SUBNET,
    "F-ID/": r"(?P<fid>\S+)",
    "F-PORT/": r"(?P<fport>\w+)",
}
# `<F-ID>` and `<F-PORT>` have other names than their groups, as fail2ban keeps `id` and `port` for itself.
_GROUP: Final = {"id": "fid", "port": "fport"}
_REGEX_TAG: Final = re.compile(r"<(/?[A-Z][A-Z0-9_\-]*/?)>")
_TAG: Final = re.compile(r"<([^ <>]+)>")
# How often one tag may be put in; beyond that it must stand for itself. fail2ban's limit.
MAX_SUBSTITUTIONS: Final = 25
_NAME: Final = re.compile(r"\s*([^\[\]]*[^\[\]\s])\s*")
_ARGUMENT: Final = re.compile(r"""\s*([\w\-.?/]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^,\]]*?))\s*(,|\])\s*""")
_INLINE: Final = re.compile(r"\((?:\?:)?\(\?([aiLmsux]+)\)")


def reference(text: str) -> tuple[str, dict[str, str]]:
    """Return a filter's name and options: `sshd[mode=hard, x="a,b"]` is `("sshd", {"mode": "hard", "x": "a,b"})`.

    Raises ValueError with a sentence.
    """
    name = _NAME.match(text)
    if not name:
        raise ValueError(f"expected a filter as `name` or `name[option=value]`, got {text!r}")
    options: dict[str, str] = {}
    at = name.end()
    while at < len(text):
        if text[at] != "[":
            raise ValueError(f"expected `[option=value]` after the filter's name, got {text[at:]!r}")
        at, more = at + 1, True
        while more:
            found = _ARGUMENT.match(text, at)
            if not found:
                raise ValueError(f"expected `option=value` (quoted if it has `,` or `]`), got {text[at:]!r}")
            options[found[1]] = next(value for value in found.group(2, 3, 4) if value is not None)
            at, more = found.end(), found[5] == ","
    return name[1], options


def substituted(text: str, meaning: Callable[[str], str | None]) -> str:
    """Return the text with every `<tag>` that has a meaning replaced, tags inside tags first, until none is left.

    Tags without a meaning stay (`<HOST>`). Raises ValueError if a tag stands for itself.
    """
    put_in: dict[str, int] = {}
    at = 0
    while found := _TAG.search(text, at):
        tag = found[1]
        value = meaning(tag)
        if value is None:
            at = found.end()
            continue
        put_in[tag] = put_in.get(tag, 0) + 1
        if put_in[tag] > MAX_SUBSTITUTIONS or f"<{tag}>" in value:
            raise ValueError(f"<{tag}> stands for itself; break the circle")
        text = text.replace(f"<{tag}>", value)
        # It may have been a part of another tag's name.
        at = max(text.rfind("<", 0, found.start()), 0)
    return text


def regex(text: str, *, names: bool) -> str:
    """Return a failregex as a Python regular expression. `names`: whether `<HOST>` matches host names too."""
    open_tags: set[str] = set()
    skips = itertools.count()

    def one(found: re.Match[str]) -> str:
        tag = found[1]
        if tag == "HOST":
            return f"(?:{ADDR}|{DNS})" if names else ADDR
        if tag == "SKIPLINES":
            return rf"\n(?P<skiplines{next(skips)}>(?:(?:.*\n)*?))"
        if tag in _FIXED:
            return _FIXED[tag]
        if tag.startswith("/F-"):
            return ")" if tag[3:] in open_tags else found[0]
        if not tag.startswith("F-") or tag.endswith("/"):
            return found[0]
        open_tags.add(tag[2:])
        name = tag[2:].lower()
        return f"(?P<{_GROUP.get(name, name)}>"

    return _INLINE.sub(r"(?\1:", _REGEX_TAG.sub(one, text))
