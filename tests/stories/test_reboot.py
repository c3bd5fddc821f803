"""After a reboot: how long a banned client gets answers, without a recipe and with each recipe of docs/firewall.md.

A reboot is played by stopping the engine with all its containers, flushing the kernel's rules, and starting the engine.
"""

import json
import re
import shlex
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.bed import Bed
from tests.bed.clients import STATIC
from tests.bed.images import SIDECAR
from tests.support.compose import composed, site_of
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

FIREWALL = (ROOT / "docs/firewall.md").read_text()
(UNIT,) = re.findall(r"```ini\n(\[Unit\].*?)```", FIREWALL, re.DOTALL)
(COMPOSE,) = re.findall(r"```yaml\n(  wp-sidecar-restore:.*?)```", FIREWALL, re.DOTALL)
PROGRAM = "/usr/local/bin/wp-sidecar"
INSTALLED = Path(sys.executable).with_name("wp-sidecar")


class Poller:
    """Asks for a page all the time, as long as the `with` lasts, and notes when it was answered."""

    def __init__(self, client, site, source):
        self._client, self._site, self._source = client, site, source
        self.answered = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    def _run(self):
        while not self._over.wait(0.02):
            try:
                self._client.get(self._site, STATIC, self._source, timeout=0.5)
            except OSError:
                continue
            self.answered.append(time.monotonic())


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def compose(bed, tmp_path_factory):
    """The checkout's compose file with the recipe's service."""
    folder = tmp_path_factory.mktemp("compose")
    recipe, image = folder / "recipe.yaml", folder / "image.yaml"
    recipe.write_text(f"services:\n{COMPOSE}")
    image.write_text(f'services:\n  wp-sidecar-restore: {{image: "{SIDECAR}"}}\n')
    with composed(bed, "wordpress", folder, recipe, image) as compose:
        yield compose


@pytest.fixture(scope="module")
def site(bed, compose):
    return site_of(bed, "wordpress")


@pytest.fixture
def banned(bed, compose, site):
    """A client that is banned, and out."""
    source = bed.attacker.v4[0]
    health = ("exec", "-T", "wp-sidecar", "wp-sidecar", "healthcheck")
    wait_until(lambda: compose(*health, check=False) == "ok\n", 90)
    compose("exec", "-T", "wp-sidecar", "wp-sidecar", "ban", source, "--for", "1h")
    with pytest.raises(TimeoutError):
        bed.attacker.get(site, source=source, timeout=1)
    return source


@pytest.fixture
def state(bed, compose):
    """The directory of the state volume, as the recipe says how to find it."""
    del compose
    (volume,) = json.loads(bed.engine.cli("volume", "inspect", "wordpress_wp-sidecar").stdout)
    return volume["Mountpoint"]


def reboot(bed):
    """Everything ends, and the kernel has no rules."""
    bed.engine.stop()
    bed.host.run(["nft", "flush", "ruleset"])


def answers(bed, site, banned, start):
    """Return when the banned client was answered while all comes up again."""
    with (
        Poller(bed.attacker, site, banned) as attacker,
        Poller(bed.visitor, site, bed.visitor.v4[0]) as visitor,
    ):
        start()
        wait_until(lambda: visitor.answered, 90)
        wait_until(lambda: "wp_sidecar" in bed.host.run(["nft", "list", "tables"]).stdout, 90)
        # Long enough for an answer that is late.
        threading.Event().wait(2)
    window = attacker.answered[-1] - attacker.answered[0] if attacker.answered else 0.0
    print(f"{len(attacker.answered)} answers within {window:.2f} s, visitor {len(visitor.answered)}")  # noqa: T201
    return attacker.answered


def test_without_a_recipe_there_is_a_window_until_the_container_starts(bed, site, banned):
    reboot(bed)
    answers(bed, site, banned, bed.engine.start)

    # docs/firewall.md has the figures.
    with pytest.raises(TimeoutError):
        bed.attacker.get(site, source=banned, timeout=1)


def test_with_the_systemd_unit_a_banned_client_gets_no_answer(bed, site, banned, state):
    reboot(bed)
    (command,) = re.findall(r"^ExecStart=(.*)$", UNIT, re.MULTILINE)
    program, *arguments = shlex.split(command)
    assert program == PROGRAM
    done = bed.host.run(
        [str(INSTALLED), *arguments], env={"WP_SIDECAR_STATE": state, "PATH": "/usr/sbin:/usr/bin"}
    )
    assert done.stdout == "bans restored: 1\n"
    answered = answers(bed, site, banned, bed.engine.start)

    assert answered == []


def test_with_the_compose_recipe_a_banned_client_gets_no_answer(bed, compose, site, banned):
    """A host on which nothing starts by itself: `docker compose up` follows the reboot."""
    compose("stop")
    reboot(bed)
    bed.engine.start()
    answered = answers(bed, site, banned, lambda: compose("up", "--detach", "--no-build", "wordpress"))

    assert answered == []


def test_the_unit_is_one_that_systemd_accepts(tmp_path):
    unit = tmp_path / "wp-sidecar-restore.service"
    unit.write_text(UNIT.replace(PROGRAM, str(INSTALLED)))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, complaints) == (0, [])
    assert re.findall(r"^(Before|WantedBy)=(.*)$", UNIT, re.MULTILINE) == [
        ("Before", "docker.service"),
        ("WantedBy", "multi-user.target"),
    ]
