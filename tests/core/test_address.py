from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.address import (
    Address,
    first_and_last,
    from_network,
    ip_version,
    is_within,
    neighbourhood,
    overlap,
    parse_address,
    parse_ban_target,
    parse_canonical,
    parse_host,
    parse_ipv4,
    parse_network,
    require_network,
    wider_networks,
)

HOST, NETWORK, CUSTOMER = Address("203.0.113.7"), Address("203.0.113.0/24"), Address("2001:db8:1:2::/64")
ADDRESSES = st.one_of(
    st.tuples(st.integers(0, 2**32 - 1), st.integers(16, 32)),
    st.tuples(st.integers(0, 2**128 - 1), st.integers(32, 64)),
).map(lambda drawn: from_network(ip_network(drawn, strict=False)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:DB8::1]", "2001:db8::/64"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::FFFF:cb00:7107", "203.0.113.7"),
        ("fe80::1%eth0", "fe80::/64"),
        ("999.1.1.1", None),
        ("01.02.03.04", None),
        ("203.0.113", None),
        ("203.0.113.7/24", None),
        ("evil.example", None),
        ("", None),
        ("203.0.113.7\n", None),
    ],
)
def test_the_address_that_a_ban_of_a_client_needs(text, expected):
    assert parse_address(text) == expected
    assert parse_ipv4(text) == (text if expected == text else None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("[2001:db8::1%eth0]", "2001:db8::1"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("203.0.113.0/24", "None"),
    ],
)
def test_a_single_address(text, expected):
    assert str(parse_host(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3/8", "10.0.0.0/8"),
        (" 203.0.113.7 ", "203.0.113.7/32"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("fe80::1%eth0/64", "fe80::/64"),
        ("::ffff:203.0.113.7/120", "203.0.113.0/24"),
        ("::ffff:0.0.0.0/95", "::fffe:0:0/95"),
        ("x", "None"),
        ("", "None"),
    ],
)
def test_a_network_as_people_write_it(text, expected):
    assert str(parse_network(text)) == expected


def test_text_that_has_to_be_a_network_is_refused_with_a_sentence():
    assert str(require_network("10.1.2.3/8")) == "10.0.0.0/8"
    with pytest.raises(
        ValueError, match=r"'router\.example' is neither an address nor a network: write it like"
    ):
        require_network("router.example")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.7", "203.0.113.7"),
        (" 203.0.113.7 ", "203.0.113.7"),
        ("203.0.113.7/32", "203.0.113.7"),
        ("203.0.113.7/24", "203.0.113.0/24"),
        ("203.0.0.0/16", "203.0.0.0/16"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:DB8:0:0:1::1/128", "2001:db8::/64"),
        ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
        ("2001:db8::/32", "2001:db8::/32"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.0/120", "203.0.113.0/24"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_the_target_of_a_persons_ban(text, expected):
    assert parse_ban_target(text) == expected


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("example.com", "is neither an address nor a network: write it like 203.0.113.7"),
        ("", "is neither an address nor a network"),
        ("203.0.113", "is neither an address nor a network"),
        ("203.0.113.7/33", "is neither an address nor a network"),
        ("203.0.113.7; flush ruleset", "is neither an address nor a network"),
        ("0.0.0.0/0", "too wide to ban; the widest is a /16 for IPv4"),
        ("203.0.0.0/15", "203.0.0.0/15: too wide to ban; the widest is a /16 for IPv4"),
        ("2000::/3", "too wide to ban; the widest is a /32 for IPv6"),
        ("::ffff:0.0.0.0/96", "too wide to ban; the widest is a /16 for IPv4"),
        ("::/0", "too wide to ban; the widest is a /32 for IPv6"),
    ],
)
def test_what_a_person_may_not_ban(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        parse_ban_target(text)


@pytest.mark.parametrize("text", [HOST, NETWORK, CUSTOMER, "2001:db8::/32", "203.0.0.0/16"])
def test_canonical_text_is_taken_as_it_is(text):
    assert parse_canonical(text) == text


@pytest.mark.parametrize(
    "text",
    ["203.0.113.7/32", "203.0.113.7/24", "2001:DB8::/64", "2001:db8::1", "203.0.0.0/15", "evil.example", ""],
)
def test_text_in_any_other_form_is_refused(text):
    assert parse_canonical(text) is None


SPELLINGS = st.one_of(
    ADDRESSES,
    st.builds("{}/{}".format, st.sampled_from([HOST, "203.0.113.0", "203.0.0.0", "2001:db8::", "2001:DB8::", "2001:db8:0::",
              "fe80::%eth0", "::", "::ffff:0:0", "01.2.3.0", "1.2.3", "x:y", "[::]"]),
              st.sampled_from(["", "0", "15", "16", "024", "24", "31", "32", "33", "48", "64", "65", "128", "x", "24/24"])),
    st.text("0123456789abcdef:./% ", max_size=20),
)  # fmt: skip


@given(SPELLINGS)
def test_canonical_text_is_what_parsing_leaves_as_it_is(text):
    parsed = parse_address(text)
    if parsed != text:
        try:
            parsed = parse_ban_target(text)
        except ValueError:
            parsed = None

    assert parse_canonical(text) == (text if parsed == text else None)


@given(ADDRESSES)
def test_the_range_of_an_address_is_that_of_its_network(address):
    network = ip_network(address)

    assert parse_canonical(address) == address
    assert ip_version(address) == network.version
    assert first_and_last(address) == (network.version, int(network[0]), int(network[-1]))


@given(ADDRESSES, ADDRESSES)
def test_within_is_the_same_as_a_subnet(inner, outer):
    pair = ip_network(inner), ip_network(outer)

    assert is_within(inner, outer) == (pair[0].version == pair[1].version and pair[0].subnet_of(pair[1]))


@pytest.mark.parametrize(
    ("inner", "outer", "expected"),
    [
        (HOST, HOST, True),
        (HOST, NETWORK, True),
        (NETWORK, NETWORK, True),
        (NETWORK, HOST, False),
        (HOST, Address("198.51.100.0/24"), False),
        (CUSTOMER, Address("2001:db8::/32"), True),
        (HOST, Address("2001:db8::/32"), False),
    ],
)
def test_whether_an_address_is_within_another(inner, outer, expected):
    assert is_within(inner, outer) is expected


def test_the_networks_around_an_address_come_widest_first():
    around = [*wider_networks(HOST)]

    assert (len(around), around[0], around[-1]) == (32, "0.0.0.0/0", "203.0.113.6/31")
    assert [*wider_networks(NETWORK)][-1] == "203.0.112.0/23"


@pytest.mark.parametrize(
    ("address", "network"), [(HOST, NETWORK), (CUSTOMER, None), (Address("198.51.100.0/24"), None)]
)
def test_the_neighbourhood_of_a_host_is_its_24(address, network):
    assert neighbourhood(address) == network


@given(
    st.sampled_from(
        ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "11.0.0.0/8", "2001:db8::/32", "2001:db8:1:2::/64"]
    ),
    st.data(),
)
def test_networks_overlap_as_the_library_says(one, data):
    other = data.draw(
        st.sampled_from(["10.1.2.0/24", "10.1.2.3", "12.0.0.1", "2001:db8:1::/48", "2001:db9::/64"])
    )
    both = ip_network(one), ip_network(other)

    assert overlap(Address(one), Address(other)) == (
        both[0].version == both[1].version and both[0].overlaps(both[1])
    )


@pytest.mark.parametrize(
    "text", ["1::2::3/64", "zz::/48", "2001:db8::1/64", "2001:DB8::/64", "2001:db8::/129"]
)
def test_what_is_no_network_is_not_canonical(text):
    assert parse_canonical(text) is None
