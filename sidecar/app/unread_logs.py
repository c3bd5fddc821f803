"""Logs that are read and not understood, and filters that match nothing: reported while that is so.

A site is understood if its own log is, or that of a front end: of `wordpress:fpm` only nginx logs the clients. What is
watched as a front end alone may be a database. Then nothing is wrong, and `status` says that it has no access log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from sidecar.access.logs import LogKey
from sidecar.access.sample import LogSample
from sidecar.advice import unread_logs as advice
from sidecar.config.settings import Settings
from sidecar.core.containers import Container, is_enabled, is_wordpress
from sidecar.core.events import Decision, Topology
from sidecar.core.front_ends import serves_web
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.filters.lint import expects_json_file
from sidecar.filters.loader import Filter, pack
from sidecar.runtime.problems import Problems

# The beginnings of the problems' names.
FORMAT_PROBLEM: Final = "the format of "
FILTER_PROBLEM: Final = "the filter of "
# This many lines that look like failures, with none among them, say that the filter does not fit.
MIN_MISSES: Final = 100
# A log of this many lines is busy.
BUSY_LINES: Final = 10_000
# The official image for the command line, which serves nobody: `wordpress:cli`, `wordpress:cli-php8.3`.
CLI_TAG: Final = ":cli"
NO_REQUESTS: Final = "no requests"
NOT_UNDERSTOOD: Final = "not understood"


class Samples(Protocol):
    """How much of each log is understood."""

    def samples(self) -> Mapping[LogKey, LogSample]: ...


class LogFigures(Protocol):
    """The logs that are read now, by name, and how many lines each jail has looked at."""

    @property
    def states(self) -> Mapping[str, str]: ...
    @property
    def lines(self) -> Mapping[str, int]: ...


class FilterFigures(Protocol):
    """Knows the filters that match nothing."""

    @property
    def misses(self) -> Mapping[str, int]: ...


class CurrentInputs(Protocol):
    """Has the settings and the topology in force."""

    @property
    def settings(self) -> Settings: ...
    @property
    def topology(self) -> Topology: ...


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of a container or a file, with the samples of its streams."""

    source: str
    name: str
    samples: tuple[LogSample, ...]

    @property
    def is_understood(self) -> bool | None:
        """Whether any stream is; None: too few lines were seen."""
        verdicts = {each.is_understood for each in self.samples}
        return True if True in verdicts else False if False in verdicts else None


