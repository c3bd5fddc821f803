"""Lines a second through the matcher, one core, from memory, with Hyperscan alone over the same bytes beside it."""

from __future__ import annotations

import sys
import time

import hyperscan

from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher

NOW = 1_795_336_804.0
AGENT = '"https://example.org/shop/" "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"'
GOOD = (
    '198.51.100.{0} - - [22/Nov/2026:08:57:{1:02d} +0000] "GET /wp-content/themes/t/{0}.css HTTP/1.1" 200 5234 '
    + AGENT
)
BAD = '203.0.113.{0} - - [22/Nov/2026:08:57:{1:02d} +0000] "POST /wp-login.php HTTP/1.1" 200 5234 ' + AGENT
SAID = "wordpress(example.org)[{1}]: Authentication failure for admin from 203.0.113.{0}"
BATCH = 4_000  # lines; about 0.6 MB


def lines(good: str, bad: str, percent: float, stamp: str = "") -> bytes:
    step = round(100 / percent)
    made = [(bad if i % step == 0 else good).format(i % 250, i % 60) for i in range(BATCH)]
    return "".join(f"{stamp}{line}\n" for line in made).encode()


def best(run, turns: int) -> float:
    times = []
    for _ in range(turns):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    rules = {"wordpress": load("wordpress"), "wordpress-access": load("wordpress-access")}
    started = time.perf_counter()
    matcher = Matcher(rules)
    size = len(hyperscan.dumpb(matcher._database)) / 1e6  # noqa: SLF001
    print(f"compile {time.perf_counter() - started:.2f} s, database {size:.1f} MB")
    stamp = "2026-11-22T08:57:49.123456789Z "
    cases = {
        "access log, 1 % failures": (lines(GOOD, BAD, 1), Framing.NONE),
        "access log, 1 % failures, Docker": (lines(GOOD, BAD, 1, stamp), Framing.DOCKER),
        "access log, 50 % failures": (lines(GOOD, BAD, 50), Framing.NONE),
        "access log, 50 % failures, Docker": (lines(GOOD, BAD, 50, stamp), Framing.DOCKER),
        "plugin's messages, 50 % failures, Docker": (lines(GOOD, SAID, 50, stamp), Framing.DOCKER),
    }
    for name, (data, framing) in cases.items():
        origin = Origin("bench", "bench", jails=tuple(rules))
        batch = Batch(origin, data, framing)
        took = best(lambda batch=batch: matcher.scan(batch, NOW), int(sys.argv[1]) if sys.argv[1:] else 10)
        scan = lambda data=data: matcher._database.scan(data, match_event_handler=lambda *_: None)  # noqa: E731, SLF001
        alone = best(scan, 10)
        hits = len(matcher.scan(batch, NOW))
        print(
            f"{name:42} {BATCH / took:12,.0f} lines/s  {hits:5} hits  Hyperscan alone {BATCH / alone:12,.0f} lines/s"
        )


if __name__ == "__main__":
    main()
