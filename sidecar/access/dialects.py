r"""The text of a log's format, as the configuration of nginx, Apache or HAProxy has it -> its parts.

Of other servers, lighttpd, H2O and Varnish write Apache's variables. Each variable stands for one of our fields, or for
something that nobody needs, and takes what the server can write for it and no more: a status is digits, an address is
an address. What a client chose (a header, a user name, the request) may be any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from sidecar.access.when import DATE

# What the value of a field may be. `TEXT` is for what a client chose.
# Text before the address may be a client's, so a word such as `a` or a clock must be none.
ADDRESS: Final = (
    r"(?:\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?|[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(?:%[\w.-]{1,15})?"
    r"|\[[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]*(?:%[\w.-]{1,15})?\](?::\d{1,5})?|unix:)"
)
WORD: Final = r"\S{0,1024}?"
# A method, which is a token (RFC 9110 section 9.1).
METHOD: Final = r"[!#$%&'*+.^`|~\w-]{0,64}?"
TEXT: Final = r'[^"\\]*+(?:\\.[^"\\]*+)*+'
# A virtual host: a client chooses it, and servers let no blank pass in it.
# A name has 253 characters, but nginx and Apache take as long a Host header as any other, and it excuses nothing.
MAX_HOST_CHARS: Final = 8 * 1024
# A quote in it is escaped.
HOST: Final = rf"[^\s\"]{{0,{MAX_HOST_CHARS}}}?(?:(?<=\\)\"[^\s\"]{{0,{MAX_HOST_CHARS}}}?){{0,8}}?"
# Before a path, as in `$host$request_uri`.
HOST_OF_PATH: Final = rf"[^\s\"/]{{0,{MAX_HOST_CHARS}}}"
# How many blanks stand for those of a format. Not any number: text of a client may begin and end with blanks, and a
# line of some thousand could be cut in a billion ways.
BLANKS: Final = "{1,8}"
MAY_BE_BLANKS: Final = "{0,8}"
# As Apache writes `%t`; in nginx's formats the brackets are literals.
BRACKETED_DATE: Final = rf"(?:{DATE})"
# Apache's `%{FORMAT}t`: dates of any form.
ANY_DATE: Final = r"[^\]\"]*?"
_STATUS = r"\d{3}|-"
_SECONDS = r"(?:-|\d{1,7}\.\d{3})(?:(?:, | : )(?:-|\d{1,7}\.\d{3}))*"
_CACHE_STATUS = r"(?:HIT|MISS|BYPASS|EXPIRED|STALE|UPDATING|REVALIDATED|SCARCE|-)"
_PORT = r"(?:\d{1,5}|-)"
_EPOCH = r"\d{10}"

# Our fields -> how nginx calls them. Everything else is matched and forgotten.
NGINX: Final[Mapping[str, tuple[str, str]]] = {
    "remote_addr": ("client", ADDRESS),
    "realip_remote_addr": ("peer", ADDRESS),
    "remote_user": ("user", TEXT),
    "time_local": ("date", DATE),
    "time_iso8601": ("date", DATE),
    "msec": ("date", DATE),
    "upstream_response_time": ("", _SECONDS),
    "upstream_cache_status": ("", _CACHE_STATUS),
    "srcache_fetch_status": ("", _CACHE_STATUS),
    "server_port": ("", _PORT),
    "remote_port": ("", _PORT),
    "request": ("request", TEXT),
    "request_method": ("method", METHOD),
    "request_uri": ("target", TEXT),
    "uri": ("target", TEXT),
    "document_uri": ("target", TEXT),
    "args": ("query", TEXT),
    "query_string": ("query", TEXT),
    "status": ("status", _STATUS),
    "host": ("host", HOST),
    "http_host": ("host", HOST),
    "server_name": ("host", HOST),
    "http_user_agent": ("user_agent", TEXT),
    "http_x_forwarded_for": ("forwarded", TEXT),
    "proxy_add_x_forwarded_for": ("forwarded", TEXT),
}
# `word` is ours: for what other servers write themselves.
_NGINX_WORDS = re.compile(
    r"scheme|server_\w+|request_(?:id|length|time|completion)|upstream_\w+|body_bytes_sent|bytes_sent|connection\w*|pipe"
    r"|gzip_ratio|ssl_(?:protocol|cipher|session_\w+)|remote_port|server|https|pid|hostname|http2|http3|geoip\w*|word"
    r"|nginx_version|proxy_(?:host|port|upstream_name|alternative_upstream_name)|req_id|namespace|ingress_name"
    r"|service_name|service_port"
)
# The same for Apache. `%{NAME}X` is looked up as `{name}X`.
APACHE: Final[Mapping[str, tuple[str, str]]] = {
    "h": ("client", ADDRESS),
    "a": ("client", ADDRESS),
    "{c}a": ("peer", ADDRESS),
    "{c}h": ("peer", ADDRESS),
    # Nobody runs identd any more. What has a dot or a colon is a host or an address, of another format.
    "l": ("", r"(?:-|[A-Za-z][\w-]{0,63})"),
    "p": ("", _PORT),
    "u": ("user", TEXT),
    "t": ("date", BRACKETED_DATE),
    "r": ("request", TEXT),
    "m": ("method", METHOD),
    "U": ("target", TEXT),
    "q": ("query", TEXT),
    "s": ("status", _STATUS),
    "v": ("host", HOST),
    "V": ("host", HOST),
    "{host}i": ("host", HOST),
    "{user-agent}i": ("user_agent", TEXT),
    "{x-forwarded-for}i": ("forwarded", TEXT),
}
_APACHE_TEXT = frozenset("ionCef")
# The same for HAProxy; expressions (`%[src]`) stand in brackets. What is not here are numbers and names of its own.
HAPROXY: Final[Mapping[str, tuple[str, str]]] = {
    "ci": ("client", ADDRESS),
    "[src]": ("client", ADDRESS),
    "cp": ("", _PORT),
    **dict.fromkeys(("t", "tr", "trg", "trl", "T", "Tl"), ("date", DATE)),
    "Ts": ("date", _EPOCH),
    "r": ("request", TEXT),
    "HM": ("method", METHOD),
    "[method]": ("method", METHOD),
    "[capture.req.method]": ("method", METHOD),
    **dict.fromkeys(("HU", "HPO", "HP", "[capture.req.uri]", "[url]", "[pathq]", "[path]"), ("target", TEXT)),
    "HQ": ("query", TEXT),
    "[query]": ("query", TEXT),
    "HV": ("", r"(?:HTTP/[\d.]+|<BADREQ>|-)"),
    "ST": ("status", r"\d{3}|-1|-"),
    "[status]": ("status", r"\d{3}|-1|-"),
    "[req.hdr(host)]": ("host", HOST),
    "[hdr(host)]": ("host", HOST),
    "[req.hdr(user-agent)]": ("user_agent", TEXT),
    "[req.hdr(x-forwarded-for)]": ("forwarded", TEXT),
    "CC": ("", TEXT),
    "CS": ("", TEXT),
    # Captured headers, with the blank in front: without any, HAProxy leaves that out, too.
    "hr": ("", r"(?:\{[^}\"]*\})?"),
    "hs": ("", r"(?:\{[^}\"]*\})?"),
    "hrl": ("", r'(?:"[^"]*"[ ]?)*'),
    "hsl": ("", r'(?:"[^"]*"[ ]?)*'),
}
_HAPROXY_MAY_BE_NOTHING = frozenset({"hr", "hs", "hrl", "hsl"})
_HAPROXY_WORD = r"[\w~:.<>+-]{1,128}"
_NGINX_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")
_APACHE_VARIABLE = re.compile(r"%(?:[!\d,]*)[<>]?(\{[^}]*\})?(\^t[io]|[A-Za-z%])")
_HAPROXY_VARIABLE = re.compile(
    r"%(?:\([^)]*\))?(?:\{(?P<flags>[^}]*)\})?(?:\([^)]*\))?(?:(?P<expression>\[[^\]]*\])|(?P<name>[A-Za-z]+)|(?P<sign>%))"
)
_IS_HAPROXY = re.compile(r"%(?:\([^)]*\))?(?:\{[^}]*\})?(?:ci\b|\[)")
_IS_ENVOY = re.compile(r"%[A-Z][A-Z_]{3,}(?:\(|%)")
# What stands before a format in a configuration, or on varnishncsa's command line.
_DIRECTIVE = re.compile(
    r"(?:log_format\s+\S+(?:\s+escape=\w+)?|(?P<with_nickname>LogFormat|CustomLog\s+\S+)|accesslog\.format\s*=|log-format|format:"
    r"|(?:varnishncsa\s+)?-F)\s+"
)
_CONTROL: Final = {r"\t": "\t", r"\n": "\n", r"\r": "\r"}


class Token(NamedTuple):
    """A part of a format: a value, or text between values."""

    # Ours; "" is a value that nobody needs, `literal` the format's own text.
    field: str
    regex: str
    # As it stands in the format, for people.
    source: str = ""


class Dialect(NamedTuple):
    """A format's parts, and whether its server escapes quotes with a backslash."""

    tokens: tuple[Token, ...]
    has_backslashes: bool = True


