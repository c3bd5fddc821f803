"""How much of the address space others may put on the allowlist, and how much is on it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core import allowlist_bounds
from sidecar.core.allowlist import CONTAINERS, GATEWAY, IGNOREIP, Allowlist
from sidecar.core.allowlist_bounds import RefusedNetworks, bound, is_narrow_and_public, shares


def refused(*networks):
    return [each.network for each in bound({CONTAINERS: networks}).refused]


@pytest.mark.parametrize(
    "text", ["0.0.0.0/0", "8.0.0.0/7", "128.0.0.0/1", "::/0", "2000::/3", "2a00::/15", "::ffff:0:0/96"]
)
def test_a_wide_network_does_not_count(text):
    assert bound({CONTAINERS: [text]}) == ({CONTAINERS: ()}, (RefusedNetworks(CONTAINERS, text),))


@pytest.mark.parametrize("text", ["9.0.0.0/8", "2a00::/16", "172.17.0.0/16", "203.0.113.7", "2001:db8::1"])
def test_a_network_up_to_the_widest_counts(text):
    assert bound({CONTAINERS: [text]}) == ({CONTAINERS: (text,)}, ())


@pytest.mark.parametrize("text", ["fc00::/7", "10.0.0.0/8", "224.0.0.0/4", "fd00::/8"])
def test_a_network_without_public_addresses_may_be_as_wide_as_it_is(text):
    assert refused(text) == []


def test_all_together_are_bounded_and_the_narrowest_count_first():
    wide = [f"{number}.0.0.0/8" for number in (20, 21, 22, 23)]
    found = bound({CONTAINERS: wide, GATEWAY: ["198.51.100.1"]})

    assert found.accepted == {CONTAINERS: tuple(wide[:3]), GATEWAY: ("198.51.100.1",)}
    assert found.refused == (RefusedNetworks(CONTAINERS, "23.0.0.0/8"),)
    assert refused(*wide) == []
    assert refused(*wide, "2a00::/16") == []


def test_the_networks_of_one_source_are_bounded_in_number(monkeypatch):
    monkeypatch.setattr(allowlist_bounds, "MAX_NETWORKS", 2)
    found = bound(
        {CONTAINERS: ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.2"], GATEWAY: ["198.51.100.1"]}
    )

    assert found.accepted == {CONTAINERS: ("203.0.113.1", "203.0.113.2"), GATEWAY: ("198.51.100.1",)}
    assert found.refused == (RefusedNetworks(CONTAINERS, "203.0.113.3"),)


def test_what_is_no_network_does_not_count():
    assert refused("nonsense", "1.2.3.4/33") == ["nonsense", "1.2.3.4/33"]


NETWORKS = st.one_of(
    st.builds("{}.{}.0.0/{}".format, st.integers(1, 223), st.integers(0, 255), st.integers(0, 32)),
    st.builds("2{:03x}:{:x}::/{}".format, st.integers(0, 0xFFF), st.integers(0, 0xFFFF), st.integers(0, 128)),
)


@given(st.dictionaries(st.sampled_from([CONTAINERS, GATEWAY, IGNOREIP]), st.lists(NETWORKS, max_size=40)))
def test_whatever_others_name_most_addresses_can_be_banned(named):
    found = shares(Allowlist(bound(named).accepted))

    assert sum(found[4].values()) < 0.02
    assert sum(found[6].values()) < 0.001


def test_the_share_is_that_of_public_addresses_by_the_first_reason():
    # 0/8, 10/8, 127/8, 224/3, 100.64/10, 172.16/12, 169.254/16, 192.168/16, 192.0.0/24, 192.88.99/24 and one of Azure's.
    public = 2**32 - sum(2 ** (32 - prefix) for prefix in (8, 8, 8, 3, 10, 12, 16, 16, 24, 24, 32))
    found = shares(
        Allowlist({CONTAINERS: ["172.18.0.0/16", "9.0.0.0/8"], IGNOREIP: ["8.0.0.0/7", "2a00::/16"]})
    )

    assert found[4] == {CONTAINERS: pytest.approx(2**24 / public), IGNOREIP: pytest.approx(2**24 / public)}
    assert found[6][IGNOREIP] == pytest.approx(2**-13, rel=0.01)


def test_everything_is_the_whole_share():
    assert shares(Allowlist({IGNOREIP: ["0.0.0.0/0", "::/0"]})) == {4: {IGNOREIP: 1.0}, 6: {IGNOREIP: 1.0}}


def test_by_itself_nothing_public_is_allowlisted():
    assert shares(Allowlist()) == {4: {}, 6: {}}


@pytest.mark.parametrize(
    ("network", "expected"),
    [
        ("203.0.113.0/24", True),
        ("198.51.100.7", True),
        ("2001:db9::/64", True),
        ("172.18.0.0/16", False),
        ("fd00::/64", False),
        ("8.0.0.0/5", False),
        ("no network", False),
    ],
)
def test_a_narrow_public_network_is_one_that_would_be_accepted(network, expected):
    assert is_narrow_and_public(network) is expected
