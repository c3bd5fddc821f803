r"""Filters on requests (`input = requests`) -> Hyperscan expressions that find at least every line they match.

Such a filter matches the canonical line of a request (`sidecar.access.request`), not the log's own text, in which a
path may be percent-encoded and the fields stand in any order. But some words of the failregex have to be in both: of
`POST \S*/wp-login\.php` the word `wp-login`, unless some of its letters are written as `%77`. Nobody has a reason to
encode a letter, so the longest word that every match contains is searched for, and any encoded letter. Where every
match has the status `401`, that is searched for instead, as few lines have it; and of another error, such as `404`, it
has to be in the same line, before or behind the word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import takewhile
from typing import Final

from sidecar.filters import regex_tree
from sidecar.filters.regex_tree import Branch, Chars, Group, Node, Nodes, Repeat

# Shorter words are in too many lines to be worth a search, except two dots.
MIN_WORD_CHARS: Final = 3
TWO_DOTS: Final = ".."
MAX_WORDS: Final = 128
# A percent-encoded character that RFC 3986 (section 2.3) has nobody encode: a letter, a digit, `-`, `.`, `_` or `~`.
# Servers write none of these as `\x77` or `\u0077`.
ENCODED_UNRESERVED: Final = rb"%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
# Characters that a path or a query may hold as they are. At a slash or a blank a word ends: `//` and `/./` are slashes
# too, and fields may stand in another order in the log.
_IN_WORDS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# The canonical line has `%22` for a quote, which the log may have in another spelling.
_HALF_ESCAPE: Final = re.compile(r"[0-9A-F]{1,2}")
# The status that hardly any line has, as long as nobody guesses passwords; those that few have. `200` nearly all have.
RARE_STATUS: Final = "401"
_ERROR_STATUS: Final = re.compile(r"[45]\d\d")


def expressions(regex: re.Pattern[str]) -> tuple[bytes, ...]:
    """Return expressions, of which one finds each line that the regex matches; () where every line has to be tried."""
    nodes = regex_tree.parse(regex)
    found = _all_required(nodes)
    words = _best(found)
    if not words or len(words) > MAX_WORDS or min(map(_rarity, words)) < MIN_WORD_CHARS:
        return ()
    # A word that holds another is found with that.
    shortest = [word for word in sorted(words) if not any(other in word for other in words - {word})]
    if f" {RARE_STATUS} " in _text(nodes):
        return (_status(RARE_STATUS),)
    errors = next(
        (each for each in found if each and each != words and all(map(_is_error, each))), frozenset()
    )
    return (*(_with_one_of(errors, word) for word in shortest), ENCODED_UNRESERVED)


def _text(nodes: Nodes) -> str:
    """Return the text that every match contains, with a zero byte for each part that is not known.

    Within a field of the canonical line there is no blank, but in the User-Agent, which stands in the log as it is.
    """
    return "".join(_literal(node) or "\0" for node in _inlined(nodes))


def _status(code: str) -> bytes:
    """Return what finds a status, and no number that holds its digits."""
    return rb"(?:^|[^0-9])%b(?:[^0-9\n]|$)" % code.encode()


def _is_error(word: str) -> bool:
    """Return whether the word is a status that few lines have."""
    return bool(_ERROR_STATUS.fullmatch(word))


def _with_one_of(others: frozenset[str], word: str) -> bytes:
    """Return what finds a word in lines that have one of the others, too. A log may have its fields in any order."""
    escaped = re.escape(word).encode()
    if not others:
        return escaped
    other = b"(?:%b)" % b"|".join(each.encode() for each in sorted(others))
    return b"(?:%b[^\\n]*%b|%b[^\\n]*%b)" % (escaped, other, other, escaped)


def _required(nodes: Nodes) -> frozenset[str]:
    """Return words, one of which is in every match; the empty set where none is known."""
    return _best(_all_required(nodes))


def _best(found: Iterable[frozenset[str]]) -> frozenset[str]:
    return max(found, key=_worth, default=frozenset())


def _all_required(nodes: Nodes) -> list[frozenset[str]]:
    """Return sets of words: of each set, one word is in every match."""
    found: list[frozenset[str]] = []
    word, before = "", ""
    for node in _inlined(nodes):
        literal = _literal(node)
        if literal in _IN_WORDS:
            word += literal
            continue
        if isinstance(node, Branch):
            found.append(_of_each(node.branches))
            # `\.(?:git|hg)` has the words `.git` and `.hg`.
            starts = [_words(word + _start(branch), before) for branch in node.branches]
            found += (
                [frozenset().union(*(words for start in starts for words in start))] if all(starts) else []
            )
        found += _words(word, before)
        word, before = "", literal
        if isinstance(node, Branch):
            continue
        if isinstance(node, Repeat) and node.least:
            found.append(_required(node.body))
    found += _words(word, before)
    return found


def _literal(node: Node) -> str:
    """Return the one character that a node stands for, if it is a literal; "" else."""
    return node.literal if isinstance(node, Chars) and not node.ignore_case else ""


def _start(nodes: Nodes) -> str:
    """Return the literal text that these nodes begin with, as far as it may be in a word."""
    literals = (_literal(node) for node in _inlined(nodes))
    return "".join(takewhile(lambda literal: literal in _IN_WORDS, literals))


def _words(word: str, before: str) -> list[frozenset[str]]:
    """Return the word, without what may be the end of an escape in the canonical line."""
    if before in ("", "%") and (half := _HALF_ESCAPE.match(word)):
        word = word[half.end() :]
    return [frozenset({word})] if word else []


def _of_each(branches: Iterable[Nodes]) -> frozenset[str]:
    each = [_required(branch) for branch in branches]
    return frozenset().union(*each) if all(each) else frozenset()


def _inlined(nodes: Sequence[Node]) -> Iterable[Node]:
    for node in nodes:
        if isinstance(node, Group):
            yield from _inlined(node.body)
        else:
            yield node


def _worth(words: frozenset[str]) -> tuple[int, int]:
    return min(map(_rarity, words), default=0), -len(words)


def _rarity(word: str) -> int:
    return MIN_WORD_CHARS if word == TWO_DOTS else len(word)
