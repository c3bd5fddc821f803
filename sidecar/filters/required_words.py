r"""Filters on requests (`input = requests`) -> Hyperscan expressions that find at least every line they match.

Such a filter matches the canonical line of a request (`sidecar.access.request`), not the log's own text, in which a
path may be percent-encoded and the fields stand in any order. But some words of the failregex have to be in both: of
`POST \S*/wp-login\.php` the word `wp-login`, unless some of its letters are written as `%77`. Nobody has a reason to
encode a letter, so the longest word that every match contains is searched for, and any encoded letter. Words that most
lines of a WordPress site have are no help; if there is no other, a second word has to be in the same line. Where every
match has the status `401`, that is searched for instead, as few lines have it; and where it has another error's, such
as `404`, a word has to be beside that.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from sidecar.filters import charsets, regex_tree
from sidecar.filters.regex_tree import Branch, Chars, Group, Node, Nodes, Repeat

# Shorter words are in too many lines to be worth a search, except two dots.
MIN_WORD_CHARS: Final = 3
TWO_DOTS: Final = ".."
MAX_WORDS: Final = 128
# `\.php[._~]` has three words.
MAX_CLASS_CHARS: Final = 4
# A percent-encoded character that RFC 3986 (section 2.3) has nobody encode: a letter, a digit, `-`, `.`, `_` or `~`.
# Servers write none of these as `\x77` or `\u0077`.
ENCODED_UNRESERVED: Final = rb"%(?:2[DEde]|3[0-9]|4[1-9A-Fa-f]|5[0-9AaFf]|6[1-9A-Fa-f]|7[0-9AaEe])"
# Characters that a path or a query may hold as they are. At a slash or a blank a word ends: `//` and `/./` are slashes
# too, and fields may stand in another order in the log.
_IN_WORDS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
# The canonical line has `%22` for a quote, which the log may have in another spelling.
_HALF_ESCAPE: Final = re.compile(r"[0-9A-F]{1,2}")
# Shorter words, such as `.php`, are in many lines.
MIN_RARE_CHARS: Final = 5
# Parts of paths that a site's own pages ask for.
COMMON_WORDS: Final = ("wp-content", "wp-includes", "plugins", "themes", "uploads", "cache")
# The status that hardly any line has, as long as nobody guesses passwords; those that few have. `200` nearly all have.
RARE_STATUS: Final = "401"
_ERROR_STATUS: Final = re.compile(r"[45]\d\d")


class Searched(NamedTuple):
    """An expression that finds lines, and words: a line that has none of them is not meant; without any, all are.

    Hyperscan could look for such a word, too. But from a common one it would search on to the line's end in nearly
    every line, which takes several times as long as all else.
    """

    expression: bytes
    beside: frozenset[bytes] = frozenset()


class Needed(NamedTuple):
    """A word that a match may contain, and others, of which it then has one elsewhere; none if none are known."""

    word: str
    others: frozenset[str] = frozenset()


def expressions(regex: re.Pattern[str]) -> tuple[Searched, ...]:
    """Return what finds, together, each line that the regex matches; () where every line has to be tried."""
    nodes = regex_tree.parse(regex)
    needed = _required(nodes)
    if not needed or len(needed) > MAX_WORDS or min(_rarity(each.word) for each in needed) < MIN_WORD_CHARS:
        return ()
    if f" {RARE_STATUS} " in _text(nodes):
        return (Searched(_status(RARE_STATUS)),)
    searched = (each for each in sorted(needed, key=_in_order) if not _is_found_with_another(each, needed))
    return (*map(_searched, searched), Searched(ENCODED_UNRESERVED))


def _text(nodes: Nodes) -> str:
    """Return the text that every match contains, with a zero byte for each part that is not known.

    Within a field of the canonical line there is no blank, but in the User-Agent, which stands in the log as it is.
    """
    return "".join(_literal(node) or "\0" for node in _inlined(nodes))


def _status(code: str) -> bytes:
    """Return what finds a status, and no number that holds its digits."""
    return rb"(?:^|[^0-9])%b(?:[^0-9\n]|$)" % code.encode()


def _searched(needed: Needed) -> Searched:
    """Return what finds lines with the word and one of the others, in any order, as a log may have its fields so."""
    word, others = re.escape(needed.word).encode(), sorted(needed.others)
    if not others:
        return Searched(word)
    if _ERROR_STATUS.fullmatch(needed.word):
        return Searched(_status(needed.word), frozenset(each.encode() for each in others))
    if any(map(_is_common, others)) and not _is_common(needed.word):
        return Searched(word, frozenset(each.encode() for each in others))
    other = b"(?:%b)" % b"|".join(re.escape(each).encode() for each in others)
    return Searched(b"(?:%b[^\\n]*%b|%b[^\\n]*%b)" % (word, other, other, word))


def _in_order(needed: Needed) -> tuple[str, list[str]]:
    return needed.word, sorted(needed.others)


def _is_found_with_another(needed: Needed, all_needed: Iterable[Needed]) -> bool:
    """Return whether every line with this is found by another, whose word is a part of this one's."""
    return any(
        other != needed and other.word in needed.word and other.others in (frozenset(), needed.others)
        for other in all_needed
    )


