"""Draws a dashboard from Prometheus' answers, with Grafana's own library (npm @grafana/ui, Apache-2.0) and Chromium.

The library, 400 MB with what it needs, is fetched once by npm into the cache, never into the checkout.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wp-sidecar" / "pictures"
WIDTH, ROW = 24 * 66, 38
# Milliseconds of the page's own clock.
DRAWN_WITHIN_MS: Final = 20_000

PAGE = """<!doctype html><meta charset="utf-8"><link rel="stylesheet" href="{style}">
<style>*, *::before, *::after {{ box-sizing: border-box; }} body {{ background: #111217; }} #root {{ position: relative; margin: 8px; }}</style>
<div id="root"></div><script>window.process = {{env: {{}}}}; window.PICTURE = {picture};</script><script src="{script}"></script>
"""


def script() -> Path:
    """Return the page's script, made of `board.tsx` and the library."""
    CACHE.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_text()
    if not (CACHE / "complete").exists() or (CACHE / "complete").read_text() != wanted:
        shutil.copy(HERE / "package.json", CACHE)
        argv = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--legacy-peer-deps"]
        subprocess.run(argv, cwd=CACHE, check=True, timeout=1800)
        (CACHE / "complete").write_text(wanted)
    made = CACHE / "board.js"
    argv = [
        str(CACHE / "node_modules/.bin/esbuild"), str(HERE / "board.tsx"), "--bundle", f"--outfile={made}",
        "--log-level=error", "--loader:.svg=dataurl", '--define:process.env.NODE_ENV="production"', "--define:global=window",
    ]  # fmt: skip
    subprocess.run(
        argv, env={**os.environ, "NODE_PATH": str(CACHE / "node_modules")}, check=True, timeout=600
    )
    return made


def draw(picture: dict[str, object], file: Path) -> None:
    """Write the picture of `{"board", "answers", "from", "to"}`."""
    panels = picture["board"]["panels"]
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "page.html"
        text = json.dumps(picture).replace("</", "<\\/")
        made = script()
        page.write_text(PAGE.format(picture=text, script=made, style=made.with_suffix(".css")))
        argv = [
            "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--allow-file-access-from-files", f"--user-data-dir={folder}/profile",
            f"--window-size={WIDTH + 16},{bottom * ROW + 24}", f"--virtual-time-budget={DRAWN_WITHIN_MS}",
            f"--screenshot={file}", page.as_uri(),
        ]  # fmt: skip
        subprocess.run(argv, check=True, timeout=300, capture_output=True)
