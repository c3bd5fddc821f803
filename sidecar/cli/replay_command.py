"""The command `replay`: which logs it reads, by which policies, and in which form it shows them."""

from __future__ import annotations

import contextlib
import glob
import math
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import typer

from sidecar.cli.meter import NO_METER, Meter, meter, meter_of
from sidecar.cli.replay import Policy, ReadLog, Replay, read_settings
from sidecar.cli.replay_logs import FileLog, HostLogs, host_logs
from sidecar.cli.replay_report import CsvReport, JsonReport, Report, TextReport, show_errors
from sidecar.cli.stdio import write_error
from sidecar.cli.text import local_time
from sidecar.config.environment import JAILS_FILE
from sidecar.config.settings import Settings
from sidecar.config.units import duration
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.events import Framing
from sidecar.core.text import printable
from sidecar.sources.files.factories import logpaths
from sidecar.sources.files.rotated_path import rotated_files


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
    found = host_logs(settings[0], since) if sources.are_containers else None
    names = [_name(environ, each) for each in jails]
    policies = [
        Policy(name, each, found.topology(each) if found else None)
        for name, each in zip(names, settings, strict=True)
    ]
    files = () if found else sources.logs or ("-",)
    logs = _watched(found, settings, sources, since) if found else _files(files, settings, sources)
    shown = NO_METER if form.as_json or form.as_csv else meter(None) if found else meter_of(files)
    assumptions = list(_assumptions(settings, logs, since, of_containers=found is not None))
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


def _name(environ: Mapping[str, str], jails: Path | None) -> str:
    """Return what the policy of a jails file is called; None: of the one in force."""
    path = jails or Path(environ.get(JAILS_FILE.name) or JAILS_FILE.default)
    return str(path) if path.exists() else "built-in jails"


def _files(files: Sequence[str], settings: Sequence[Settings], sources: Sources) -> list[ReadLog]:
    jails = [tuple(each.filters) for each in settings]
    return [ReadLog(FileLog(log, sources.transport), jails) for log in files]


def _watched(found: HostLogs, settings: Sequence[Settings], sources: Sources, since: float) -> list[ReadLog]:
    """Return the logs of the containers that are named, or of all that are watched, and the files of `logpath`."""
    watched = [found.watched(each) for each in settings]
    names = [printable(each.name) for each in found.containers]
    if unknown := [name for name in sources.containers if name not in names]:
        raise Failed(
            ExitCode.NO_INPUT, f"no container is named {unknown[0]}; there are: {', '.join(sorted(names))}"
        )
    logs = []
    for container in found.containers:
        jails = [each.jails.get(container.id, ()) for each in watched]
        if sources.containers and container.name not in sources.containers:
            continue
        if sources.containers and not any(jails):
            # A person asks for it, so each jail looks at it.
            jails = [tuple(each.filters) for each in settings]
        if any(jails):
            logs.append(ReadLog(found.logs[container.id], jails))
    if not sources.containers:
        logs += _logpaths(settings, since)
    if not logs:
        raise Failed(
            ExitCode.NO_INPUT,
            f"no container is watched; choose one by --container: {', '.join(sorted(names)) or 'none runs here'}",
        )
    return logs


def _logpaths(settings: Sequence[Settings], since: float) -> Iterator[ReadLog]:
    """Yield the files of `logpath`, rotated ones included that are not compressed."""
    jails: dict[str, list[tuple[str, ...]]] = {}
    for number, each in enumerate(settings):
        for pattern, names in logpaths(each.jails).items():
            for path in glob.glob(pattern):  # noqa: PTH207 - a path may be no text
                found = jails.setdefault(path, [()] * len(settings))
                found[number] = tuple(dict.fromkeys((*found[number], *names)))
    for path, names_by_policy in sorted(jails.items()):
        for file in (*(rotated for _, rotated in rotated_files(path)), path):
            with contextlib.suppress(OSError):
                if os.stat(file).st_mtime >= since:  # noqa: PTH116
                    yield ReadLog(FileLog(file, source="file"), names_by_policy)


def _report(form: Form, shown: Meter, assumptions: Sequence[str], *, with_policy: bool) -> Report:
    if form.as_json:
        return JsonReport(with_policy=with_policy)
    if form.as_csv:
        return CsvReport(with_policy=with_policy)
    return TextReport(
        shown, assumptions, only_totals=form.only_totals, with_policy=with_policy, wide=form.wide
    )


def _assumptions(
    settings: Sequence[Settings], logs: Sequence[ReadLog], since: float, *, of_containers: bool
) -> Iterator[str]:
    """Yield what may be otherwise for the daemon, in sentences for a person."""
    yield "every client is taken to have sent packets here (no witness is asked), and the ban budget has no end"
    if of_containers:
        yield "the containers, labels and networks are those of now"
    else:
        yield "each jail looks at each line: `logpath`, `containers` and labels are not used"
    if not of_containers and len(logs) > 1:
        yield "a request that two of these logs have counts twice"
    if since > -math.inf:
        yield f"bans and failures from before {local_time(since)} are not known"
    if names := {name for each in settings for name in _host_names(each)}:
        yield f"{len(names)} host names in `ignoreip` are not looked up, so they may be banned"


def _host_names(settings: Settings) -> Iterator[str]:
    yield from settings.allowlist.ignoreip.host_names
    for jail in settings.jails:
        yield from jail.ignore_names