def _required(nodes: Nodes) -> frozenset[Needed]:
    """Return words, one of which is in every match; the empty set where none is known."""
    parts = sorted(_parts(nodes), key=_worth)
    if not parts:
        return frozenset()
    best = parts.pop()
    errors = next((_words_of(part) for part in parts if _are_errors(part)), frozenset())
    others = errors or (_words_of(parts[-1]) if parts else frozenset())
    return frozenset(
        Needed(each.word, others) if errors or not (each.others or _is_rare(each.word)) else each
        for each in best
    )


def _words_of(part: frozenset[Needed]) -> frozenset[str]:
    return frozenset(each.word for each in part)


def _are_errors(part: frozenset[Needed]) -> bool:
    """Return whether these are status codes that few lines have."""
    return all(_ERROR_STATUS.fullmatch(each.word) for each in part)


def _parts(nodes: Nodes) -> list[frozenset[Needed]]:
    """Return for each part of a sequence the words of which a match has one there, where any are known.

    Parts do not overlap, so a match has a word of each.
    """
    parts: list[frozenset[Needed]] = []
    word, before = "", ""
    for node in _inlined(nodes):
        literal = _literal(node)
        if literal in _IN_WORDS:
            word += literal
            continue
        # What is known of one part in several ways: `\.(?:git|hg)` has the words `.git` and `.hg`, and `git` and `hg`.
        ways = [_word(word, before)]
        if isinstance(node, Branch):
            ways += [_of_each(map(_required, node.branches))]
            ways += [_of_each(_word(word + start, before) for start in _starts((node,)))]
        parts.append(max(ways, key=_worth))
        if isinstance(node, Repeat) and node.least:
            parts.append(_required(node.body))
        word, before = "", "" if isinstance(node, Branch) else literal
    parts.append(_word(word, before))
    return [part for part in parts if part]


def _literal(node: Node) -> str:
    """Return the one character that a node stands for, if it is a literal; "" else."""
    return node.literal if isinstance(node, Chars) and not node.ignore_case else ""


def _starts(nodes: Nodes) -> list[str]:
    """Return the literal texts that these nodes may begin with, as far as these may be in a word."""
    start = ""
    for node in _inlined(nodes):
        if (literal := _literal(node)) in _IN_WORDS:
            start += literal
        elif isinstance(node, Branch):
            return [start + each for branch in node.branches for each in _starts(branch)]
        else:
            return [start + each for each in _few_chars(node)]
    return [start]


def _few_chars(node: Node) -> list[str]:
    """Return the characters that a class such as `[._]` stands for, if these are few; else one empty text."""
    if not isinstance(node, Chars) or node.accepts & charsets.NON_ASCII:
        return [""]
    chars = [chr(code) for code in charsets.ascii_codes(node.accepts)]
    return chars if len(chars) <= MAX_CLASS_CHARS and _IN_WORDS.issuperset(chars) else [""]


def _word(word: str, before: str) -> frozenset[Needed]:
    """Return the word, without what may be the end of an escape in the canonical line, if any is left."""
    if before in ("", "%") and (half := _HALF_ESCAPE.match(word)):
        word = word[half.end() :]
    return frozenset({Needed(word)}) if word else frozenset()


def _of_each(branches: Iterable[frozenset[Needed]]) -> frozenset[Needed]:
    """Return the words of all branches; the empty set if of one none is known."""
    each = list(branches)
    return frozenset().union(*each) if all(each) else frozenset()


def _inlined(nodes: Sequence[Node]) -> Iterable[Node]:
    for node in nodes:
        if isinstance(node, Group):
            yield from _inlined(node.body)
        else:
            yield node


def _worth(part: frozenset[Needed]) -> tuple[bool, bool, int, int]:
    """Return how few lines these words find, as something that can be compared."""
    shortest = min((_rarity(each.word) for each in part), default=0)
    chars = min((_rarity(each.word) + min(map(_rarity, each.others), default=0) for each in part), default=0)
    return shortest >= MIN_WORD_CHARS, not _has_common(part), chars, -len(part)


def _has_common(part: frozenset[Needed]) -> bool:
    return any(_is_common(each.word) for each in part)


def _is_common(word: str) -> bool:
    return any(word in common for common in COMMON_WORDS)


def _is_rare(word: str) -> bool:
    """Return whether so few lines have the word that a search for a second one costs more than it saves."""
    return len(word) >= MIN_RARE_CHARS and not _is_common(word)


def _rarity(word: str) -> int:
    return MIN_WORD_CHARS if word == TWO_DOTS else len(word)
