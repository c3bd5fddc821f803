"""Bans that were due and not made: reported while they go on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, Protocol

from sidecar.advice.refused_bans import MIN_FAILURES, probable_proxies, without_witness
from sidecar.advice.unbannable import PERIOD_S
from sidecar.app.exposed_containers import ExposedContainers
from sidecar.app.host_network import HostNetwork
from sidecar.core.events import Decision
from sidecar.core.guard import Guard
from sidecar.core.refused_bans import RefusalReason, RefusedBan
from sidecar.runtime.problems import Problems

# The beginnings of the problems' names.
WITNESS_PROBLEM: Final = "addresses in "
PROXY_PROBLEM: Final = "probable proxies of "


class RefusedBanMetrics(Protocol):
    """Counts refused bans."""

    def refused_bans(self, totals: Counter[str]) -> None: ...


class PacketSensor(Protocol):
    """Knows whether packets come to this host: the firewall."""

    def sees_packets(self) -> bool: ...


class RefusedBansReport:
    """A Chore: reports logs that name addresses without a packet, and addresses that look like proxies."""

    def __init__(
        self,
        exposed: ExposedContainers,
        network: HostNetwork,
        sightings: PacketSensor,
        metrics: RefusedBanMetrics,
        problems: Problems,
    ) -> None:
        self._exposed = exposed
        self._network = network
        self._sightings = sightings
        self._metrics = metrics
        self._problems = problems

    def run(self, guard: Guard, now: float) -> Sequence[Decision]:
        self._metrics.refused_bans(guard.view.refused_totals)
        lately = [ban for ban in guard.view.refused_bans if now - ban.last_at <= PERIOD_S]
        self._problems.replace(WITNESS_PROBLEM, dict(self._unwitnessed(lately)))
        self._problems.replace(PROXY_PROBLEM, dict(_proxies(lately)))
        return ()

    def _unwitnessed(self, bans: Iterable[RefusedBan]) -> Iterator[tuple[str, str]]:
        """Yield a problem and its sentence for each log with many such failures, with the most frequent reason."""
        failures = Counter[tuple[str, RefusalReason]]()
        for ban in bans:
            if ban.reason != RefusalReason.PROBABLE_PROXY:
                failures[ban.origin_name, ban.reason] += ban.failures
        sees_packets = not failures or self._sightings.sees_packets()
        for (origin, reason), count in reversed(failures.most_common()):
            if count > MIN_FAILURES:
                exposed = self._exposed.advice(origin)
                sentence = without_witness(
                    origin,
                    reason,
                    count,
                    exposed,
                    sees_packets=sees_packets or self._network.is_ours is True,
                    is_elsewhere=self._network.is_ours is False,
                )
                yield f"{WITNESS_PROBLEM}{origin}", sentence


def _proxies(bans: Iterable[RefusedBan]) -> Iterator[tuple[str, str]]:
    """Yield a problem and its sentence for each jail with probable proxies."""
    by_jail: dict[str, list[RefusedBan]] = defaultdict(list)
    for ban in bans:
        if ban.reason == RefusalReason.PROBABLE_PROXY:
            by_jail[ban.jail].append(ban)
    for jail, refused in by_jail.items():
        addresses = [ban.address for ban in refused]
        failures = sum(ban.failures for ban in refused)
        yield f"{PROXY_PROBLEM}{jail}", probable_proxies(jail, addresses, failures)
