r"""nginx's `log_format`, Apache's `LogFormat` and HAProxy's `log-format` -> a parser of the lines they make.

A format is text between values (`dialects.py`). Each value becomes a group. What a client chose (a header, a user name,
the request) may hold anything but a quote, because servers escape quotes (`\x22`, `\"`, `#22`); so the fields before
the first quote cannot be forged, and a quoted field ends where the server ended it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from sidecar.access.dialects import (
    ADDRESS,
    ANY_DATE,
    BLANKS,
    BRACKETED_DATE,
    HOST,
    HOST_OF_PATH,
    MAY_BE_BLANKS,
    TEXT,
    WORD,
    Dialect,
    Token,
    tokens,
)

# Outside of quotes text ends where what follows it fits; it holds no raw quote either.
_BARE_TEXT: Final = r'(?:[^"\\]|\\.)*'
# Where a server does not escape with a backslash; and where, besides, no quote is the format's own.
_RAW_TEXT: Final = r'[^"]*'
_ANY_TEXT: Final = ".*"
# X-Forwarded-For in the client's place: the last address is what a proxy appended.
_BEFORE: Final = r'(?:(?:[^"\\]|\\.)*,[ ]?)?'


def pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of the lines that this format makes; further fields may follow.

    `text` is what stands in the server's configuration: with or without `log_format NAME` or `LogFormat`, quotes and
    the final semicolon or nickname. Raises ValueError, with a sentence that says what is missing.
    """
    dialect = _checked(text)
    return _compiled(dialect.tokens, raw=not dialect.has_backslashes)


def other_patterns(text: str) -> tuple[re.Pattern[str], ...]:
    r"""Return patterns that read the lines in other ways, all of the same client; () where that is not certain.

    Of a server that does not escape a `\`, as H2O and Varnish do not, a header that ends with one seems to go on. And
    unquoted text may hold what the format has behind it: then it ends at the first, or at the last of these.
    """
    dialect = _checked(text)
    fields = [token.field for token in dialect.tokens]
    has_text_first = any(token.regex is TEXT for token in dialect.tokens[: fields.index("client")])
    if has_text_first or "before" in fields:
        return ()
    return (
        _compiled(dialect.tokens, raw=True),
        _compiled(dialect.tokens[: _decided(dialect.tokens)], raw=True, lazy=True),
    )


def cut_pattern(text: str) -> re.Pattern[str]:
    """Return the pattern of such lines whose end is missing: up to client, request and status. `text` is right.

    Servers write four characters for one of a client's that they do not print, so its headers can fill any line.
    """
    dialect = _checked(text)
    return _compiled(dialect.tokens[: _decided(dialect.tokens)], raw=not dialect.has_backslashes)


def has_backslashes(text: str) -> bool:
    r"""Return whether lines of this format have a client's quotes as `\"` or `\x22`, and not as HAProxy's `#22`."""
    return tokens(text).has_backslashes


def is_quick(text: str) -> bool:
    """Return whether a line that almost has this format is refused as quickly as any other.

    It is not where two values follow each other that may be nearly anything, with nothing between them that neither can
    contain: then a line can be cut in many ways (`$scheme.$scheme.$scheme`), and `re` tries them all. That is a mistake
    of one's own in a jails file, and must not be possible for a stranger's label. Raises what `pattern` does.
    """
    found = _checked(text).tokens
    literals = [token.regex if token.field == "literal" else "" for token in found]
    # Since the last quote, was there unquoted text; since the last blank, any value without a certain end?
    has_text = has_word = False
    for token, before, after in zip(found, ["", *literals], [*literals[1:], ""], strict=False):
        if token.field == "literal":
            has_text = has_text and '"' not in token.regex
            has_word = has_word and '"' not in token.regex and "[ ]" not in token.regex
            continue
        value = _in_place(token.regex, before, after)
        if value not in (WORD, HOST, _BARE_TEXT, ANY_DATE, _BEFORE):
            continue
        if has_text or has_word:
            return False
        # No date has the bracket that ends it.
        has_word = not (value == ANY_DATE and after.startswith(r"\]"))
        has_text = has_word and value in (_BARE_TEXT, ANY_DATE, _BEFORE)
    return True


def _checked(text: str) -> Dialect:
    """Return the parts of a format that has what it needs. Raises ValueError, with a sentence, where it has not."""
    dialect = tokens(text)
    found = _with_client(dialect.tokens)
    fields = {token.field for token in found}
    if "client" not in fields:
        raise ValueError("has no client address; add $remote_addr (nginx), %h (Apache) or %ci (HAProxy)")
    if not fields & {"request", "target"}:
        raise ValueError('has no request; add "$request" (nginx), "%r" (Apache) or %{+Q}r (HAProxy)')
    if not fields & {"request", "method"}:
        raise ValueError('has no method; add "$request" or $request_method (nginx), "%r" or %m (Apache)')
    if "status" not in fields:
        raise ValueError("has no status; add $status (nginx), %>s (Apache) or %ST (HAProxy)")
    if around := _texts_around(found):
        raise ValueError(
            f"has text that visitors choose on both sides of the address ({around[0]} and {around[1]}), so the address "
            "could be forged; leave one out, put the address first, or quotes around that text. $word stands for a "
            "word that the server writes itself"
        )
    return dialect._replace(tokens=tuple(_joined(_hosts_of_paths(found))))


