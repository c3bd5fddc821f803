from sidecar.core.address import Address
from sidecar.core.events import Hit, Origin
from sidecar.core.verification import NO_VERIFIER


def test_without_a_verifier_every_address_is_taken_for_true():
    hit = Hit("login", Address("203.0.113.7"), 0.0, Origin("docker", "blog"), "a line")

    assert NO_VERIFIER.unverified_reason(hit) is None
