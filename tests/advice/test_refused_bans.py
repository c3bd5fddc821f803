import pytest

from sidecar.advice.exposure import exposure
from sidecar.advice.refused_bans import behind_proxy, probable_proxies, without_witness
from sidecar.alerts.compose import MAX_SENTENCE_LENGTH
from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.refused_bans import RefusalReason

NEVER, UNKNOWN = RefusalReason.NEVER_SEEN, RefusalReason.UNKNOWN
EXPOSED = exposure(Container("1", "blog", "wordpress", gateways=("172.18.0.1",), ipv6_proxied=True))
ADDRESSES = [Address(f"203.0.113.{number}") for number in range(100)]
SENTENCES = [
    (without_witness("blog", UNKNOWN, 11, sees_packets=False), ["network_mode: host", "`witness = off`"]),
    (
        without_witness("blog", NEVER, 11, sees_packets=False, is_elsewhere=True),
        ["this is not the host's network", "Set `network_mode: host`", "`witness = off`"],
    ),
    (without_witness("blog", NEVER, 1_234), ["1,234 failures in blog", "`witness = off`", "`port`"]),
    (without_witness("blog", NEVER, 11, EXPOSED), ["They are forged", EXPOSED]),
    (
        without_witness("blog", UNKNOWN, 11, EXPOSED),
        ["younger than ten minutes", "a flood from spoofed addresses?"],
    ),
    (
        probable_proxies("login", ADDRESSES[:1], 7),
        ["203.0.113.0 looks like a proxy or an office", "trusted_proxies"],
    ),
    (
        probable_proxies("login", ADDRESSES, 7_000),
        ["203.0.113.2 and 97 more look like proxies", "7,000 failures"],
    ),
    (
        behind_proxy("traefik", "198.51.100.9", 1_234),
        ["behind the proxy 198.51.100.9", "Ban them at the proxy"],
    ),
]


@pytest.mark.parametrize(("sentence", "facts"), SENTENCES)
def test_a_sentence_says_what_happens_and_what_to_change(sentence, facts):
    assert all(fact in sentence for fact in facts), sentence
    # What is wrong with the container is a long sentence already.
    assert len(sentence.replace(EXPOSED, "")) <= MAX_SENTENCE_LENGTH
