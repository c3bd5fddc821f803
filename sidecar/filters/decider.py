"""The outcome of a line for one filter, remembered for lines that come again."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from sidecar.core.address import Address, parse_address
from sidecar.filters.loader import ADDRESS_GROUPS, Filter
from sidecar.filters.redos_sandbox import GuardedFilter
from sidecar.filters.verdict import Failure, unless_nofail

# A failure that names no valid address.
NOBODY: Final = Address("")
# How many lines of a filter are remembered with their outcome, and how long such a line may be: at most some MB.
MAX_KNOWN_LINES: Final = 1_024
MAX_KNOWN_LINE_CHARS: Final = 1_024

Outcome: TypeAlias = tuple[Address, str, str, bool]
"""A failure: its address, what it was aimed at, a name to look up, and whether it was a login that worked.

There is a name only if the address is NOBODY. It is a plain tuple, because one is made for each failing line.
"""
_UNKNOWN: Final[Outcome] = (NOBODY, "", "", False)


class Plan(NamedTuple):
    """How a failregex of a plain filter is tried: how to search, and the numbers of its groups.

    `addresses` are those that hold the address, `target` the one that holds what was aimed at (0: none does).
    """

    search: Callable[[str], re.Match[str] | None]
    addresses: tuple[int, ...]
    target: int
    success: bool


class LineDecider:
    """Decides lines by a filter that needs one line only. Any thread may ask.

    Outcomes are remembered: a guesser's lines differ in their date alone, which is cut out.
    """

    def __init__(self, log_filter: Filter, guarded: GuardedFilter, *, plain: bool) -> None:
        """`plain`: see `is_plain()`, and the filter is not prone to ReDoS."""
        self._filter, self._guarded = log_filter, guarded
        self._plans = [_plan(rule.regex) for rule in log_filter.failregex] if plain else []
        self._known: dict[str, Outcome | None] = {}

    def decide(self, text: str, failregexes: Sequence[int]) -> Outcome | None:
        """Return the outcome of a line; `failregexes` are those that may match. Raises RegexTimeoutError."""
        known = self._known
        found = known.get(text, _UNKNOWN)
        if found is not _UNKNOWN:
            return found
        if self._plans:
            found = self._first_match(text, failregexes)
        else:
            found = outcome(self._filter, unless_nofail(self._guarded.decide(text, failregexes)))
        if len(text) <= MAX_KNOWN_LINE_CHARS:
            if len(known) >= MAX_KNOWN_LINES:
                known.clear()
            known[text] = found
        return found

    def _first_match(self, text: str, failregexes: Sequence[int]) -> Outcome | None:
        """Return the outcome of the first failregex that matches, as `decide()` and `outcome()` do, but faster."""
        text += "\n"
        for index in failregexes:
            search, groups, target, success = self._plans[index]
            if match := search(text):
                for group in groups:
                    if address_text := match[group]:
                        if address := parse_address(address_text):
                            return address, (match[target] or "") if target else "", "", success
                        break
                return outcome(self._filter, Failure(index, match))
        return None


def is_plain(log_filter: Filter) -> bool:
    """Return whether the first failregex that matches a line decides it, and nothing else does."""
    nofail = any("nofail" in rule.regex.groupindex for rule in log_filter.failregex)
    return not (nofail or log_filter.prefregex or log_filter.ignoreregex or log_filter.needs_earlier_lines)


def outcome(log_filter: Filter, failure: Failure | None) -> Outcome | None:
    """Return the outcome of a failure; its address is NOBODY if the text there is none."""
    if failure is None:
        return None
    text = failure.address
    if address := parse_address(text):
        return address, failure.target, "", failure.success
    return NOBODY, failure.target, text if log_filter.resolves_names else "", failure.success


def _plan(regex: re.Pattern[str]) -> Plan:
    groups = regex.groupindex
    addresses = tuple(groups[name] for name in ADDRESS_GROUPS if name in groups)
    return Plan(regex.search, addresses, groups.get("target", 0), "success" in groups)
