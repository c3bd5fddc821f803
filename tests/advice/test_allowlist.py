from sidecar.advice.allowlist import refused_networks, too_much
from sidecar.core.allowlist_bounds import RefusedNetworks


def test_refused_networks_are_named_with_the_reason_and_the_bound():
    sentence = refused_networks([RefusedNetworks("a container network", "0.0.0.0/0")])

    assert sentence.startswith(
        "not allowlisted, because nobody in there could be banned: 0.0.0.0/0 (a container network). "
    )
    assert "count up to a /8 (IPv6: /16)" in sentence


def test_many_refused_networks_are_a_short_sentence():
    many = [RefusedNetworks("a container network", f"{n}.0.0.0/7\x1b{'x' * 900}") for n in range(2_000)]

    assert "1995 more" in refused_networks(many)
    assert len(refused_networks(many)) < 1_200
    assert refused_networks(many).isprintable()
    assert "more" not in refused_networks(many[:5]).partition("Networks of")[0]


def test_too_much_says_how_much_and_for_which_reasons():
    sentence = too_much(4, {"a container network": 0.004, "ignoreip": 0.25})

    assert sentence.startswith(
        "25% of all public IPv4 addresses are on the allowlist, so nobody there is banned: 25.0% as ignoreip, "
        "0.4% as a container network. "
    )
