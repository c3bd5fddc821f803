"""What `replay` shows: each decision as it is made, and then totals, as text, JSON or CSV."""

from __future__ import annotations

import csv
import math
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from sidecar.advice import unread_logs
from sidecar.cli import plot
from sidecar.cli.layout import print_table
from sidecar.cli.meter import Meter
from sidecar.cli.replay import Decided, Policy, Replay
from sidecar.cli.replay_logs import ReadLog
from sidecar.cli.replay_totals import OneSided, TimeCounts, Totals, compare, step_for
from sidecar.cli.stdio import terminal_width, write_error, write_json, write_line, write_paragraph
from sidecar.cli.text import local_time
from sidecar.core.address import Address
from sidecar.core.durations import format_duration
from sidecar.core.events import Ban
from sidecar.core.text import printable

# More addresses do not fit on a screen; a program takes more.
MAX_ADDRESSES_SHOWN: Final = 10
MAX_ADDRESSES_AS_JSON: Final = 1_000
MAX_ONE_SIDED_SHOWN: Final = 20
# Where standard output is not a terminal.
DEFAULT_PLOT_COLUMNS: Final = 80
CSV_TITLES: Final = ("action", "jail", "ip", "time", "until", "failures")


class ReplayReport(Protocol):
    """One form of what is shown."""

    def decided(self, decided: Decided) -> None:
        """Show a decision."""

    def ended(self, replay: Replay) -> None:
        """Show what is known at the end."""


class JsonReport:
    """An object a line for each decision, and one with the totals of each policy."""

    def __init__(self, *, with_policy: bool) -> None:
        self._with_policy = with_policy

    def decided(self, decided: Decided) -> None:
        policy, decision = decided
        answer: dict[str, Any] = {
            "action": "ban" if isinstance(decision, Ban) else "unban",
            "jail": decision.jail,
            "ip": decision.address,
            "time": decision.at,
        }
        if isinstance(decision, Ban):
            answer |= {
                "until": None if decision.is_permanent else decision.until,
                "failures": decision.failures,
                "lines": decision.evidence,
            }
        self._write(policy, answer)

    def _write(self, policy: Policy, answer: dict[str, Any]) -> None:
        write_json({"policy": policy.name, **answer} if self._with_policy else answer)

    def ended(self, replay: Replay) -> None:
        only = _only(replay)
        for policy in replay.policies:
            totals = policy.totals
            addresses = totals.by_address.most_failures(MAX_ADDRESSES_AS_JSON)
            compared = {"only_here": [_one_sided(each) for each in only[policy]]} if policy in only else {}
            self._write(
                policy,
                {
                    "action": "total",
                    "failures": totals.failures.total(),
                    "bans": totals.bans.total(),
                    "dry_runs": totals.dry_runs,
                    "undated": totals.undated,
                    "names": totals.names,
                    "invalid": policy.invalid,
                    "ignored": dict(policy.ignored),
                    "jails": {name: _jail(policy, name) for name in policy.settings.filters},
                    "addresses": [_address(totals, each) for each in addresses],
                    **compared,
                    "logs": [_log(each) for each in replay.logs],
                    "not_understood": list(policy.unread_logs),
                    "problems": policy.problems.sentences,
                },
            )


class CsvReport:
    """A row for each decision, with times as spreadsheets read them, in UTC."""

    def __init__(self, *, with_policy: bool) -> None:
        self._rows = csv.writer(sys.stdout, lineterminator="\n")
        self._with_policy = with_policy
        self._rows.writerow((*(("policy",) if with_policy else ()), *CSV_TITLES))

    def decided(self, decided: Decided) -> None:
        policy, decision = decided
        is_ban = isinstance(decision, Ban)
        row = (
            "ban" if is_ban else "unban",
            decision.jail,
            decision.address,
            _iso(decision.at),
            _iso(decision.until) if isinstance(decision, Ban) and not decision.is_permanent else "",
            decision.failures if isinstance(decision, Ban) else "",
        )
        self._rows.writerow((policy.name, *row) if self._with_policy else row)

    def ended(self, replay: Replay) -> None:
        """Show nothing more: totals are other columns."""


