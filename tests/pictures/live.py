"""The pictures of the dashboards in docs/images, from live data: `.venv/bin/pytest tests/pictures/live.py` (needs npm).

The same daemons, site and Prometheus as in tests/stories/test_dashboards.py, under attack for some minutes. It is no part
of the test suite: it makes files, and takes its time.
"""

import itertools
import json
import os
import random
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from dashboards.__main__ import FOLDER
from tests.pictures.drawing import draw
from tests.stories.test_dashboards import (  # noqa: F401 - fixtures
    asked,
    attacked,
    bed,
    node,
    prometheus,
    redis,
    sidecar,
    site,
    start,
)
from tests.support.paths import ROOT

MINUTES = float(os.environ.get("MINUTES", "10"))
IMAGES = ROOT / "docs/images"
# Board -> how many of its rows are in the picture.
PICTURES = {"wp-sidecar-overview": 4, "wp-sidecar-daemon": 3}


@pytest.fixture(scope="module")
def log():
    """A log with a name that may be seen."""
    log = Path("/tmp/shop/error.log")
    log.parent.mkdir()
    log.touch()
    yield log
    shutil.rmtree(log.parent)


@pytest.fixture
def attack(bed, attacked, site, log):  # noqa: F811
    """Failures of many addresses in the file, and visitors and guesses at the site."""
    strangers = itertools.count(1)
    end = time.monotonic() + MINUTES * 60
    while time.monotonic() < end:
        wave = 1 + 6 * (int(time.monotonic() / 40) % 3 == 0)
        stamp = datetime.now(UTC).strftime("%d-%b-%Y %H:%M:%S UTC")
        with log.open("a") as file:
            for _ in range(random.randrange(2 * wave)):
                # Each has an address of its own, as nobody comes again who is banned. Some give up before.
                address = f"2001:db8:{next(strangers):x}::7"
                line = f"[{stamp}] wordpress(blog)[7]: Authentication failure for admin from {address}\n"
                file.write(line * random.randrange(1, 4))
        bed.visitor.get(site)
        try:
            bed.attacker.get(site, source=random.choice(bed.attacker.v4), timeout=0.5)
        except OSError:
            # Banned.
            time.sleep(0.5)


@pytest.mark.timeout(3600)
def test_draw(prometheus, attack, site):  # noqa: F811
    now = time.time()
    began = now - MINUTES * 60
    for name, rows in PICTURES.items():
        board = json.loads((FOLDER / f"{name}.json").read_text())
        heads = [number for number, panel in enumerate(board["panels"]) if panel["type"] == "row"]
        board["panels"] = board["panels"][: heads[rows] if rows < len(heads) else None]
        answers = {}
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                query = asked(name, target["expr"].replace("$__rate_interval", "30s"), site)
                answer = (
                    prometheus("query", query=query)
                    if target["instant"]
                    else prometheus("query_range", query=query, start=began, end=now, step=5)
                )
                answers.setdefault(panel["id"], {})[target["refId"]] = answer["result"]
        picture = {"board": board, "answers": answers, "from": began, "to": now}
        draw(picture, IMAGES / f"{name.removeprefix('wp-sidecar-')}-dashboard.png")