def _decided(found: Sequence[Token]) -> int:
    """Return how many parts have client, request and status, and the text behind these, where the last field ends."""
    missing = {"client", "status", "method", "target"}
    for place, token in enumerate(found):
        missing -= {"method", "target"} if token.field == "request" else {token.field}
        if not missing:
            return place + 2
    return len(found)


def _with_client(found: Sequence[Token]) -> Sequence[Token]:
    """Return the parts with a client: where there is none but X-Forwarded-For, its last address."""
    fields = [token.field for token in found]
    if "client" in fields or "forwarded" not in fields:
        return found
    at = fields.index("forwarded")
    source = found[at].source
    return (*found[:at], Token("before", _BEFORE, source), Token("client", ADDRESS, source), *found[at + 1 :])


def _hosts_of_paths(found: Sequence[Token]) -> list[Token]:
    """Return the parts with hosts that end where a path begins, as in `$host$request_uri`."""
    return [
        token._replace(regex=HOST_OF_PATH) if token.regex is HOST and after.field == "target" else token
        for token, after in pairwise((*found, Token("literal", "")))
    ]


def _joined(found: Sequence[Token]) -> list[Token]:
    """Return the parts with one text instead of several with nothing but blanks between them, as in `%CC %CS`.

    A client's text may hold blanks, so nobody can tell where one ends, and `re` would try each pair of places. Where
    one of them is the User-Agent, that is not known.
    """
    kept: list[Token] = []
    for token in found:
        if _is_open_text(token) and len(kept) > 1 and _is_open_text(kept[-2]) and _are_blanks(kept[-1]):
            del kept[-1]
            kept[-1] = Token("", TEXT, f"{kept[-1].source} {token.source}")
        else:
            kept.append(token)
    return kept


def _is_open_text(token: Token) -> bool:
    return token.regex is TEXT and token.field in ("", "user_agent")


def _are_blanks(token: Token) -> bool:
    return token.field == "literal" and token.regex in (f"[ ]{BLANKS}", f"[ ]{MAY_BE_BLANKS}")


def _texts_around(found: Sequence[Token]) -> tuple[str, str] | None:
    """Return the unquoted text before the address, and that after it up to a quote; None: one of these is not there.

    With both, text could hold another address.
    """
    client = [token.field for token in found].index("client")
    nearest = []
    for side in (found[:client][::-1], found[client + 1 :]):
        text = ""
        for token in side:
            if token.field == "literal" and '"' in token.regex:
                break
            if token.regex in (TEXT, _BEFORE):
                text = token.source
                break
        nearest.append(text)
    before, after = nearest
    return (before, after) if before and after else None


def _in_place(regex: str, before: str, after: str) -> str:
    """Return what a value may be between these literals: alone in quotes anything, elsewhere no raw quote."""
    if before.endswith('"') and after.startswith('"'):
        return TEXT if regex in (TEXT, HOST) else regex
    return _BARE_TEXT if regex is TEXT else regex


def _compiled(found: Sequence[Token], *, raw: bool, lazy: bool = False) -> re.Pattern[str]:
    """Return the pattern of lines with these parts.

    `raw`: a backslash escapes nothing. `lazy`: unquoted text ends where what follows may first begin, and so does a
    request, whatever quotes are in it.
    """
    out, seen = [], set[str]()
    literals = [token.regex if token.field == "literal" else "" for token in found]
    raw_text = _RAW_TEXT if any('"' in each for each in literals) else _ANY_TEXT
    for place, (token, before, after) in enumerate(
        zip(found, ["", *literals], [*literals[1:], ""], strict=False)
    ):
        field, regex = token.field, token.regex
        if field == "literal":
            out.append(regex)
            continue
        value = _in_place(regex, before, after)
        is_bare = value is _BARE_TEXT
        if raw and value in (TEXT, _BARE_TEXT):
            value = raw_text
        if lazy and value is _RAW_TEXT and field in ("request", "target"):
            value, is_bare = _ANY_TEXT, True
        # A target holds no blanks, so it ends where the next text may begin.
        if is_bare and (lazy or (field == "target" and _is_followed_by_text(found[place + 1 :]))):
            value += "?"
        named = f"(?P<{field}>{value})" if field and field not in seen else f"(?:{value})"
        out.append(rf"\[{named}\]" if regex is BRACKETED_DATE else named)
        seen.add(field)
    return re.compile(f"{''.join(out)}(?:(?<=[^\\w])|$|(?=\\W)).*", re.DOTALL)


def _is_followed_by_text(found: Sequence[Token]) -> bool:
    """Whether other text of a client follows behind a blank or so, before a quote and before the status."""
    if not found or found[0].field != "literal":
        return False
    for token in found:
        if token.field == "status" or (token.field == "literal" and '"' in token.regex):
            return False
        if token.regex is TEXT:
            return True
    return False
