r"""nginx's `log_format` and Apache's `LogFormat` -> a parser of the lines they make.

A format is text between variables. Each variable becomes a group that takes what the server can write for it and no
more: a status is digits, an address is an address. What a client chose (a header, a user name, the request) may hold
anything but a quote, because both servers escape quotes (`\x22`, `\"`); so the fields before the first quote cannot be
forged, and a quoted field ends where the server ended it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from sidecar.access.when import DATE

# What the value of a field may be. `text` is for what a client chose.
# Text before the address may be a client's, so a word such as `a` or a clock must be none.
_ADDRESS = (
    r"(?:\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(?:%[\w.-]{1,15})?"
    r"|\[[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(?:%[\w.-]{1,15})?\](?::\d{1,5})?|unix:)"
)
_WORD = r"\S{0,1024}?"
_TEXT = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
# A virtual host: a client chooses it, and servers let no blank pass in it.
# A name has 253 characters, but nginx and Apache take as long a Host header as any other, and it excuses nothing.
MAX_HOST_CHARS: Final = 8 * 1024
_HOST = rf"[^\s\"]{{0,{MAX_HOST_CHARS}}}?"
# Outside of quotes text ends where what follows it fits; it holds no raw quote either.
_BARE_TEXT = r'(?:[^"\\]|\\.)*'
_DATE = DATE
# As Apache writes `%t`; in nginx's formats the brackets are literals.
_BRACKETED_DATE = rf"(?:{DATE})"
# Apache's `%{FORMAT}t`: dates of any form.
_ANY_DATE = r"[^\]\"]*?"
_STATUS = r"\d{3}|-"

# Our fields -> how nginx calls them. Everything else is matched and forgotten.
_SECONDS = r"(?:-|\d{1,7}\.\d{3})(?:(?:, | : )(?:-|\d{1,7}\.\d{3}))*"
_CACHE_STATUS = r"(?:HIT|MISS|BYPASS|EXPIRED|STALE|UPDATING|REVALIDATED|SCARCE|-)"
_PORT = r"(?:\d{1,5}|-)"
NGINX: Final[Mapping[str, tuple[str, str]]] = {
    "remote_addr": ("client", _ADDRESS),
    "realip_remote_addr": ("peer", _ADDRESS),
    "remote_user": ("user", _TEXT),
    "time_local": ("date", _DATE),
    "time_iso8601": ("date", _DATE),
    "msec": ("date", _DATE),
    "upstream_response_time": ("", _SECONDS),
    "upstream_cache_status": ("", _CACHE_STATUS),
    "srcache_fetch_status": ("", _CACHE_STATUS),
    "server_port": ("", _PORT),
    "remote_port": ("", _PORT),
    "request": ("request", _TEXT),
    "request_method": ("method", _WORD),
    "request_uri": ("target", _TEXT),
    "uri": ("target", _TEXT),
    "document_uri": ("target", _TEXT),
    "args": ("query", _TEXT),
    "query_string": ("query", _TEXT),
    "status": ("status", _STATUS),
    "host": ("host", _HOST),
    "http_host": ("host", _HOST),
    "server_name": ("host", _HOST),
    "http_user_agent": ("user_agent", _TEXT),
    "http_x_forwarded_for": ("forwarded", _TEXT),
    "proxy_add_x_forwarded_for": ("forwarded", _TEXT),
}
_NGINX_WORDS = re.compile(
    r"scheme|server_\w+|request_(?:id|length|time|completion)|upstream_\w+|body_bytes_sent|bytes_sent|connection\w*|pipe"
    r"|gzip_ratio|ssl_(?:protocol|cipher|session_\w+)|remote_port|server|https|pid|hostname|http2|http3|geoip\w*|nginx_version"
    r"|proxy_(?:host|port|upstream_name|alternative_upstream_name)|req_id|namespace|ingress_name|service_name|service_port"
)
# The same for Apache. `%{NAME}X` is looked up as `{name}X`.
APACHE: Final[Mapping[str, tuple[str, str]]] = {
    "h": ("client", _ADDRESS),
    "a": ("client", _ADDRESS),
    "{c}a": ("peer", _ADDRESS),
    "{c}h": ("peer", _ADDRESS),
    # Nobody runs identd any more. What has a dot or a colon is a host or an address, of another format.
    "l": ("", r"(?:-|[A-Za-z][\w-]{0,63})"),
    "p": ("", _PORT),
    "u": ("user", _TEXT),
    "t": ("date", _BRACKETED_DATE),
    "r": ("request", _TEXT),
    "m": ("method", _WORD),
    "U": ("target", _TEXT),
    "q": ("query", _TEXT),
    "s": ("status", _STATUS),
    "v": ("host", _HOST),
    "V": ("host", _HOST),
    "{host}i": ("host", _HOST),
    "{user-agent}i": ("user_agent", _TEXT),
    "{x-forwarded-for}i": ("forwarded", _TEXT),
}
_APACHE_TEXT = frozenset("ionCef")
_NGINX_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_APACHE_VARIABLE = re.compile(r"%(?:[!\d,]*)[<>]?(\{[^}]*\})?(\^t[io]|[A-Za-z%])")


def pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of the lines that this format makes; further fields may follow.

    `text` is what stands in the server's configuration: with or without `log_format NAME` or `LogFormat`, quotes and
    the final semicolon or nickname. Raises ValueError, with a sentence that says what is missing.
    """
    tokens = _tokens(text)
    fields = {field for field, _ in tokens}
    if "client" not in fields:
        raise ValueError("has no client address; add $remote_addr (nginx) or %h (Apache)")
    if not fields & {"request", "target"}:
        raise ValueError('has no request; add "$request" (nginx) or "%r" (Apache)')
    if not fields & {"request", "method"}:
        raise ValueError('has no method; add "$request" or $request_method (nginx), "%r" or %m (Apache)')
    if "status" not in fields:
        raise ValueError("has no status; add $status (nginx) or %>s (Apache)")
    if _is_ambiguous(tokens):
        raise ValueError(
            "has text that visitors choose on both sides of the address, so the address could be forged; "
            "put the address first, or quotes around that text"
        )
    return _compiled(tokens)


