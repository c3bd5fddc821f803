"""For the author of a filter: how near a line came to a match, and which lines would have a stranger banned.

A failregex that can be fooled is shown by a line that fools it, not by a rule of thumb: lines are written from the
expression itself, as an attacker would write them, and the filter decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from sidecar.core.address import parse_host
from sidecar.filters import charsets, regex_tree
from sidecar.filters.loader import Filter, Rule
from sidecar.filters.redos import find_redos
from sidecar.filters.regex_examples import EXAMPLE_ADDRESS, example, unlimited_repeats
from sidecar.filters.regex_tree import Chars, Nodes
from sidecar.filters.verdict import Decide, decide

# Addresses for documentation: RFC 5737 and RFC 3849.
CLIENT: Final = "203.0.113.7"
CLIENT6: Final = "2001:db8::7"
STRANGER: Final = "192.0.2.1"


# What Docker's json-file driver puts before a line in its own files. Lines of containers are read without it.
JSON_FILE_WRAPPING: Final = '{"log":"'


def expects_json_file(log_filter: Filter) -> bool:
    """Return whether a filter is written for lines as Docker's json-file driver stores them."""
    return any(JSON_FILE_WRAPPING in rule.text.replace("\\", "") for rule in log_filter.failregex)


# In a canonical line no quote stands before a method, and there is no version.
_RAW_LINE: Final = re.compile(r'"(?:GET|POST|HEAD|PUT|DELETE|PATCH|OPTIONS)|\bHTTP/')


def raw_lines(log_filter: Filter) -> tuple[Rule, ...]:
    """Return the failregexes of a filter on requests that are written for lines as servers write them."""
    if not log_filter.reads_requests:
        return ()
    return tuple(
        rule
        for rule in log_filter.failregex
        if _RAW_LINE.search(example(regex_tree.parse(rule.regex), spaced=True))
    )


class NearMiss(NamedTuple):
    """The failregex that agreed with most of a line (counted from 1), and the text that it took.

    `share` is the share of the expression's parts that matched.
    """

    failregex: int
    taken: str
    share: float


def closest(log_filter: Filter, text: str) -> NearMiss | None:
    """Return the failregex that a line, its date cut out, agrees with most; None if it agrees with none.

    Failregexes that are prone to ReDoS are left out.
    """
    if log_filter.prefregex and not log_filter.prefregex.regex.search(text + "\n"):
        return None
    found = [
        (share, len(taken), number, taken)
        for number, rule in enumerate(log_filter.failregex, 1)
        if not find_redos(rule.regex)
        for share, taken in [_agreement(rule.regex, text + "\n")]
        if taken.strip()
    ]
    if not found:
        return None
    share, _, number, taken = max(found, key=lambda one: (one[0], one[1], -one[2]))
    return NearMiss(number, taken.rstrip("\n"), share)


def _agreement(regex: re.Pattern[str], text: str) -> tuple[float, str]:
    """Return the share of an expression's parts that match, from its beginning, and the text that they take."""
    prefixes, taken = _prefixes(regex), ""
    low, high = 0, len(prefixes) - 1
    # If this many parts match, fewer do too.
    while low < high:
        middle = (low + high + 1) // 2
        found = prefixes[middle].search(text)
        low, high = (middle, high) if found else (low, middle - 1)
        taken = found[0] if found else taken
    return low / len(prefixes), taken


_prefixes = lru_cache(maxsize=256)(regex_tree.prefixes)


class Forgery(NamedTuple):
    """A failregex, and a line that a client caused and for which another address is banned.

    `banned` is STRANGER if the client wrote that, else what is left of the client's own address.
    """

    rule: Rule
    line: str
    banned: str


def forgeries(log_filter: Filter, decide: Decide = decide) -> Iterator[Forgery]:
    """Yield the failregexes that a client's own words fool, or that leave an address's beginning out (`.*<HOST>`).

    The line is one that CLIENT or CLIENT6 could cause, with STRANGER in the text that the client sent if that is what
    it takes. Filters with a `prefregex`, or that need earlier lines, are not judged: one expression alone does not
    say what their lines look like.
    """
    if log_filter.prefregex or log_filter.needs_earlier_lines:
        return
    for index, rule in enumerate(log_filter.failregex):
        for line in _forged_lines(rule.regex):
            failure = decide(log_filter, line, [index])
            if failure and _bans_another(failure.address, line):
                yield Forgery(rule, line, failure.address)
                break


def _bans_another(address: str, line: str) -> bool:
    """Return whether this is another's address. Beside STRANGER, what else was made of the line says nothing."""
    if STRANGER in line:
        return address == STRANGER
    return parse_host(address) not in {None, parse_host(CLIENT), parse_host(CLIENT6)}


def _forged_lines(regex: re.Pattern[str]) -> Iterator[str]:
    """Yield lines that a client could cause, and that the expression might take for another's failure."""
    tree = regex_tree.parse(regex)
    sample = example(tree).rstrip("\n")
    own, strange = sample.replace(EXAMPLE_ADDRESS, CLIENT), sample.replace(EXAMPLE_ADDRESS, STRANGER)
    if EXAMPLE_ADDRESS in sample:
        yield from (own, sample.replace(EXAMPLE_ADDRESS, CLIENT6))
    yield f"{CLIENT} wrote: {strange}"
    yield f'{CLIENT} wrote: "{strange}"'
    for repeat in unlimited_repeats(tree, assertions=False):
        lead = repeat.lead.replace(EXAMPLE_ADDRESS, CLIENT)
        rest = own[len(lead) :]
        if not own.startswith(lead) or CLIENT not in own:
            continue
        for words in (f"x{strange[len(lead) :]}", f"x{strange[len(lead) :]} ", f" {strange} ", strange):
            if len(words) <= repeat.most and _may_repeat(repeat.body, words):
                yield f"{lead}{words}{rest}"


def _may_repeat(body: Nodes, words: str) -> bool:
    """Return whether a repeat of this body may take these words; of what is not a single class that is not known."""
    match body:
        case (Chars(accepts),):
            return all(charsets.contains(accepts, char) for char in words)
    return True
