"""Logs that are read and not understood, and filters that match nothing in them: what to change.

Example lines hold what clients wrote. They are shown as printable text, in quotes, and shortened.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from sidecar.core.containers import LOG_FORMAT_LABEL
from sidecar.core.text import printable
from sidecar.filters.lint import JSON_FILE_WRAPPING

MAX_SHOWN_CHARS: Final = 160
# The text that Envoy writes by default, and Istio's: behind the status are the flags of the answer.
_ENVOY: Final = re.compile(r'\[\d{4}-\d\d-\d\dT[\d:.]+Z\] "[^ ]+ .*" \d{1,3} (?:-|[A-Za-z,]+) ')


def not_understood(
    log: str, lines: int, examples: Sequence[str], setting: str, *, behind: str = "", declared: str = ""
) -> str:
    """Return that no line of a log is a request or a message of a plugin, and what to change.

    `behind`: the container of a site whose front end the log is of. `declared`: the format that was configured, and
    does not fit.
    """
    of_site = f", in front of {behind}," if behind else ""
    why = f"The {declared} does not fit. " if declared else ""
    shown = "; ".join(f'"{printable(each, MAX_SHOWN_CHARS)}"' for each in examples)
    change = f"Set {setting} to the server's `log_format`, `LogFormat` or `log-format`"
    if any(_ENVOY.match(each) for each in examples):
        # Its only address of a client may be a header, and quotes in headers are as the client sent them.
        change = (
            "It looks like Envoy's text, in which a client can write any address: have Envoy write JSON "
            "(`json_format`; in Istio `accessLogEncoding: JSON`), which needs no setting"
        )
    return (
        f"the log of {log}{of_site} is not understood: of {lines} lines none is a request in a known format, or a "
        f"plugin's message, so failed logins do not count. {why}{change}; or have the log of its web server read "
        f"(docs/sources.md, Front ends). It has lines like {shown}"
    )


def setting_of_container(name: str) -> str:
    """Return the setting that says how a container's log is written."""
    return f"the label `{LOG_FORMAT_LABEL}` of {name}"


def setting_of_file(jails: Sequence[str]) -> str:
    """Return the setting that says how a file's log is written."""
    return f"`logformat` in {', '.join(f'[{name}]' for name in jails)}"


def matched_nothing(jail: str, filter_name: str, misses: int) -> str:
    """Return that many lines look as if a filter was made for them, and it matches none."""
    return (
        f"the filter {filter_name} of [{jail}] has matched none of {misses:,} lines that have its words: its failregex "
        f"does not fit the log, or its ignoreregex fits too often. Try `wp-sidecar test-filter {filter_name}` on it"
    )


def idle_filter(jail: str, filter_name: str, lines: int) -> str:
    """Return that a filter has matched nothing in a busy log, which may be right."""
    return (
        f"the filter {filter_name} of [{jail}] has matched none of {lines:,} lines. If there were attacks, it does not "
        f"fit: try `wp-sidecar test-filter {filter_name}` on the log"
    )


def json_file_wrapping(jail: str, filter_name: str) -> str:
    """Return that a filter expects Docker's json-file wrapping where lines come without it."""
    return (
        f"the filter {filter_name} of [{jail}] expects lines as Docker's json-file driver stores them "
        f"({JSON_FILE_WRAPPING}...), but lines of containers are read without that. Remove {JSON_FILE_WRAPPING} and "
        "what belongs to it from its failregex"
    )
