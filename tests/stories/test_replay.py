"""`wp-sidecar replay --since` on a real engine: it reads what the containers have logged, and bans whom the daemon bans."""

from __future__ import annotations

import json

import pytest

from tests.bed import Bed
from tests.bed.images import SIDECAR
from tests.support.waiting import wait_until

IMAGE = "debian:trixie-slim"
WATCHED = "--label=wp-sidecar.enable=true"
# Guesses of one address, in the log of the site and in that of its front end; and a line that Docker cuts.
LINE = 'ADDRESS - - [$(date -u +%d/%b/%Y:%H:%M:%S) +0000] "POST /wp-login.php HTTP/1.1" 200 12 "-" "AGENT"'


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


def run(bed: Bed, name: str, address: str, times: int, *options: str, agent: str = "Mozilla") -> None:
    line = LINE.replace("ADDRESS", address).replace("AGENT", agent).replace('"', '\\"')
    script = f'for i in $(seq {times}); do echo "{line}"; done; echo done'
    bed.engine.cli("run", "--detach", f"--name={name}", *options, IMAGE, "sh", "-c", script)
    wait_until(lambda: "done" in bed.engine.cli("logs", name).stdout)


def replay(bed: Bed, *arguments: str) -> tuple[int, list[dict], str]:
    """What it finds in a container that has Docker's socket and nothing else."""
    command = (
        "run", "--rm", f"--volume={bed.engine.lasting}:/var/run/docker.sock", SIDECAR, "replay", "--json", *arguments,
    )  # fmt: skip
    done = bed.engine.cli(*command, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def test_what_the_containers_have_logged_is_replayed(bed):
    run(bed, "blog", "203.0.113.81", 5, WATCHED)
    # It logs to both streams, with a terminal, and a line of more than 16 KiB, which Docker cuts.
    run(bed, "shop", "203.0.113.82", 5, WATCHED, "--tty", agent="M" * 20_000)
    run(bed, "other", "203.0.113.83", 9)

    code, found, err = replay(bed, "--since", "1h")

    assert (code, err) == (0, "")
    assert {each["ip"] for each in found if each["action"] == "ban"} == {"203.0.113.81", "203.0.113.82"}
    assert sorted(each["log"] for each in found[-1]["logs"]) == ["blog", "shop"]
    assert found[-1]["failures"] == 10

    # A person may ask for any container.
    _, found, _ = replay(bed, "--container", "other")
    assert {each["ip"] for each in found if each["action"] == "ban"} == {"203.0.113.83"}
    code, _, err = replay(bed, "--container", "nobody")
    assert (code, "no container is named nobody; there are: blog, other, shop" in err) == (66, True)


def test_a_request_that_a_front_end_logged_too_counts_once(bed):
    bed.engine.cli("network", "create", "chain")
    bed.engine.cli("rm", "--force", "blog", "shop")
    script = LINE.replace("ADDRESS", "203.0.113.84").replace("AGENT", "Mozilla").replace('"', '\\"')
    for name, options in (("site", (WATCHED,)), ("proxy", ("--publish=8082:80",))):
        bed.engine.cli(
            "run", "--detach", "--init", f"--name={name}", "--network=chain", *options, IMAGE, "sh", "-c",
            f'for i in 1 2 3; do echo "{script}"; done; echo done; exec sleep 3600',
        )  # fmt: skip
        wait_until(lambda name=name: "done" in bed.engine.cli("logs", name).stdout)

    code, found, err = replay(bed, "--since", "1h")

    assert (code, err) == (0, "")
    total = found[-1]
    assert sorted(each["log"] for each in total["logs"]) == ["proxy", "site"]
    assert (total["bans"], total["ignored"]) == (0, {"counted in the log of a front end or site": 3})
