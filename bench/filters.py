"""Lines a second through the filter engine: one core, one jail, from memory.

fail2ban's own Filter gets the same lines in this process; Hyperscan alone passes over the same bytes.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.fail2ban import FILTER, FILTERS
from bench.figures import Figure, Series
from bench.rig import Rig
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from tests.filters.oracle import Oracle

NOW = 1_795_336_804.0
AGENT = '"https://example.org/shop/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"'
GOOD = '198.51.100.{0} - - [22/Nov/2026:08:57:{1:02d} +0000] "GET /wp-content/themes/t/{0}.css HTTP/1.1" 200 5234 '
BAD = '203.0.113.{0} - - [22/Nov/2026:08:57:{1:02d} +0000] "POST /wp-login.php HTTP/1.1" 200 5234 '
BATCH = 4_000  # lines; about 0.8 MB
TURNS, PEERS_TURNS = 30, 3
GOALS = {1: (4_000_000, 200), 50: (200_000, 20)}  # % of failures -> lines/s, times fail2ban
SHARE = 40  # % of Hyperscan's own rate, where 1 % are failures


def measure(_: Rig) -> Iterator[Figure]:
    matcher = Matcher({FILTER: load(FILTER)})
    for percent, (rate, times) in GOALS.items():
        lines = [
            (BAD if n * percent % 100 < percent else GOOD).format(n % 250, n % 60) + AGENT
            for n in range(BATCH)
        ]
        ours, peers, limit = found = _rates(matcher, lines, f"{percent} % failures")
        name = f"filter_{percent}_percent"
        yield Figure(name, "lines/s", *(s.median for s in found), at_least=rate, series=found)
        yield Figure(f"{name}_times_peer", "x", ours.median / peers.median, at_least=times)
        if percent == 1:
            share = 100 * ours.median / limit.median
            yield Figure(f"{name}_share_of_limit", "%", share, at_least=SHARE)


def _rates(matcher: Matcher, lines: list[str], what: str) -> tuple[Series, Series, Series]:
    """Ours, fail2ban's and Hyperscan's."""
    data = "".join(f"{line}\n" for line in lines).encode()
    batch = Batch(Origin("bench", "bench", jails=(FILTER,)), data, Framing.NONE)
    hyperscan = matcher._database  # noqa: SLF001  the very one that the matcher has
    peer = _peer()
    assert sum(peer.tell(line) is not None for line in lines) == len(matcher.scan(batch, NOW))
    return (
        _series(f"filter, ours, {what}", TURNS, lambda: matcher.scan(batch, NOW)),
        _series(f"filter, fail2ban, {what}", PEERS_TURNS, lambda: [peer.tell(line) for line in lines]),
        _series(
            f"filter, Hyperscan alone, {what}",
            TURNS,
            lambda: hyperscan.scan(data, match_event_handler=lambda *_: None),
        ),
    )


def _series(name: str, turns: int, run: Callable[[], object]) -> Series:
    """BATCH lines, again and again."""
    found = []
    for _ in range(turns):
        began = time.perf_counter()
        run()
        found.append(BATCH / (time.perf_counter() - began))
    return Series(name, "lines/s", tuple(found))


def _peer() -> Oracle:
    """fail2ban's Filter with our filter file."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "filter.d").symlink_to(FILTERS)
        return Oracle(FILTER, {}, Path(folder))
