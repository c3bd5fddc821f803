"""`replay`: the bans that a log would have led to. The engine runs on the log's own time, and nothing is banned."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from sidecar.access.logs import AccessLogs
from sidecar.access.sample import LogSample
from sidecar.app import host
from sidecar.app.allowlist import AllowlistSources
from sidecar.cli.log_lines import decode_line
from sidecar.cli.meter import Meter
from sidecar.cli.replay_logs import LogPart, ReadLog, UnreadableError
from sidecar.cli.replay_totals import Totals
from sidecar.config import labels, log_formats, reader
from sidecar.config.settings import Settings
from sidecar.core.events import Ban, Batch, Decision, Hit, Origin, Topology
from sidecar.core.guard import SWEEP_INTERVAL_S, Guard
from sidecar.core.relayed import related_logs
from sidecar.core.sites import Sites
from sidecar.filters.database import PatternDatabase
from sidecar.filters.log_times import MAX_AHEAD_S
from sidecar.filters.matcher import Matcher
from sidecar.filters.verdict import time_of
from sidecar.runtime.problems import Problems

# A shorter log may have what a server says when it starts, and no request.
MIN_UNREAD_LINES: Final = 20
# This many lines at a log's end may have no time.
MAX_UNDATED_LINES: Final = 100


def read_settings(environ: Mapping[str, str], jails: Path | None, filters: Path | None) -> Settings:
    """Return the settings with this jails file. Log files need not be there. Raises ConfigErrors."""
    return reader.read(environ, jails=jails, filters=filters, look=False)


class Policy:
    """The jails, filters and allowlist of one configuration, at work on the log's own time, as in the daemon."""

    def __init__(self, name: str, settings: Settings, topology: Topology | None = None) -> None:
        """`topology` is what the daemon would know of this host; None: the logs are of anywhere."""
        self.name, self.settings = name, settings
        self.totals = Totals()
        self.problems = Problems()
        containers = topology.containers if topology else ()
        read = labels.read(containers, settings.jails, settings.sources.labels).overrides
        own = host.own_networks() if topology else {}
        sources = AllowlistSources(settings, own, topology, read)
        allowlist, _ = sources.allowlist()
        self._guard = Guard(
            sources.jails(), allowlist, history_age_s=settings.dbpurgeage, max_bans=settings.max_bans
        )
        self._guard.set_overrides(sources.overrides())
        self._guard.set_related_logs(related_logs(containers))
        self._guard.set_sites(
            Sites().with_containers(containers, topology.shared if topology else frozenset())
        )
        declared = log_formats.declared(settings.jails, read, settings.allowlist)
        self._access_logs = AccessLogs(declared)
        self._matcher = Matcher(settings.filters, problems=self.problems, access_logs=self._access_logs)
        self._due = -math.inf

    @property
    def ignored(self) -> list[tuple[str, int]]:
        """How many failures did not count, by reason, the most first."""
        return self._guard.view.ignored.most_common()

    @property
    def database(self) -> PatternDatabase:
        """What finds the lines that may be failures."""
        return self._matcher.database

    @property
    def invalid(self) -> int:
        """How many failures named neither an address nor a host."""
        return self._matcher.invalid

    @property
    def unread_logs(self) -> dict[str, LogSample]:
        """The logs in which requests were looked for and no line was understood, by name."""
        return {
            name: sample
            for (_, name, _), sample in self._access_logs.samples().items()
            if not sample.is_understood and sample.lines >= MIN_UNREAD_LINES
        }

    @property
    def finds_logins(self) -> bool:
        """Whether any filter finds proofs of a login."""
        return any(each.reports_success for each in self.settings.filters.values())

    def hits(self, origin: Origin, part: LogPart, since: float, now: float) -> list[Hit]:
        """Return the hits in a part of a log, from `since` on. Those without a time do not count.

        The daemon does not count them either in a log that it finds: nobody knows when they were written.
        """
        found = self._matcher.scan(Batch(origin, part.data, part.framing), now)
        self.totals.names += len(found.named)
        limit = now + MAX_AHEAD_S
        dated = [hit for hit in found.hits if since <= hit.at < limit and hit.at != now]
        if len(dated) < len(found.hits):
            self.totals.undated += sum(hit.at == now or hit.at >= limit for hit in found.hits)
        self.totals.add_hits(dated)
        return dated

    def take(self, hit: Hit) -> Sequence[Decision]:
        """Return what the daemon would have decided at the time of this hit: unbans that were due, and bans."""
        at = hit.at
        decisions = list(self.until(at)) if at >= self._due else []
        if bans := self._guard.hits(self._guard.located([hit]), at):
            decisions += bans
            for ban in bans:
                if isinstance(ban, Ban):
                    self.totals.add_ban(ban)
            self._due = min(self._due, self._guard.next_tick())
        return decisions

    def until(self, end: float) -> Iterator[Decision]:
        """Yield the bans that end by then, each at its own time, and forget failures that are too old to count."""
        while (due := self._guard.next_tick()) <= end:
            yield from self._guard.tick(due)
        yield from self._guard.tick(end)
        self._due = min(end + SWEEP_INTERVAL_S, self._guard.next_tick())

    def time_of(self, line: bytes, part: LogPart, now: float) -> float | None:
        """Return a line's own time, as the filters read it; None: none of them finds one that is over."""
        text = decode_line(line)
        times = (time_of(each, text, part.framing, now) for each in self.settings.filters.values())
        return next((at for at in times if at is not None and at <= now + MAX_AHEAD_S), None)