def cut_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of such lines whose end is missing: up to client, request and status. `text` is right.

    Servers write four characters for one of a client's that they do not print, so its headers can fill any line.
    """
    tokens = _tokens(text)
    missing = {"client", "status", "method", "target"}
    for place, (field, _) in enumerate(tokens):
        missing -= {"method", "target"} if field == "request" else {field}
        if not missing:
            # With the text behind it, where the last field ends.
            return _compiled(tokens[: place + 2])
    raise ValueError("has no client, request and status")


def is_quick(text: str) -> bool:
    """Return whether a line that almost has this format is refused as quickly as any other.

    It is not where two values follow each other that may be nearly anything, with nothing between them that neither can
    contain: then a line can be cut in many ways (`$scheme.$scheme.$scheme`), and `re` tries them all. That is a mistake
    of one's own in a jails file, and must not be possible for a stranger's label. Raises what `pattern` does.
    """
    pattern(text)
    tokens = _tokens(text)
    literals = [regex if field == "literal" else "" for field, regex in tokens]
    # Since the last quote, was there unquoted text; since the last blank, any value without a certain end?
    has_text = has_word = False
    for (field, regex), before, after in zip(tokens, ["", *literals], [*literals[1:], ""], strict=False):
        if field == "literal":
            has_text = has_text and '"' not in regex
            has_word = has_word and '"' not in regex and "[ ]" not in regex
            continue
        value = _in_place(regex, before, after)
        if value not in (_WORD, _HOST, _BARE_TEXT, _ANY_DATE):
            continue
        if has_text or has_word:
            return False
        # No date has the bracket that ends it.
        has_word = not (value == _ANY_DATE and after.startswith(r"\]"))
        has_text = has_word and value in (_BARE_TEXT, _ANY_DATE)
    return True


def _is_ambiguous(tokens: list[tuple[str, str]]) -> bool:
    """Whether unquoted text before the address, and after it up to a quote, could hold another address."""
    kinds = [
        ('"' if field == "literal" and '"' in regex else "text" if regex is _TEXT else field)
        for field, regex in tokens
    ]
    client = kinds.index("client")
    before, after = kinds[:client][::-1], kinds[client + 1 :]
    return all("text" in (side[: side.index('"')] if '"' in side else side) for side in (before, after))


def _in_place(regex: str, before: str, after: str) -> str:
    """Return what a value may be between these literals: alone in quotes anything, elsewhere no raw quote."""
    if before.endswith('"') and after.startswith('"'):
        return _TEXT if regex in (_TEXT, _HOST) else regex
    return _BARE_TEXT if regex is _TEXT else regex


def _compiled(tokens: list[tuple[str, str]]) -> re.Pattern[str]:
    """Tokens are (field, regex); the field `literal` is text of the format, "" a value that nobody needs."""
    out, seen = [], set[str]()
    literals = [regex if field == "literal" else "" for field, regex in tokens]
    for place, ((field, regex), before, after) in enumerate(
        zip(tokens, ["", *literals], [*literals[1:], ""], strict=False)
    ):
        if field == "literal":
            out.append(regex)
            continue
        value = _in_place(regex, before, after)
        if field == "target" and value is _BARE_TEXT and _is_followed_by_text(tokens[place + 1 :]):
            # A target holds no blanks, so it ends where the next text may begin.
            value += "?"
        named = f"(?P<{field}>{value})" if field and field not in seen else f"(?:{value})"
        out.append(rf"\[{named}\]" if regex is _BRACKETED_DATE else named)
        seen.add(field)
    return re.compile(f"{''.join(out)}(?:(?<=[^\\w])|$|(?=\\W)).*", re.DOTALL)


def _is_followed_by_text(tokens: list[tuple[str, str]]) -> bool:
    """Whether other text of a client follows behind a blank or so, before a quote and before the status."""
    if not tokens or tokens[0][0] != "literal":
        return False
    for field, regex in tokens:
        if field == "status" or (field == "literal" and '"' in regex):
            return False
        if regex is _TEXT:
            return True
    return False


def _pasted(text: str) -> str:
    """What a person pasted, without what is the configuration's own."""
    text = text.strip()
    if found := re.match(
        r'LogFormat\s+(?P<quote>["\'])(?P<format>.*)(?P=quote)(?:\s+\S+)?\s*$', text, re.DOTALL
    ):
        return re.sub(r'\\(["\\])', r"\1", found["format"])
    if found := re.match(r"log_format\s+\S+\s+(?:escape=\w+\s+)?(?P<parts>.*?);?\s*$", text, re.DOTALL):
        text = found["parts"]
    if re.fullmatch(r"""(?:'(?:[^'\\]|\\.)*'\s*|"(?:[^"\\]|\\.)*"\s*)+""", text) and (
        "$" in text or "%" in text
    ):
        parts = re.findall(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", text)
        text = "".join(re.sub(r"\\(['\"\\])", r"\1", single or double) for single, double in parts)
    elif '\\"' in text:
        text = text.replace('\\"', '"')
    return text


def _tokens(text: str) -> list[tuple[str, str]]:
    bare = _pasted(text)
    return list(_apache(bare) if _is_apache(bare) else _nginx(bare))


def _is_apache(text: str) -> bool:
    return "$" not in text and "%" in text


def _nginx(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    for found in _NGINX_VARIABLE.finditer(text):
        yield from _literal(text[at : found.start()])
        name = found[1] or found[2]
        field, regex = NGINX.get(name, ("", _WORD if _NGINX_WORDS.fullmatch(name) else _TEXT))
        yield field, regex
        at = found.end()
    yield from _literal(text[at:])


def _apache(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    for found in _APACHE_VARIABLE.finditer(text):
        yield from _literal(text[at : found.start()])
        argument, kind = found[1] or "", found[2]
        at = found.end()
        if kind == "%":
            yield from _literal("%")
            continue
        key = f"{argument.lower()}{kind}"
        if kind == "t" and argument:
            yield "date", _ANY_DATE
        elif key in APACHE:
            yield APACHE[key]
        else:
            yield "", _TEXT if kind in _APACHE_TEXT else _WORD
    yield from _literal(text[at:])


def _literal(text: str) -> Iterator[tuple[str, str]]:
    """Blanks of any number match blanks of any number: nginx joins the parts of a format with what stands there."""
    if text:
        yield "literal", re.sub(r"(?:\\ )+", "[ ]+", re.escape(text))
