"""Lines a second through the filters: one core, from memory.

fail2ban's own Filter gets the same lines in this process, and a filter as its users write one: once as they run it,
when it finds dates by its default templates, and once with a `datepattern`, which saves it most of its work.
Hyperscan alone searches the same bytes. No two lines are alike, so no remembered date or address is of use. The time
measured is this thread's processor time, so other processes of the machine do not count.
"""

from __future__ import annotations

import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.fail2ban import FILTERS, PEER_FILTER
from bench.figures import Figure, Series
from bench.rig import Rig
from sidecar.core.address import parse_address
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import Filter, load
from sidecar.filters.matcher import Matcher
from tests.filters.oracle import Oracle
from tests.filters.samples import all_samples, ours

NOW = 1_795_336_804.0
FILTER = "wordpress-access"
AGENT = '"https://example.org/shop/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"'
VISIT = '198.51.{0}.{1} - - [{2} +0000] "GET /wp-content/themes/t/{3}.css HTTP/1.1" 200 {3} '
FAILURE = '203.0.{0}.{1} - - [{2} +0000] "POST /wp-login.php HTTP/1.1" 200 {3} '
# About 0.8 MB.
BATCH_LINES = 4_000
TURNS = 30
PEERS_TURNS = 3
# Percentage of failures -> lines a second, and how many times fail2ban's rate.
GOALS = {1: (4_000_000, 200), 50: (600_000, 20)}
# Percentage of Hyperscan's own rate, with 1 % failures.
GOAL_SHARE = 40
# This many jails cost less than that many times one.
JAILS, GOAL_TIMES_ONE = 10, 2
# For all our filters.
GOAL_MEGABYTES = 30
# For one mutated line.
GOAL_WORST_LINE_MS = 20
# 5,000,000 take 8 minutes.
MUTATED_LINES = int(os.environ.get("BENCH_MUTATED", "500000"))
MUTATED_BATCH_LINES = 2_000


def measure(_: Rig) -> Iterator[Figure]:
    matcher = Matcher({FILTER: load(FILTER)})
    for percent, (rate, times) in GOALS.items():
        us, users, told, limit = _rates(matcher, percent)
        name = f"filter_{percent}_percent"
        rates = (us.median, users.median, limit.median)
        yield Figure(name, "lines/s", *rates, at_least=rate, series=(us, users, told, limit))
        yield Figure(f"{name}_times_peer", "x", us.median / users.median, at_least=times)
        yield Figure(f"{name}_told_the_date", "lines/s", us.median, told.median, limit.median)
        yield Figure(f"{name}_times_peer_told_the_date", "x", us.median / told.median)
        if percent == 1:
            share = 100 * us.median / limit.median
            yield Figure(f"{name}_share_of_limit", "%", share, at_least=GOAL_SHARE)
    yield _ten_jails()
    yield Figure("filter_memory", "MB", _memory(), at_most=GOAL_MEGABYTES)
    yield from _mutated()


def _lines(percent: int, turn: int = 0) -> list[str]:
    """Return lines with evenly spread failures. Lines, their dates and their addresses are new in each turn."""
    rnd = random.Random(percent + 100 * turn)  # noqa: S311  no secret
    # Each turn has a minute of its own.
    minute = f"22/Nov/2026:{8 + turn // 60:02d}:{turn % 60:02d}"
    return [
        (FAILURE if n * percent % 100 < percent else VISIT).format(
            rnd.randrange(256), rnd.randrange(256), f"{minute}:{n % 60:02d}", 5_000 + n
        )
        + AGENT
        for n in range(BATCH_LINES)
    ]


def _batch(lines: list[str], *jails: str) -> Batch:
    return Batch(
        Origin("bench", "bench", jails=jails), "".join(f"{line}\n" for line in lines).encode(), Framing.NONE
    )


def _rates(matcher: Matcher, percent: int) -> tuple[Series, Series, Series, Series]:
    """Return our rate, fail2ban's with its default date detection and with our `datepattern`, and Hyperscan's."""
    what = f"{percent} % failures"
    lines = _lines(percent)
    batch = _batch(lines, FILTER)
    users, told = _peer(with_datepattern=False), _peer(with_datepattern=True)
    found = len(matcher.scan(batch, NOW).hits)
    assert [sum(peer.decide(line) is not None for line in lines) for peer in (users, told)] == [found, found]
    return (
        _ours(f"filter, ours, {what}", matcher, percent, FILTER),
        _series(f"filter, fail2ban, {what}", PEERS_TURNS, lambda _: [users.decide(line) for line in lines]),
        _series(
            f"filter, fail2ban told the date, {what}",
            PEERS_TURNS,
            lambda _: [told.decide(line) for line in lines],
        ),
        _series(
            f"filter, Hyperscan alone, {what}",
            TURNS,
            lambda _: matcher.database.scan(batch.data, lambda *_: None),
        ),
    )


