"""What people allow while the daemon runs, with the daemon as a process and a real kernel."""

import json
import signal
import subprocess

import pytest

from tests.support.paths import COMMAND
from tests.support.waiting import wait_until

ANN, BOB, NETWORK = "203.0.113.7", "203.0.113.8", "203.0.113.0/24"


def wp(daemon, *args):
    """Return what the command line prints, and its errors."""
    done = subprocess.run(
        [COMMAND, *args], env=daemon.environ, capture_output=True, text=True, timeout=30, check=False
    )
    return done.stdout + done.stderr


def test_an_allowed_address_is_unbanned_and_passes_and_stays_so_over_a_crash(daemon):
    daemon.start()
    wp(daemon, "ban", NETWORK, "198.51.100.7")
    assert wp(daemon, "allow", ANN, "--comment", "our office").splitlines() == [
        f"{ANN} is never banned for good",
        f"{NETWORK} is unbanned in manual",
    ]

    # The kernel's own accept rule has it, and the ban is gone from the kernel.
    assert ANN in daemon.table() and NETWORK not in daemon.table()
    daemon.fail(ANN, 9)
    daemon.fail(BOB, 3)
    wait_until(lambda: BOB in daemon.banned())
    assert ANN not in daemon.banned()
    assert f"{ANN} is never banned: it is allowed by hand" in wp(daemon, "ban", ANN)

    daemon.end(signal.SIGKILL)
    daemon.start()
    (entry,) = json.loads(wp(daemon, "allowed", "--json"))["allowed"]
    assert (entry["ip"], entry["until"], entry["comment"]) == (ANN, None, "our office")
    assert sorted(daemon.banned()) == ["198.51.100.7", BOB]
    assert daemon.ask("status")["allowed"] == 1
    assert [each["reason"] for each in daemon.ask("status")["allowlist"]].count("allowed by hand") == 1
    assert "allowed by hand: 1" in wp(daemon, "status")

    assert wp(daemon, "disallow", ANN) == f"{ANN} is allowed no more\n"
    assert wp(daemon, "disallow", ANN) == f"{ANN} was not allowed\n"
    wp(daemon, "ban", ANN)
    assert ANN in daemon.banned()
    daemon.end()
    daemon.start()
    assert daemon.ask("allowed")["allowed"] == []
    assert ANN in daemon.banned()
    assert f"Allow {ANN} for good (our office)" in daemon.stderr()
    assert f"Disallow {ANN} (manual)" in daemon.stderr()


def test_what_is_allowed_for_a_time_is_over_after_it(daemon):
    daemon.start()
    wp(daemon, "allow", ANN, "--for", "1s")
    wait_until(lambda: f"Disallow {ANN} (expired)" in daemon.stderr(), timeout=90)

    assert daemon.ask("ban", who=ANN)["banned"]


def test_nobody_allows_everybody(daemon):
    daemon.start()

    assert "nothing was allowed, because 0.0.0.0/0 would be beyond" in wp(daemon, "allow", "0.0.0.0/0")
    assert daemon.ask("allowed")["allowed"] == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_who_has_the_web_port_alone_allows_nothing(daemon, method):
    daemon.start()
    request = json.dumps({"do": "allow", "who": ANN})
    for path in ("/", "/allow", f"/?do=allow&who={ANN}"):
        url = f"http://127.0.0.1:9734{path}"
        status = daemon.inside(
            "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "-d", request, url
        )
        assert status.startswith("4"), (path, status)
    daemon.inside("curl", "-sS", "-o", "/dev/null", f"http://127.0.0.1:9734/?do=allow&who={ANN}")

    assert daemon.ask("allowed")["allowed"] == []
