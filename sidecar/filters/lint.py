"""For the author of a filter: how near a line came, and which lines would have a stranger banned.

An expression that can be fooled is shown by a line that fools it, not by a rule of thumb: lines are made from the
expression itself, as an attacker would who has read it, and the filter decides.
"""

from __future__ import annotations

import re
import re._compiler as compiler  # type: ignore[import-not-found]  # as in `stalls`
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, NamedTuple

from sidecar.core.address import parse_host
from sidecar.filters.loader import Filter, Rule
from sidecar.filters.prefilter import CHARACTERS, accepted
from sidecar.filters.redos import MADE, example, find_redos, repeats
from sidecar.filters.verdict import Decide, decide

CLIENT, STRANGER = "203.0.113.7", "192.0.2.1"  # for documentation (RFC 5737, RFC 3849)
CLIENT6 = "2001:db8::7"


class NearMiss(NamedTuple):
    """The expression that went furthest (from 1), and what of the line it took."""

    failregex: int
    taken: str


def closest(rules: Filter, text: str) -> NearMiss | None:
    """How far a line, its date cut out, agrees with the failregex that it agrees with most."""
    if rules.prefregex and not rules.prefregex.regex.search(text + "\n"):
        return None
    found = [
        (share, len(taken), number, taken)
        for number, rule in enumerate(rules.failregex, 1)
        if not find_redos(rule.regex)
        for share, taken in [_agreed(rule.regex, text + "\n")]
        if taken.strip()
    ]
    if not found:
        return None
    _, _, number, taken = max(found, key=lambda one: (one[0], one[1], -one[2]))
    return NearMiss(number, taken.rstrip("\n"))


def _agreed(regex: re.Pattern[str], text: str) -> tuple[float, str]:
    """The share of an expression's parts that agree, from its beginning, and the text that they take."""
    parts, taken = _beginnings(regex), ""
    low, high = 0, len(parts) - 1
    while low < high:  # if so many parts agree, so do fewer
        middle = (low + high + 1) // 2
        found = parts[middle].search(text)
        low, high = (middle, high) if found else (low, middle - 1)
        taken = found[0] if found else taken
    return low / len(parts), taken


@lru_cache(maxsize=256)
def _beginnings(regex: re.Pattern[str]) -> list[re.Pattern[str]]:
    """The expression's first 0, 1, 2 ... parts."""
    tree = parser.parse(regex.pattern, regex.flags)
    return [compiler.compile(tree[:parts], regex.flags) for parts in range(len(tree) + 1)]


class Forgery(NamedTuple):
    """An expression, and a line that a visitor caused, for which another is banned."""

    rule: Rule
    line: str
    banned: str  # STRANGER, if the visitor wrote that; else what is left of his own address


def forgeries(rules: Filter, decide: Decide = decide) -> Iterator[Forgery]:
    """Expressions that a visitor's own words fool, or that leave the first digits of an address out (`.*<HOST>`).

    The line is one that CLIENT could cause (or CLIENT6), with STRANGER in what he wrote if that is what it takes.
    """
    if (
        rules.prefregex or rules.needs_earlier_lines
    ):  # one expression alone does not say what their lines look like
        return
    for index, rule in enumerate(rules.failregex):
        for line in _forged(rule.regex):
            failure = decide(rules, line, [index])
            if failure and _stranger(failure.address, line):
                yield Forgery(rule, line, failure.address)
                break


def _stranger(address: str, line: str) -> bool:
    """Is it an address, and not the visitor's? Where STRANGER stands, what else was made of it says nothing."""
    if STRANGER in line:
        return address == STRANGER
    return parse_host(address) not in {None, parse_host(CLIENT), parse_host(CLIENT6)}


def _forged(regex: re.Pattern[str]) -> Iterator[str]:
    tree: list[Any] = list(parser.parse(regex.pattern, regex.flags))
    made = example(tree, regex.flags).rstrip("\n")
    own, strange = made.replace(MADE, CLIENT), made.replace(MADE, STRANGER)
    if MADE in made:
        yield from (own, made.replace(MADE, CLIENT6))
    yield f"{CLIENT} wrote: {strange}"
    yield f'{CLIENT} wrote: "{strange}"'
    for before, body, most, flags in repeats(tree, regex.flags, asserted=False):
        lead, rest = before.replace(MADE, CLIENT), own[len(before.replace(MADE, CLIENT)) :]
        if not own.startswith(lead) or CLIENT not in own:
            continue
        for words in (f"x{strange[len(lead) :]}", f"x{strange[len(lead) :]} ", f" {strange} ", strange):
            if len(words) <= most and _takes(body, flags, words):
                yield f"{lead}{words}{rest}"


def _takes(body: Any, flags: int, words: str) -> bool:  # noqa: ANN401  # the parser's
    """May these words stand where this is repeated? Of what is not a single class, nobody knows."""
    if len(body) > 1 or body[0][0] not in CHARACTERS:
        return True
    bits = accepted(body[0], flags)
    return all(bits >> ord(c) & 1 for c in words if c.isascii())
