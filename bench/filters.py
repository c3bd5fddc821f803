"""Lines a second through the filter engine: one core, from memory.

fail2ban's own Filter gets the same lines and the same filter file in this process, once as its users run it, finding
dates by its default templates, and once told where the date is (`datepattern`), which spares it most of its work.
Hyperscan alone passes over the same bytes. No two lines are alike, so nothing that was decided once is of use again.
What is measured is this thread's processor time: what else the machine does is not in it.
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

from bench.fail2ban import FILTER, FILTERS
from bench.figures import Figure, Series
from bench.rig import Rig
from sidecar.core.address import address
from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from tests.filters.oracle import Oracle
from tests.filters.samples import all_samples, ours

NOW = 1_795_336_804.0
AGENT = '"https://example.org/shop/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"'
GOOD = '198.51.{0}.{1} - - [22/Nov/2026:08:57:{2:02d} +0000] "GET /wp-content/themes/t/{3}.css HTTP/1.1" 200 {3} '
BAD = '203.0.{0}.{1} - - [22/Nov/2026:08:57:{2:02d} +0000] "POST /wp-login.php HTTP/1.1" 200 {3} '
BATCH = 4_000  # lines; about 0.8 MB
TURNS, PEERS_TURNS = 30, 3
GOALS = {1: (4_000_000, 200), 50: (200_000, 20)}  # % of failures -> lines/s, times fail2ban
SHARE = 40  # % of Hyperscan's own rate, where 1 % are failures
JAILS, TIMES_ONE = 10, 2  # so many jails cost less than so many times one
MEGABYTES = 30  # for all our filters
MUTATED = int(os.environ.get("BENCH_MUTATED", "500000"))  # lines; 5,000,000 take 8 minutes
LONGEST = 20  # milliseconds for one of them
AT_ONCE = 2_000  # mutated lines a batch


def measure(_: Rig) -> Iterator[Figure]:
    matcher = Matcher({FILTER: load(FILTER)})
    for percent, (rate, times) in GOALS.items():
        lines = _lines(percent)
        us, users, told, limit = _rates(matcher, lines, f"{percent} % failures")
        name = f"filter_{percent}_percent"
        rates = (us.median, users.median, limit.median)
        yield Figure(name, "lines/s", *rates, at_least=rate, series=(us, users, told, limit))
        yield Figure(f"{name}_times_peer", "x", us.median / users.median, at_least=times)
        yield Figure(f"{name}_told_the_date", "lines/s", us.median, told.median, limit.median)
        yield Figure(f"{name}_times_peer_told_the_date", "x", us.median / told.median)
        if percent == 1:
            share = 100 * us.median / limit.median
            yield Figure(f"{name}_share_of_limit", "%", share, at_least=SHARE)
    yield _ten_jails()
    yield Figure("filter_memory", "MB", _memory(), at_most=MEGABYTES)
    yield from _mutated()


def _lines(percent: int) -> list[str]:
    """All different, failures evenly among them; addresses are as long as they happen to be."""
    rnd = random.Random(percent)  # noqa: S311  no secret
    return [
        (BAD if n * percent % 100 < percent else GOOD).format(
            rnd.randrange(256), rnd.randrange(256), n % 60, 5_000 + n
        )
        + AGENT
        for n in range(BATCH)
    ]


def _batch(lines: list[str], *jails: str) -> Batch:
    return Batch(
        Origin("bench", "bench", jails=jails), "".join(f"{line}\n" for line in lines).encode(), Framing.NONE
    )


def _rates(matcher: Matcher, lines: list[str], what: str) -> tuple[Series, Series, Series, Series]:
    """Ours, fail2ban's with its default date detection, fail2ban's told the date's pattern, and Hyperscan's."""
    batch = _batch(lines, FILTER)
    hyperscan = matcher._database  # noqa: SLF001  the very one that the matcher has
    users, told = _peer(told=False), _peer(told=True)
    found = len(matcher.scan(batch, NOW))
    assert [sum(peer.tell(line) is not None for line in lines) for peer in (users, told)] == [found, found]
    return (
        _series(f"filter, ours, {what}", TURNS, lambda: _anew(matcher, batch)),
        _series(f"filter, fail2ban, {what}", PEERS_TURNS, lambda: [users.tell(line) for line in lines]),
        _series(
            f"filter, fail2ban told the date, {what}",
            PEERS_TURNS,
            lambda: [told.tell(line) for line in lines],
        ),
        _series(
            f"filter, Hyperscan alone, {what}",
            TURNS,
            lambda: hyperscan.scan(batch.data, match_event_handler=lambda *_: None),
        ),
    )


def _anew(matcher: Matcher, batch: Batch) -> None:
    """As if these lines, their dates and their addresses had never been seen."""
    address.cache_clear()
    for cache in (*matcher._decided, *(cutter._known for cutter in matcher._cutters)):  # noqa: SLF001
        cache.clear()
    matcher.scan(batch, NOW)


def _ten_jails() -> Figure:
    """Ten jails with filters of their own beside one with the first of them."""
    own = [*ours(), "wordpress-access[xmlrpc=no]", "wordpress-access[jetpack=no]", "wordpress[_daemon=mine]"]
    names = [*dict.fromkeys([FILTER, *own]), *(f"wordpress[_daemon=blog{n}]" for n in range(JAILS))][:JAILS]
    rules = {name: load(name) for name in names}
    lines = _lines(1)
    one, ten = Matcher({FILTER: rules[FILTER]}), Matcher(rules)
    took = []
    for matcher, jails in ((one, [FILTER]), (ten, names)):
        batch = _batch(lines, *jails)
        took.append(1 / _series("", TURNS, lambda m=matcher, b=batch: _anew(m, b)).median)
    return Figure("filter_ten_jails", "times one", took[1] / took[0], at_most=TIMES_ONE)


def _memory() -> float:
    """Resident MB that Hyperscan and all our filters add to a Python that has its standard library loaded."""
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
    matcher = Matcher({name: load(name) for name in ours()})
    base = [line.encode(errors="replace") for _, line, _ in all_samples()]
    jails = tuple(ours())
    worst, before = 0.0, 0
    for turn in range(MUTATED // AT_ONCE):
        lines = [_changed(rnd.choice(base), rnd) for _ in range(AT_ONCE)]
        data = b"".join(line + b"\n" for line in lines)
        began = time.thread_time()
        matcher.scan(Batch(Origin("bench", "bench", jails=jails), data, Framing.NONE), NOW)
        spent = time.thread_time() - began
        if spent > worst:  # only a batch that took longer than one line ever did can hold a line that did
            worst = max(worst, *(_one(matcher, line, jails) for line in lines))
        if turn == MUTATED // AT_ONCE // 10:
            before = _resident()
    yield Figure("filter_mutated_worst_line", "ms", worst * 1e3, at_most=LONGEST)
    yield Figure("filter_mutated_growth", "MB", (_resident() - before) / 1e6, at_most=1)


def _one(matcher: Matcher, line: bytes, jails: tuple[str, ...]) -> float:
    batch = Batch(Origin("bench", "bench", jails=jails), line + b"\n", Framing.NONE)
    spent = []
    for _ in range(2):
        began = time.thread_time()
        _anew(matcher, batch)
        spent.append(time.thread_time() - began)
    return min(spent)


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


def _series(name: str, turns: int, run: Callable[[], object]) -> Series:
    """BATCH lines, again and again."""
    found = []
    for _ in range(turns):
        began = time.thread_time()
        run()
        found.append(BATCH / (time.thread_time() - began))
    return Series(name, "lines/s", tuple(found))


def _peer(*, told: bool) -> Oracle:
    """fail2ban's Filter with our filter file; `told`: with its `datepattern` too."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "filter.d").symlink_to(FILTERS)
        return Oracle(FILTER, {}, Path(folder), told=told)
