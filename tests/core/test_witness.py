from sidecar.core.address import Address
from sidecar.core.witness import NO_WITNESS


def test_without_a_witness_every_address_is_taken_for_true():
    assert NO_WITNESS.seen(Address("203.0.113.7")) is True
