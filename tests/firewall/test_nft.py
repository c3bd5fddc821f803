import subprocess

import pytest

from sidecar.firewall import FirewallError
from sidecar.firewall.nft import Nft


@pytest.fixture
def nft(host):
    return Nft()


def ruleset():
    return subprocess.run(["nft", "list", "ruleset"], check=True, capture_output=True, text=True).stdout


def test_lines_are_one_transaction(nft):
    with pytest.raises(
        FirewallError, match="nft refused a change: Error: Could not process rule: No such file"
    ):
        nft.run(["add table inet one", "flush table inet another"])
    assert ruleset() == ""

    nft.run(["add table inet one", "add table inet another"])
    assert ruleset() == "table inet one {\n}\ntable inet another {\n}\n"