def _ours(name: str, matcher: Matcher, percent: int, *jails: str) -> Series:
    """Measure the matcher with lines that it has never seen."""
    parse_address.cache_clear()
    batches = [_batch(_lines(percent, turn), *jails) for turn in range(1, TURNS + 1)]
    return _series(name, TURNS, lambda turn: matcher.scan(batches[turn], NOW))


def _ten_jails() -> Figure:
    """Ten jails with filters of their own beside one with the first of them."""
    own = [*ours(), "wordpress-access[xmlrpc=no]", "wordpress-access[jetpack=no]", "wordpress[_daemon=mine]"]
    names = [*dict.fromkeys([FILTER, *own]), *(f"wordpress[_daemon=blog{n}]" for n in range(JAILS))][:JAILS]
    filters = {name: load(name) for name in names}
    one = _ours("", Matcher({FILTER: filters[FILTER]}), 1, FILTER)
    ten = _ours("", Matcher(filters), 1, *names)
    return Figure("filter_ten_jails", "times one", one.median / ten.median, at_most=GOAL_TIMES_ONE)


def _memory() -> float:
    """Return the resident MB that Hyperscan and all our filters add to a Python with its standard library loaded."""
    script = (
        "import asyncio, http.client, ipaddress, json, logging, re, resource, sqlite3\n"
        "def now():\n    return int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize()\n"
        "before = now()\n"
        "from sidecar.filters.loader import load\nfrom sidecar.filters.matcher import Matcher\n"
        f"matcher = Matcher({{name: load(name) for name in {ours()!r}}})\n"
        "print((now() - before) / 1e6)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(done.stdout)


def _mutated() -> Iterator[Figure]:
    """All our filters on lines of their samples, changed at random: what the worst took, and how memory grew."""
    rnd = random.Random(7)  # noqa: S311  no secret
    filters = {name: load(name) for name in ours()}
    matcher, jails = Matcher(filters), tuple(filters)
    samples = [line.encode(errors="replace") for _, line, _ in all_samples()]
    worst, before = 0.0, 0
    for turn in range(MUTATED_LINES // MUTATED_BATCH_LINES):
        lines = [_changed(rnd.choice(samples), rnd) for _ in range(MUTATED_BATCH_LINES)]
        spent = _seconds(matcher, b"".join(line + b"\n" for line in lines), jails)
        # Only a batch that took longer than the worst line can hold a line that did.
        if spent > worst:
            fresh = _fresh(filters, jails)
            for line in lines:
                spent = _seconds(fresh, line + b"\n", jails)
                if spent > worst:
                    # Something else may have taken the time, so it is tried once more.
                    worst = max(worst, min(spent, _seconds(_fresh(filters, jails), line + b"\n", jails)))
        # By then what is remembered of lines, up to some MB, is full.
        if turn == MUTATED_LINES // MUTATED_BATCH_LINES // 2:
            before = _resident()
    yield Figure("filter_mutated_worst_line", "ms", worst * 1e3, at_most=GOAL_WORST_LINE_MS)
    yield Figure("filter_mutated_growth", "MB", (_resident() - before) / 1e6, at_most=1)


def _fresh(filters: dict[str, Filter], jails: tuple[str, ...]) -> Matcher:
    """Return a matcher that has seen no line, with its scratch space made."""
    matcher = Matcher(filters)
    _seconds(matcher, b"x\n", jails)
    return matcher


def _seconds(matcher: Matcher, data: bytes, jails: tuple[str, ...]) -> float:
    batch = Batch(Origin("bench", "bench", jails=jails), data, Framing.NONE)
    began = time.thread_time()
    matcher.scan(batch, NOW)
    return time.thread_time() - began


def _changed(line: bytes, rnd: random.Random) -> bytes:
    at, upto = sorted(rnd.randrange(len(line) + 1) for _ in range(2))
    match rnd.randrange(4):
        case 0:
            line = line[:at] + line[upto:]
        case 1:
            line = line[:at] + line[at:upto] * rnd.choice((2, 3, 40)) + line[upto:]
        case 2:
            line = line[:at] + rnd.randbytes(rnd.randrange(8)) + line[at:]
        case 3:
            line = line[upto:] + line[:upto]
    return line.replace(b"\n", b"")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _series(name: str, turns: int, run: Callable[[int], object]) -> Series:
    """Measure BATCH_LINES lines in each turn."""
    found = []
    for turn in range(turns):
        began = time.thread_time()
        run(turn)
        found.append(BATCH_LINES / (time.thread_time() - began))
    return Series(name, "lines/s", tuple(found))


def _peer(*, with_datepattern: bool) -> Oracle:
    """Return fail2ban's Filter with its filter file; `with_datepattern`: all of it."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "filter.d").symlink_to(FILTERS)
        return Oracle(PEER_FILTER, {}, Path(folder), with_datepattern=with_datepattern)