class TextReport:
    """Lines, tables and plots for a person. The last line has the totals."""

    def __init__(
        self, meter: Meter, assumptions: Sequence[str], *, only_totals: bool, with_policy: bool, wide: bool
    ) -> None:
        self._meter = meter
        self._assumptions = assumptions
        self._only_totals, self._with_policy, self._wide = only_totals, with_policy, wide

    def decided(self, decided: Decided) -> None:
        if not self._only_totals:
            start = f"{decided.policy.name}: " if self._with_policy else ""
            self._meter.write_line(printable(f"{start}{_as_text(decided)}"))

    def ended(self, replay: Replay) -> None:
        self._show_logs(replay.logs)
        for policy in replay.policies:
            if policy.totals.failures or policy.totals.bans or policy.totals.logins:
                self._show_policy(policy)
        if self._with_policy:
            self._show_comparison(replay)
        width = terminal_width()
        write_line("")
        for sentence in self._assumptions:
            write_paragraph(sentence, width, first="- ")
        for sentence in _not_counted(replay):
            write_paragraph(sentence, width, first="- ")
        for policy in replay.policies:
            start = f"{printable(policy.name)}: " if self._with_policy else ""
            write_paragraph(f"{start}{summary(policy)}", width, indent="")

    def _show_logs(self, logs: Sequence[ReadLog]) -> None:
        rows = [(each.log.name, _size(each.size), _time(each.begin), _time(each.end)) for each in logs]
        print_table(("log", "read", "first line", "last line"), rows, wide=self._wide)

    def _show_policy(self, policy: Policy) -> None:
        totals = policy.totals
        if self._with_policy:
            write_line(f"\n{printable(policy.name)}:")
        by_address = totals.by_address
        banned = Counter(first.jail for first in by_address.bans.values())
        print_table(
            ("jail", "failures", "logins", "bans", "banned addresses"),
            [
                (name, totals.failures[name], totals.logins[name], totals.bans[name], banned[name])
                for name in policy.settings.filters
            ],
            wide=self._wide,
        )  # fmt: skip
        print_table(
            ("address", "failures", "logins", "bans", "first ban"),
            [
                (
                    each,
                    by_address.failures.get(each, 0),
                    by_address.logins.get(each, 0),
                    *((first.bans, _time(first.at)) if (first := by_address.bans.get(each)) else (0, "")),
                )
                for each in by_address.most_failures(MAX_ADDRESSES_SHOWN)
            ],
            wide=self._wide,
        )
        spans = [span for each in (totals.failures_at, totals.bans_at) if (span := each.span)]
        if spans:
            begin, end = min(span[0] for span in spans), max(span[1] for span in spans)
            for name, counts in (("failures", totals.failures_at), ("bans", totals.bans_at)):
                _show_plot(name, counts, begin, end)

    def _show_comparison(self, replay: Replay) -> None:
        only, width = _only(replay), terminal_width()
        for policy, found in only.items():
            write_line("")
            name = printable(policy.name)
            logged_in = sum(bool(each.logins) for each in found)
            write_paragraph(
                f"banned by {name} alone: {len(found)}, of which {logged_in} ever logged in", width, indent=""
            )
            print_table(
                ("address", "jail", "first ban", "failures", "logins"),
                [
                    (each.address, each.first.jail, _time(each.first.at), each.failures or "", each.logins or "")
                    for each in found[:MAX_ONE_SIDED_SHOWN]
                ],
                wide=self._wide,
            )  # fmt: skip
            if len(found) > MAX_ONE_SIDED_SHOWN:
                write_line(f"... and {len(found) - MAX_ONE_SIDED_SHOWN} more, with --json")
        both = compare(*(policy.totals for policy in replay.policies)).both
        write_line(f"\nbanned by both: {both}")
        if not any(policy.finds_logins for policy in replay.policies):
            sentence = (
                "no filter of theirs finds logins (`success = reset`), so nobody is known to have logged in"
            )
            write_paragraph(sentence, width, indent="")


def summary(policy: Policy) -> str:
    """Return what a policy came to, in a line."""
    totals = policy.totals
    ignored = "".join(f", {count} of them not counted ({reason})" for reason, count in policy.ignored)
    dry_runs = f" ({totals.dry_runs} as a dry run)" if totals.dry_runs else ""
    return f"{totals.bans.total()} bans{dry_runs}, {totals.failures.total()} failures{ignored}"