class UnreadLogs:
    """A Chore. `notes` and `remarks` are for `status`, as of the last time it ran."""

    def __init__(
        self,
        inputs: CurrentInputs,
        samples: Samples,
        logs: LogFigures,
        filters: FilterFigures,
        problems: Problems,
    ) -> None:
        self._inputs, self._samples, self._logs = inputs, samples, logs
        self._filters, self._problems = filters, problems
        # The settings of the last run, and the lines that each jail had looked at when they came.
        self._settings: Settings | None = None
        self._lines_before: Mapping[str, int] = {}
        # Log's name -> what is odd about it.
        self.notes: Mapping[str, str] = {}
        self.remarks: tuple[str, ...] = ()

    def run(self, _guard: Guard, _now: float) -> Sequence[Decision]:
        if self._settings is not self._inputs.settings:
            self._settings, self._lines_before = self._inputs.settings, dict(self._logs.lines)
        logs = self._read_logs()
        sentences = dict(self._formats(logs))
        self._problems.replace(
            FORMAT_PROBLEM, {f"{FORMAT_PROBLEM}{name}": text for name, text in sentences.items()}
        )
        self._problems.replace(
            FILTER_PROBLEM, {f"{FILTER_PROBLEM}{jail}": text for jail, text in self._misfits()}
        )
        bad = [log.name for log in logs.values() if log.is_understood is False]
        self.notes = {name: NOT_UNDERSTOOD if name in sentences else NO_REQUESTS for name in bad}
        self.remarks = tuple(self._idle_filters())
        return ()

    def _read_logs(self) -> dict[str, _Log]:
        """Return the logs in which requests are looked for, by name."""
        streams: dict[tuple[str, str], list[LogSample]] = defaultdict(list)
        for (source, name, _), sample in self._samples.samples().items():
            # Where nobody looked for requests there is no sample.
            if name in self._logs.states and sample.lines:
                streams[source, name].append(sample)
        return {name: _Log(source, name, tuple(found)) for (source, name), found in streams.items()}

    def _formats(self, logs: Mapping[str, _Log]) -> Iterator[tuple[str, str]]:
        """Yield the name of each log that ought to be understood and is not, and what to change."""
        topology = self._inputs.topology
        # A web server on the host may have the requests for a site that nothing else leads to.
        on_host = any(log.source == "file" and log.is_understood for log in logs.values())
        for site in topology.containers:
            if on_host and not any(map(serves_web, (site, *site.front_ends))):
                continue
            if site.name not in topology.front_ends and (found := _unread(site, topology.containers, logs)):
                behind = "" if found.name == site.name else site.name
                yield found.name, self._sentence(found, advice.setting_of_container(found.name), behind)
        for log in logs.values():
            if log.source == "file" and log.is_understood is False:
                jails = [
                    jail.name for jail in self._inputs.settings.jails if jail.reads_requests and jail.logpath
                ]
                yield log.name, self._sentence(log, advice.setting_of_file(jails))

    def _sentence(self, log: _Log, setting: str, behind: str = "") -> str:
        examples = [text for sample in log.samples for text in sample.examples][-3:]
        lines = sum(sample.lines for sample in log.samples)
        declared = next((sample.declared for sample in log.samples if sample.declared), "")
        return advice.not_understood(log.name, lines, examples, setting, behind=behind, declared=declared)

    def _misfits(self) -> Iterator[tuple[str, str]]:
        """Yield each jail with a filter that cannot fit its logs, and what to change."""
        misses, settings = self._filters.misses, self._inputs.settings
        for jail in settings.jails:
            one = settings.filters.get(jail.name)
            if one is None or one.reads_requests or _is_ours(one):
                continue
            if _looks_at_containers(jail) and expects_json_file(one):
                yield jail.name, advice.json_file_wrapping(jail.name, one.name)
            elif misses.get(jail.name, 0) >= MIN_MISSES:
                yield jail.name, advice.matched_nothing(jail.name, one.name, misses[jail.name])

    def _idle_filters(self) -> Iterator[str]:
        """Yield that a person's filter has matched nothing so far in a busy log. Perhaps nobody attacks."""
        settings, misses = self._inputs.settings, self._filters.misses
        for jail in settings.jails:
            lines = self._logs.lines.get(jail.name, 0) - self._lines_before.get(jail.name, 0)
            one = settings.filters.get(jail.name)
            if lines >= BUSY_LINES and one and not _is_ours(one) and jail.name in misses:
                yield advice.idle_filter(jail.name, one.name, lines)


def _unread(site: Container, containers: Iterable[Container], logs: Mapping[str, _Log]) -> _Log | None:
    """Return the log that is to blame where nothing of a site is understood: of its web server, if it is another's."""
    if CLI_TAG in site.image:
        return None
    own = logs.get(site.name)
    if own and own.source == "cri":
        others = [each for each in containers if each != site and _pod_of(each) == _pod_of(site)]
        # A pod's other containers need not have an access log.
        if not (is_wordpress(site) or is_enabled(site) or "wordpress" in site.name.rpartition("/")[2]):
            return None
    else:
        others = [each for each in site.front_ends if serves_web(each)]
    chain = [log for each in (*others, site) if (log := logs.get(each.name))]
    if any(log.is_understood for log in chain):
        return None
    return next((log for log in chain if log.is_understood is False), None)


def _pod_of(container: Container) -> str:
    return container.name.rpartition("/")[0]


def _looks_at_containers(jail: Jail) -> bool:
    return bool(jail.containers) or jail.absent or not jail.logpath


def _is_ours(one: Filter) -> bool:
    return bool(one.files) and all(path.is_relative_to(pack()) for path in one.files)