Found: TypeAlias = tuple[Policy, Hit]
"""A hit, and the policy whose filter found it. It is a plain tuple, because one is made for each failing line."""


class Decided(NamedTuple):
    """A decision, and the policy that made it."""

    policy: Policy
    decision: Decision


class Replay:
    """Logs, and the policies that decide about them. All logs are read at once, by the time of their failures."""

    def __init__(
        self, policies: Sequence[Policy], logs: Sequence[ReadLog], meter: Meter, since: float = -math.inf
    ) -> None:
        """`since`: failures before this unix time are left out."""
        self.policies, self.logs = policies, logs
        self._meter, self._since = meter, since
        # For dates without a year, and to know what is still to come.
        self._now = time.time()

    def decisions(self) -> Iterator[Decided]:
        """Yield every ban, and every unban that falls within the time of the logs."""
        each = [self._found(log) for log in self.logs]
        last = -math.inf
        for policy, hit in each[0] if len(each) == 1 else heapq.merge(*each, key=_hit_time):
            last = max(last, hit.at)
            for decision in policy.take(hit):
                yield Decided(policy, decision)
        end = max([last, *(log.end for log in self.logs)])
        for policy in self.policies:
            for decision in policy.until(end):
                yield Decided(policy, decision)

    def _found(self, log: ReadLog) -> Iterator[Found]:
        # A container's streams are not in one order.
        newest: dict[str, LogPart] = {}
        begins: dict[str, float] = {}
        try:
            for part in log.log.parts(self._meter):
                newest[part.stream] = part
                if begins.get(part.stream, math.inf) == math.inf:
                    first = part.data[: part.data.find(b"\n")]
                    begins[part.stream] = self._time_of(first, part, math.inf)
                    log.begin = min(log.begin, begins[part.stream])
                log.size += part.size
                found = [
                    [(policy, hit) for hit in self._hits(number, log, part)]
                    for number, policy in enumerate(self.policies)
                ]
                yield from found[0] if len(found) == 1 else heapq.merge(*found, key=_hit_time)
        except UnreadableError as err:
            log.error = str(err)
        for part in newest.values():
            lines = part.data[:-1].split(b"\n")[: -MAX_UNDATED_LINES - 1 : -1]
            times = (self._time_of(line, part, log.end) for line in lines)
            log.end = next((at for at in times if at > log.end), log.end)

    def _hits(self, number: int, log: ReadLog, part: LogPart) -> list[Hit]:
        origin = log.origin(number, part.stream)
        if not origin.jails:
            return []
        return self.policies[number].hits(origin, part, self._since, self._now)

    def _time_of(self, line: bytes, part: LogPart, default: float) -> float:
        times = (policy.time_of(line, part, self._now) for policy in self.policies)
        return next((at for at in times if at is not None), default)


def _hit_time(found: Found) -> float:
    return found[1].at