def show_errors(replay: Replay) -> bool:
    """Write to standard error what could not be read, or not be judged; return whether there is any."""
    errors = [f"{each.log.name}: {each.error}" for each in replay.logs if each.error]
    errors += dict.fromkeys(each for policy in replay.policies for each in policy.problems.sentences)
    for error in errors:
        write_error(error)
    return bool(errors)


def _only(replay: Replay) -> dict[Policy, list[OneSided]]:
    """Return the addresses that each of two policies alone bans; nothing for a single policy."""
    if len(replay.policies) == 1:
        return {}
    first, second = replay.policies
    compared = compare(first.totals, second.totals)
    return {first: compared.only_first, second: compared.only_second}


def _not_counted(replay: Replay) -> Iterator[str]:
    """Yield what a person may miss in the totals."""
    unread = {name: sample for policy in replay.policies for name, sample in policy.unread_logs.items()}
    readers = {
        jail.name for policy in replay.policies for jail in policy.settings.jails if jail.reads_requests
    }
    setting = unread_logs.setting_of_file(sorted(readers))
    for name, sample in unread.items():
        yield unread_logs.not_understood(
            name, sample.lines, sample.examples, setting, declared=sample.declared
        )
    undated = max(policy.totals.undated for policy in replay.policies)
    if undated:
        yield (
            f"{undated} failures have no time that can be read, or one still to come, and are not counted:"
            " `docker logs -t` adds times"
        )
    if names := max(policy.totals.names for policy in replay.policies):
        yield f"{names} failures name a host and no address (`usedns`), and are not counted: no name is looked up"
    if invalid := max(policy.invalid for policy in replay.policies):
        yield f"{invalid} failures name no address, and are not counted"
    if dropped := max(policy.totals.by_address.dropped for policy in replay.policies):
        yield f"there are too many addresses: {dropped} that failed long before the end are left out of these tables"


def _as_text(decided: Decided) -> str:
    decision = decided.decision
    action = "ban" if isinstance(decision, Ban) else "unban"
    start = f"{local_time(decision.at)}  {action:5}  {decision.address}  {decision.jail}"
    if not isinstance(decision, Ban):
        return start
    duration = "good" if decision.is_permanent else format_duration(decision.until - decision.at)
    return f"{start}  {decision.failures} failures, for {duration}"


def _jail(policy: Policy, name: str) -> dict[str, int]:
    totals = policy.totals
    return {"failures": totals.failures[name], "logins": totals.logins[name], "bans": totals.bans[name]}


def _one_sided(each: OneSided) -> dict[str, Any]:
    return {"ip": each.address, "jail": each.first.jail, "time": each.first.at, "logins": each.logins}


def _address(totals: Totals, address: Address) -> dict[str, Any]:
    by_address, first = totals.by_address, totals.by_address.bans.get(address)
    return {
        "ip": address,
        "failures": by_address.failures.get(address, 0),
        "logins": by_address.logins.get(address, 0),
        "bans": first.bans if first else 0,
        "banned": first.at if first else None,
    }


def _log(each: ReadLog) -> dict[str, Any]:
    return {
        "log": each.log.name,
        "bytes": each.size,
        "first": each.begin if math.isfinite(each.begin) else None,
        "last": each.end if math.isfinite(each.end) else None,
        "error": each.error or None,
    }


def _show_plot(name: str, counts: TimeCounts, begin: float, end: float) -> None:
    if not counts.span:
        return
    width = terminal_width() or DEFAULT_PLOT_COLUMNS
    # The number on the left has at most nine digits.
    step = step_for(begin, end, width - 10, counts.step_s)
    rows = list(plot.bars(counts.by_step(begin, end, step), blocks=plot.has_blocks()))
    write_line(f"\n{name}, from {local_time(begin // step * step)}, each column {format_duration(step)}")
    for row in rows:
        write_line(row)


def _time(at: float) -> str:
    return local_time(at) if math.isfinite(at) else ""


def _iso(at: float) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, ValueError, OSError):
        # A line of the log may name a year that no calendar has.
        return f"{at:.0f}"


def _size(size: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if size < 1_024:
            return f"{size} {unit}"
        size //= 1_024
    return f"{size} GiB"
