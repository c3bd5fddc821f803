"""What the how-tos configure in other programs, tried with these programs."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import requests

from sidecar.access.detect import AccessLog
from tests.support.markdown import blocks
from tests.support.paths import ROOT
from tests.support.redis_server import free_port
from tests.support.waiting import wait_until

CADDY = shutil.which("caddy", path=str(Path(sys.executable).parent))
(CADDYFILE,) = [
    block.text
    for block in blocks((ROOT / "docs/how-to/caddy.md").read_text())
    if block.language == "caddyfile"
]


@pytest.fixture
def caddy(tmp_path):
    """Caddy with the how-to's site on a port of the loopback: its URL, and its log as the container would have it."""
    url = f"http://127.0.0.1:{free_port()}"
    # Nothing answers at the port of php-fpm, so every request is a 502, which is logged like any other.
    site = CADDYFILE.replace("shop.example", url).replace("wordpress:9000", f"127.0.0.1:{free_port()}")
    config, log = tmp_path / "Caddyfile", tmp_path / "log"
    config.write_text(f"{{\nadmin off\n}}\n{site}")
    home = {name: str(tmp_path) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    with log.open("w") as output:
        process = subprocess.Popen(
            [CADDY, "run", "--config", str(config), "--adapter", "caddyfile"],
            stdout=output, stderr=output, env={**os.environ, **home},
        )  # fmt: skip
        yield url, log
        process.terminate()
        process.wait(60)


def status(url):
    """The status of the answer to a POST; None: nobody listens there yet."""
    try:
        return requests.post(url, timeout=60).status_code
    except requests.ConnectionError:
        return None


def test_caddy_as_in_the_how_to_logs_requests_that_are_understood(caddy):
    url, log = caddy
    wait_until(lambda: status(f"{url}/wp-login.php") == 502, 20, log.read_text)
    wait_until(lambda: "wp-login" in log.read_text())

    (line, *_) = [line for line in log.read_text().splitlines() if "http.log.access" in line]
    reader = AccessLog()
    (request,) = reader.requests(line)
    assert (reader.format, request.client) == ("Caddy JSON", "127.0.0.1")
    assert json.loads(line)["request"]["uri"] == "/wp-login.php"