def tokens(text: str) -> Dialect:
    """Return the parts of a format that a person pasted from a configuration. Raises ValueError where it is Envoy's."""
    if _IS_ENVOY.search(text):
        raise ValueError(
            "is Envoy's, which does not escape the quotes of visitors, so that they can write whole lines; have it "
            "write JSON instead (json_format, or accessLogEncoding: JSON in Istio), which needs no format here"
        )
    is_haproxy = "$" not in text and _IS_HAPROXY.search(text) is not None
    bare = _pasted(text)
    if is_haproxy:
        return Dialect(tuple(_haproxy(bare.replace("\\ ", " "))), has_backslashes=False)
    return Dialect(tuple(_apache(bare) if "$" not in bare and "%" in bare else _nginx(bare)))


def _pasted(text: str) -> str:
    """Return what a person pasted, without what is the configuration's own."""
    text = text.strip()
    if directive := _DIRECTIVE.match(text):
        text = text[directive.end() :]
        # A name for it, or a condition, follows.
        if directive["with_nickname"] and (found := re.match(r"""(["'])(?P<format>.*)\1""", text, re.DOTALL)):
            return _controls(re.sub(r'\\(["\\])', r"\1", found["format"]))
    text = text.removesuffix(";").rstrip()
    if re.fullmatch(r"""(?:'(?:[^'\\]|\\.)*'\s*|"(?:[^"\\]|\\.)*"\s*)+""", text) and (
        "$" in text or "%" in text
    ):
        parts = re.findall(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", text)
        text = "".join(re.sub(r"\\(['\"\\])", r"\1", single or double) for single, double in parts)
    elif '\\"' in text:
        text = text.replace('\\"', '"')
    return _controls(text)


def _controls(text: str) -> str:
    r"""Return the text with the tabs that servers make of `\t`."""
    return re.sub(r"\\[tnr]", lambda found: _CONTROL[found[0]], text)


def _nginx(text: str) -> Iterator[Token]:
    at = 0
    for found in _NGINX_VARIABLE.finditer(text):
        yield from _literal(text[at : found.start()])
        name = found[1] or found[2]
        field, regex = NGINX.get(name, ("", WORD if _NGINX_WORDS.fullmatch(name) else TEXT))
        yield Token(field, regex, found[0])
        at = found.end()
    yield from _literal(text[at:])


def _apache(text: str) -> Iterator[Token]:
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
            field, regex = "date", ANY_DATE
        else:
            field, regex = APACHE.get(key, ("", TEXT if kind in _APACHE_TEXT else WORD))
        yield Token(field, regex, found[0])
    yield from _literal(text[at:])


def _haproxy(text: str) -> Iterator[Token]:
    at, optional, all_quoted = 0, False, False
    for found in _HAPROXY_VARIABLE.finditer(text):
        yield from _literal(text[at : found.start()], MAY_BE_BLANKS if optional else BLANKS)
        at, optional = found.end(), False
        flags, name = found["flags"] or "", (found["expression"] or found["name"] or "").replace(" ", "")
        if found["sign"]:
            yield from _literal("%")
            continue
        if name == "o":
            all_quoted, optional = "+Q" in flags, True
            continue
        # Converters change letters, or how an address is written.
        key = f"{name.partition(',')[0].removesuffix(']').lower()}]" if found["expression"] else name
        field, regex = HAPROXY.get(key, ("", TEXT if found["expression"] else _HAPROXY_WORD))
        optional = name in _HAPROXY_MAY_BE_NOTHING
        if "+Q" in flags or (all_quoted and "-Q" not in flags and regex is TEXT):
            yield from (Token("literal", '"'), Token(field, regex, found[0]), Token("literal", '"'))
        elif all_quoted and field != "date":
            yield Token(field, rf'"?(?:{regex})"?' if not field else regex, found[0])
        else:
            yield Token(field, regex, found[0])
    yield from _literal(text[at:], MAY_BE_BLANKS if optional else BLANKS)


def _literal(text: str, blanks: str = BLANKS) -> Iterator[Token]:
    """Blanks match blanks, whatever their number: nginx joins the parts of a format with what stands there."""
    if text:
        yield Token("literal", re.sub(r"(?:\\ )+", f"[ ]{blanks}", re.escape(text)))
