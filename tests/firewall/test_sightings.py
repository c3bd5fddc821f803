"""What is asked of the kernel alone; the rest is in test_presence and test_diagnosis, by way of the firewall."""

import pytest

from sidecar.advice.bypass import Facts
from sidecar.core.address import Address
from sidecar.firewall.ruleset import Gate
from sidecar.firewall.sightings import PacketSightings

TABLE = """
table inet wp_sidecar {
  set ports { typeof th dport; elements = { 80, 8443 }
  }
  set ban4 { typeof ip saddr; flags timeout; elements = { 203.0.113.7 }
  }
  set net4 { typeof ip saddr; flags interval, timeout; elements = { 203.0.113.64/27 }
  }
}
"""
WEB = Gate(frozenset({80, 443}))


@pytest.fixture
def witness(host):  # it is entered
    host.nft(TABLE)
    return PacketSightings(host.kernel, lambda: True)


def test_the_ports_are_those_that_the_kernel_closes(witness):
    assert witness.closed(WEB) == {80, 8443}


@pytest.mark.parametrize(
    ("address", "held"),
    [
        ("203.0.113.7", True),
        ("203.0.113.8", False),
        ("203.0.113.65", True),
        ("203.0.113.64/28", True),
        ("203.0.113.64/26", False),  # half of it
        ("2001:db8:1:2::/64", False),
    ],
)
def test_who_is_held(witness, address, held):
    assert witness.look_at(Address(address), WEB, 0.0).held is held


@pytest.mark.usefixtures("host")
def test_without_a_table_nobody_is_seen_or_held(host):
    facts = PacketSightings(host.kernel, lambda: False).look_at(Address("203.0.113.7"), WEB, 0.0)

    assert facts == Facts(
        Address("203.0.113.7"),
        "ban4",
        hooked=False,
        held=False,
        came=False,
        anyone=frozenset(),
        passed=frozenset(),
    )
