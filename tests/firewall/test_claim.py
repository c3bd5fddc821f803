"""Which process may be the one wp-sidecar of a network namespace. In namespaces with the real kernel."""

import socket
import subprocess
import sys
from contextlib import closing

import pytest

from sidecar.firewall import AlreadyRunning, FirewallClaim
from sidecar.firewall.claim import NAME_IS_TAKEN, SOCKET_NAME, _name

CLAIM = """
import time
from sidecar.firewall import FirewallClaim
claim = FirewallClaim()
print("up", flush=True)
time.sleep(600)
"""
# A process that holds the name, as anybody in the namespace can.
HOLD = """
import socket, sys, time
held = socket.socket(socket.AF_UNIX)
held.bind("\\0wp-sidecar")
if sys.argv[1] == "listens":
    held.listen()
print("up", flush=True)
time.sleep(600)
"""
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--")


class Other:
    """Another process in our namespace, until it is killed."""

    def __init__(self, *argv):
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "up\n"

    def close(self):
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


def test_a_second_process_cannot_claim_until_the_first_is_gone(host):
    with closing(Other(sys.executable, "-c", CLAIM)), pytest.raises(AlreadyRunning, match="stop it first"):
        FirewallClaim()

    # It was killed, so it could not clean up.
    FirewallClaim().close()


def test_the_claim_ends_with_its_close_and_leaves_nothing(host):
    for _ in range(2):
        FirewallClaim().close()

    assert host.nft("list ruleset") == ""


def test_no_other_program_can_end_it(host):
    with closing(FirewallClaim()):
        host.nft("flush ruleset")
        with pytest.raises(subprocess.CalledProcessError):
            host.nft("delete table inet wp_sidecar_running")
        assert "wp_sidecar_running" in host.nft("list tables")


@pytest.mark.parametrize("user", [(), NOBODY])
@pytest.mark.parametrize("how", ["listens", "only binds"])
def test_a_process_that_holds_our_name_does_not_keep_us_from_starting(host, user, how):
    with closing(Other(*user, sys.executable, "-c", HOLD, how)), closing(FirewallClaim()) as claim:
        assert claim.warning == NAME_IS_TAKEN
    with closing(FirewallClaim()) as claim:
        assert claim.warning is None


def test_a_table_of_that_name_without_an_owner_does_not_keep_us_from_starting(host):
    host.nft("add table inet wp_sidecar_running")

    FirewallClaim().close()


def test_where_the_kernel_knows_no_owners_a_process_of_our_user_with_the_name_is_another_wp_sidecar(host):
    with closing(Other(sys.executable, "-c", HOLD, "listens")), pytest.raises(AlreadyRunning):
        _name(is_proof=True)
    for other in (
        (*NOBODY, sys.executable, "-c", HOLD, "listens"),
        (sys.executable, "-c", HOLD, "only binds"),
    ):
        with closing(Other(*other)):
            assert _name(is_proof=True) is None


def test_an_earlier_version_finds_its_name_taken(host):
    with (
        closing(FirewallClaim()),
        socket.socket(socket.AF_UNIX) as earlier,
        pytest.raises(OSError, match="in use"),
    ):
        earlier.bind(SOCKET_NAME)
