import pytest

from sidecar.core.address import parse_address, parse_network


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
def test_whom_an_address_stands_for(text, expected):
    assert parse_address(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("203.0.113.7", "203.0.113.7/32"),
        ("2001:db8::1/64", "2001:db8::/64"),
        ("x", "None"),
    ],
)
def test_networks_as_people_write_them(text, expected):
    assert str(parse_network(text)) == expected
