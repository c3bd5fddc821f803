"""What others may decide about protection, with the real daemon, a real Docker Engine and a real kernel."""

import pytest

from tests.bed import Bed
from tests.support.running import Running
from tests.support.waiting import wait_until

IMAGE = "debian:trixie-slim"
JAILS = """
[DEFAULT]
# Clients are lines, and send no packets.
witness = off
maxretry = 2
[wordpress]
"""
FAILURE = "wordpress(blog)[7]: Authentication failure for admin from "
ANN, BOB = "203.0.113.7", "203.0.113.8"


@pytest.fixture(scope="module")
def engine():
    with Bed.up() as bed:
        yield bed.engine


@pytest.fixture
def daemon(tmp_path, monkeypatch, engine):
    monkeypatch.setenv("DOCKER_HOST", engine.base_url)
    running = Running(tmp_path)
    (tmp_path / "jails.conf").write_text(JAILS)
    running.start()
    yield running
    running.close()
    engine.clear()


def why(daemon):
    return " ".join(daemon.ask("status")["health"]["why"])


def site(engine, name, *labels, says=""):
    """Run a container with these labels that writes so many failed logins of `says`, and stays."""
    options = [f"--label={label}" for label in labels]
    failures = f"echo '{FAILURE}{says}'; echo '{FAILURE}{says}';" if says else ""
    engine.cli(
        "run", "--detach", "--init", "--name", name, *options, IMAGE, "sh", "-c", f"{failures} sleep 600"
    )


def test_a_network_of_everything_lifts_no_ban_and_is_reported(engine, daemon):
    daemon.ask("ban", who=ANN)
    # This Engine refuses `--ipam-driver null`, which others list as 0.0.0.0/0.
    engine.cli("network", "create", "--subnet", "32.0.0.0/3", "everything")
    engine.cli("network", "create", "--ipv6", "--subnet", "2000::/8", "everything6")
    wait_until(lambda: "32.0.0.0/3 (a container network), 2000::/8 (a container network)" in why(daemon))

    assert daemon.banned() == [ANN]
    daemon.ask("ban", who=BOB)
    assert sorted(daemon.banned()) == [ANN, BOB]
    assert ANN in daemon.table() and "32.0.0.0-" not in daemon.table()
    assert sum(each["ipv4"] for each in daemon.ask("status")["allowlist"]) < 0.01

    engine.cli("network", "rm", "everything", "everything6")
    wait_until(lambda: "(a container network)" not in why(daemon))
