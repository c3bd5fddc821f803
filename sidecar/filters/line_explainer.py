"""Which expression of a filter a line of evidence matches, and when it was written: asked for by `explain`.

Nothing of this is kept when a failure is counted, which would cost memory for each. The line is decided again by the
filter that is in force, so after a change of the filter it may match another expression, or none.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import NamedTuple

from sidecar.core.events import Framing
from sidecar.filters.loader import Filter
from sidecar.filters.verdict import explain


class LineExplanation(NamedTuple):
    """The failregex that a line matches, counted from 1, as it is written; and the line's unix time, if it has one."""

    failregex: int
    expression: str
    at: float | None


def explain_line(
    log_filter: Filter, line: str, now: float, zone: tzinfo | None = None
) -> LineExplanation | None:
    """Return what this line of evidence matches; None: nothing. Its transport's header is off already."""
    verdict = explain(log_filter, line, Framing.NONE, now, zone)
    if not verdict.failregex:
        return None
    # A line without a time of its own was given this one.
    at = None if verdict.time == now else verdict.time
    return LineExplanation(verdict.failregex, log_filter.failregex[verdict.failregex - 1].text, at)
