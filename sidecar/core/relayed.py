"""A request that passes a front end is logged twice: by the front end, and by the site. It counts once.

Both lines name the same client, are of the same kind and come at nearly the same time. Nothing that a client wrote
decides: a line is the second of a request only where another log of the same chain has had a first one that it can be
paired with, and that one counted. So of a client's requests at least as many count as either log has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from sidecar.core.address import Address
from sidecar.core.bounded_dict import drop_oldest
from sidecar.core.containers import Container
from sidecar.core.events import Hit

# Both servers write their line when the response is sent. A file's dates are whole seconds.
MAX_APART_S: Final = 5.0
# Requests of one client in one jail that wait for a second line: more than any usual `maxretry`, as a log may be read
# after the other one.
MAX_WAITING: Final = 32
# Clients with such requests. One weighs about 300 bytes.
MAX_CLIENTS: Final = 10_000

RelatedLogs: TypeAlias = Mapping[str, frozenset[str]]
"""The name of a log -> the logs that may have a line for the same request."""


@dataclass(slots=True)
class _SeenRequest:
    at: float
    # The logs that have a line for it.
    logs: frozenset[str]


def related_logs(containers: Iterable[Container]) -> dict[str, frozenset[str]]:
    """Return which logs of these containers may have a line for the same request: a site's and its front ends'."""
    related: dict[str, set[str]] = defaultdict(set)
    for site in containers:
        chain = {site.name, *(each.name for each in site.front_ends)}
        for name in chain if len(chain) > 1 else ():
            related[name] |= chain - {name}
    return {name: frozenset(others) for name, others in related.items()}


class RelayedRequests:
    """Knows which hits are the second line of a request."""

    def __init__(self, max_clients: int = MAX_CLIENTS) -> None:
        self.related: RelatedLogs = {}
        self._max_clients = max_clients
        # The client without another request for longest comes first.
        self._waiting: dict[tuple[str, Address, bool], list[_SeenRequest]] = {}

    def is_second(self, hit: Hit) -> bool:
        """Return whether a line of another log was the same request; note the hit, if not."""
        others = self.related.get(log := hit.origin.name)
        if not others:
            return False
        key = hit.jail, hit.address, hit.success
        waiting = self._waiting.pop(key, [])
        self._waiting[key] = waiting
        for request in waiting:
            if request.logs <= others and abs(request.at - hit.at) <= MAX_APART_S:
                request.logs |= {log}
                return True
        waiting.append(_SeenRequest(hit.at, frozenset({log})))
        del waiting[:-MAX_WAITING]
        if len(self._waiting) > self._max_clients:
            drop_oldest(self._waiting)
        return False

    def shift(self, by_s: float) -> None:
        """Move all times, because the clock was set."""
        for waiting in self._waiting.values():
            for request in waiting:
                request.at += by_s
