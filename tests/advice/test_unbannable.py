import pytest

from sidecar.advice.exposure import exposure
from sidecar.advice.unbannable import MOST, PER, Spared, forged, sentence
from sidecar.core.allowlist import CONTAINERS, GATEWAY, IGNOREIP, OWN, PRIVATE, PROXY, RESOLVER, of_cdn
from sidecar.core.containers import Container


def test_many_failures_of_the_spared_are_told_until_they_are_few():
    spared = Spared()
    spared.failed("blog", CONTAINERS, 0, MOST)
    spared.failed("shop", OWN, 0, 3)
    assert spared.loud(0) == {}

    spared.failed("blog", CONTAINERS, 1)
    assert spared.loud(1) == {("blog", CONTAINERS): MOST + 1}
    spared.failed("blog", CONTAINERS, PER, MOST // 2 + 1)
    assert spared.loud(PER + 60) == {("blog", CONTAINERS): MOST // 2 + 1}  # few enough, yet not half as many

    assert spared.loud(3 * PER) == {}
    assert spared._rates == {}


def test_what_was_asked_for_is_no_news():
    spared = Spared()
    spared.failed("blog", IGNOREIP, 0, 10 * MOST)

    assert spared.loud(0) == {}


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        (CONTAINERS, "The log shows them instead of the client, or another container has a wrong password"),
        (GATEWAY, "The log shows them instead of the client: see docs/allowlist.md."),
        (OWN, "A program here has a wrong password, or a proxy on this host hides the clients."),
        (PROXY, "let mod_remoteip or real_ip take the client from X-Forwarded-For."),
        (
            of_cdn("fastly"),
            "let mod_remoteip or real_ip take the client from the CDN's header, and have the CDN ban it.",
        ),
        (next(iter(PRIVATE)), "or it is one of your own"),
        (RESOLVER, "The log shows them instead of the client."),
    ],
)
def test_a_sentence_says_what_why_and_what_to_do(reason, remedy):
    told = sentence("blog", reason, 1_234)

    assert told.startswith(
        f"1,234 failures in blog within 10 minutes came from {reason}, and those are never banned. "
    )
    assert remedy in told


def test_that_strangers_are_written_into_a_log():
    assert forged("/srv/log", 1_234) == (
        "1,234 times within 10 minutes /srv/log logged the failures of someone who sent no packet here: somebody forges "
        "addresses, and nobody was banned for it. See docs/allowlist.md."
    )


def test_where_the_container_is_exposed_that_is_said():
    exposed = exposure(Container("1", "blog", "wordpress", gateways=("172.18.0.1",), proxied=True))

    assert sentence("blog", CONTAINERS, 101, exposed).endswith(f"never banned. {exposed}.")
