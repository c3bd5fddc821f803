import pytest

from sidecar.advice.exposure import exposure
from sidecar.advice.unbannable import unbannable_failures
from sidecar.alerts.compose import MAX_SENTENCE_LENGTH
from sidecar.core.allowlist import CONTAINERS, GATEWAY, OWN, PRIVATE, PROXY, RESOLVER, of_cdn
from sidecar.core.containers import Container

REMEDIES = [
    (
        CONTAINERS,
        "or another container has a wrong password. Let the site see the client, or correct the password",
    ),
    (GATEWAY, "Let the site see the client: see docs/allowlist.md."),
    (OWN, "Correct the password of the program on this host"),
    (PROXY, "Let mod_remoteip or real_ip take the client's from X-Forwarded-For."),
    (
        of_cdn("fastly"),
        "Let mod_remoteip or real_ip take the client's from the CDN's header, and let the CDN ban it.",
    ),
    (next(iter(PRIVATE)), "or a client in your network has a wrong password"),
    (RESOLVER, "Let the site see the client: see docs/allowlist.md."),
]


@pytest.mark.parametrize(("reason", "remedy"), REMEDIES)
def test_a_sentence_says_what_happens_why_and_what_to_change(reason, remedy):
    sentence = unbannable_failures("blog", reason, 1_234)

    assert sentence.startswith(
        f"1,234 failures in blog within 10 minutes came from {reason}, which is never banned. "
    )
    assert remedy in sentence


@pytest.mark.parametrize("reason", [reason for reason, _ in REMEDIES])
def test_a_sentence_fits_into_an_alert(reason):
    assert len(unbannable_failures(30 * "b", reason, 100_000)) <= MAX_SENTENCE_LENGTH


def test_where_the_container_is_exposed_that_is_the_remedy():
    exposed = exposure(Container("1", "blog", "wordpress", gateways=("172.18.0.1",), ipv6_proxied=True))

    assert unbannable_failures("blog", CONTAINERS, 101, exposed).endswith(f"never banned. {exposed}.")
