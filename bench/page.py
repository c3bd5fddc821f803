"""How long a browser takes for the status page with 10,000 bans: the page, a search, and another order.

Chromium runs in the daemon's network namespace: `python -m bench.page` is what opens the page there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bench.figures import Figure, Series
from bench.rig import Rig
from bench.storm import Daemon, place, remember

BANS = 10_000
LOADS = 9
# Browsers without a login have the page 60 times a minute.
PAUSE_S = 1.0
ROWS = "#bans ~ table tbody tr"
PAGES = {
    "page_10000_bans": ("", BANS),
    "page_10000_bans_search": ("?q=198.18.1", 2_000),
    "page_10000_bans_newest": ("?order=newest", BANS),
}
# From the click to the picture: a frame is drawn between two animation frames.
SHOWN = """
const done = arguments[arguments.length - 1];
requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
"""


def measure(_: Rig) -> Iterator[Figure]:
    with place() as host, Daemon(host) as ours:
        remember(ours.folder / "state", BANS)
        ours.ready()
        found = json.loads(host.run([sys.executable, "-m", "bench.page"], timeout=300).stdout)
    for name, loads in found.items():
        took, work = (tuple(each[number] for each in loads) for number in (0, 1))
        by_clock, of_processor = (
            Series(name, "s", took),
            Series(f"{name}, Chromium's processor time", "s", work),
        )
        yield Figure(name, "s", by_clock.median, at_most=1, series=(by_clock,))
        yield Figure(f"{name}_work", "s", of_processor.median, series=(of_processor,))


def _browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(option)
    return webdriver.Chrome(options, Service(shutil.which("chromedriver")))


def _shown(browser: webdriver.Chrome, query: str, least: int) -> tuple[float, float]:
    """Return the seconds from the request until all of the page is drawn, and those of the processor."""
    time.sleep(PAUSE_S)
    before = _work()
    browser.get(f"http://127.0.0.1:9734/{query}")
    took: float = browser.execute_async_script(SHOWN)
    work = _work() - before
    rows = browser.execute_script(f"return document.querySelectorAll('{ROWS}').length")
    assert rows >= least, (query, rows)
    return took / 1000, work


def _work() -> float:
    """Return the processor time of Chromium's processes so far: those of this network namespace with its name."""
    here, ticks = Path("/proc/self/ns/net").readlink(), 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "ns/net").readlink() == here and (process / "comm").read_text().startswith(
                "chromium"
            ):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        except OSError:
            # It has ended.
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the seconds of each load, by the name of the figure, as JSON."""
    browser = _browser()
    try:
        _shown(browser, "", BANS)
        found = {
            name: [_shown(browser, query, least) for _ in range(LOADS)]
            for name, (query, least) in PAGES.items()
        }
    finally:
        browser.quit()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
