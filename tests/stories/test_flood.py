"""A flood in the log of one container, and attackers of another site."""

import shlex
import time

import pytest

from tests.bed import Bed
from tests.bed.daemon import bare
from tests.support.waiting import wait_until

FAILURE = "wordpress(blog)[7]: Authentication failure for admin from "
JAILS = """
[DEFAULT]
# Clients are lines, and send no packets.
witness = off
maxretry = 2
[wordpress]
"""
FLOODS = {
    "harmless lines": "yes AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "failures of one address": f"yes '{FAILURE}198.51.100.7'",
    "failures of many addresses": (
        f"perl -e 'while (1) {{ printf \"{FAILURE}198.%d.%d.%d\\n\", 18 + rand 2, rand 256, rand 256 }}'"
    ),
}


@pytest.fixture(scope="module")
def engine():
    with Bed.up(daemon=bare()) as bed:
        yield bed.engine


def run(engine, name, command, *options):
    """Run a watched container with this command."""
    label, rotated = "--label=wp-sidecar.enable=true", ("--log-opt=max-size=20m", "--log-opt=max-file=2")
    image = ("debian:trixie-slim", "bash", "-c", command)
    engine.cli("run", "--detach", "--init", "--name", name, label, *rotated, *options, *image)


def attack(engine, address):
    """Fail twice at the shop."""
    line = f"echo {shlex.quote(FAILURE + address)} > /proc/1/fd/1"
    engine.cli("exec", "shop", "sh", "-c", f"{line}; {line}")


def ban_of(daemon, address):
    """Return the ban of this address, where there is one."""
    jails = daemon.ask("explain", who=address)["jails"]
    return next((jail["ban"] for jail in jails if jail["ban"]), None)


@pytest.mark.parametrize("flood", FLOODS)
def test_attackers_of_a_site_are_banned_while_another_log_is_flooded(engine, daemon, flood):
    """In what order the logs are read is a test of the loop."""
    run(engine, "shop", "exec sleep 3600")
    run(engine, "evil", FLOODS[flood], "--cpus=0.3")
    wait_until(lambda: {each["container"] for each in daemon.ask("status")["streams"]} == {"shop", "evil"})
    # A backlog has built up by then, if one does.
    time.sleep(5)
    for address in (f"203.0.113.{n}" for n in range(10, 20)):
        attack(engine, address)
        wait_until(lambda address=address: ban_of(daemon, address), timeout=60)

    assert engine.cli("inspect", "--format={{.State.Running}}", "evil").stdout.strip() == "true"
