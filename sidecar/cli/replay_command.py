"""The command `replay`: which logs it reads, by which policies, and in which form it shows them."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import typer

from sidecar.cli.meter import NO_METER, Meter, is_long, meter, meter_of
from sidecar.cli.replay import Policy, Replay, read_settings
from sidecar.cli.replay_logs import FileLog, ReadLog
from sidecar.cli.replay_report import CsvReport, JsonReport, ReplayReport, TextReport, show_errors
from sidecar.cli.replay_sieve import SievedLog
from sidecar.cli.stdio import write_error
from sidecar.cli.text import local_time
from sidecar.config.environment import JAILS_FILE
from sidecar.config.settings import Settings
from sidecar.config.units import duration
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.events import Framing, Topology

# The policy without a jails file.
BUILT_IN: Final = "built-in jails"


class Sources(NamedTuple):
    """What is read, as the command line says it. `since` is an age."""

    logs: tuple[str, ...]
    containers: tuple[str, ...]
    since: str
    transport: Framing | None

    @property
    def are_containers(self) -> bool:
        """Whether the logs are those that containers have."""
        return bool(self.containers) or (bool(self.since) and not self.logs)


class Form(NamedTuple):
    """How it is shown."""

    as_json: bool
    as_csv: bool
    only_totals: bool
    wide: bool


def run(
    environ: Mapping[str, str],
    sources: Sources,
    jails: Sequence[Path | None],
    filters: Path | None,
    form: Form,
) -> None:
    """Replay the logs by each of these jails files, of which there are one or two. Raises Failed and ConfigErrors."""
    if sources.logs and sources.containers:
        raise Failed(ExitCode.USAGE, "name log files, or containers by --container, but not both")
    since = time.time() - _age(sources.since) if sources.since else -math.inf
    settings = [read_settings(environ, each, filters) for each in jails]
    for error in dict.fromkeys(str(error) for each in settings for error in each.errors):
        write_error(error)
    names = _names(environ, jails)
    logs, topologies = _logs(sources, settings, since)
    policies = [
        Policy(name, each, topology) for name, each, topology in zip(names, settings, topologies, strict=True)
    ]
    _sieve(logs, policies)
    shown = _meter(sources, form)
    assumptions = list(_assumptions(sources, settings, logs, since))
    # What was made so far lives until the end, and the collector need not go through it again and again.
    gc.freeze()
    replay = Replay(policies, logs, shown, since)
    report = _report(form, shown, assumptions, with_policy=len(policies) > 1)
    try:
        for decided in replay.decisions():
            report.decided(decided)
    finally:
        shown.close()
    report.ended(replay)
    if show_errors(replay):
        raise typer.Exit(ExitCode.NO_INPUT)


def _age(text: str) -> float:
    try:
        return duration(text)
    except ValueError as err:
        raise typer.BadParameter(str(err), param_hint="--since") from None


def _names(environ: Mapping[str, str], jails: Sequence[Path | None]) -> list[str]:
    """Return what the policies of these jails files are called; None is the one in force."""
    paths = [each or Path(environ.get(JAILS_FILE.name) or JAILS_FILE.default) for each in jails]
    names = [path.name if path.exists() else BUILT_IN for path in paths]
    return names if len(set(names)) == len(names) else [str(path) for path in paths]


def _logs(
    sources: Sources, settings: Sequence[Settings], since: float
) -> tuple[Sequence[ReadLog], Sequence[Topology | None]]:
    """Return the logs, and for each policy what the daemon would know of this host; None: the logs are of anywhere."""
    if not sources.are_containers:
        jails = [tuple(each.filters) for each in settings]
        logs = [ReadLog(FileLog(log, sources.transport), jails) for log in sources.logs or ("-",)]
        return logs, [None] * len(settings)
    # docker-py takes a tenth of a second to load.
    from sidecar.cli.replay_host_logs import host_logs, watched_logs  # noqa: PLC0415

    found = host_logs(settings[0], since)
    logs = watched_logs(found, settings, sources.containers, since)
    return logs, [found.topology(each) for each in settings]


def _sieve(logs: Sequence[ReadLog], policies: Sequence[Policy]) -> None:
    """Have other processors read the long ones of these logs, at most one log each."""
    processors = len(os.sched_getaffinity(0))
    long = [each for each in logs if is_long(each.log.name)] if processors > 1 else []
    for each in long[:processors]:
        each.log = SievedLog(each.log, [policy.database for policy in policies])


def _meter(sources: Sources, form: Form) -> Meter:
    if form.as_json or form.as_csv:
        return NO_METER
    return meter(None) if sources.are_containers else meter_of(sources.logs)


def _report(form: Form, shown: Meter, assumptions: Sequence[str], *, with_policy: bool) -> ReplayReport:
    if form.as_json:
        return JsonReport(with_policy=with_policy)
    if form.as_csv:
        return CsvReport(with_policy=with_policy)
    return TextReport(
        shown, assumptions, only_totals=form.only_totals, with_policy=with_policy, wide=form.wide
    )


def _assumptions(
    sources: Sources, settings: Sequence[Settings], logs: Sequence[ReadLog], since: float
) -> Iterator[str]:
    """Yield what may be otherwise for the daemon, in sentences for a person."""
    yield "every client is taken to have sent packets here (no witness is asked), and the ban budget has no end"
    if sources.are_containers:
        yield "the containers, labels and networks are those of now"
    else:
        yield "each jail looks at each line: `logpath`, `containers` and labels are not used"
        if len(logs) > 1:
            yield "a request that two of these logs have counts twice"
    if since > -math.inf:
        yield f"bans and failures from before {local_time(since)} are not known"
    if names := {name for each in settings for name in _host_names(each)}:
        yield f"{len(names)} host names in `ignoreip` are not looked up, so they may be banned"


def _host_names(settings: Settings) -> Iterator[str]:
    yield from settings.allowlist.ignoreip.host_names
    for jail in settings.jails:
        yield from jail.ignore_names
