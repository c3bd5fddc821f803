from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.stores.base import PastBansWanted
from tests.support.stored import ANN, BAN


@pytest.mark.parametrize(
    ("wanted", "has"),
    [
        ({}, True),
        ({"since": BAN.at}, True),
        ({"since": BAN.at + 1}, False),
        ({"jail": "wordpress"}, True),
        ({"jail": "mail"}, False),
        ({"site": "s?te"}, True),
        ({"site": "shop-*"}, False),
        ({"address": ANN}, True),
        ({"address": Address("203.0.113.8")}, False),
        # A network has all that it holds.
        ({"address": Address("203.0.113.0/28")}, True),
        ({"address": Address("203.0.113.16/28")}, False),
    ],
)
def test_bans_are_chosen(wanted, has):
    assert PastBansWanted(**wanted).has(BAN) is has


def test_a_ban_of_a_network_is_one_of_its_addresses_too():
    assert PastBansWanted(ANN).has(replace(BAN, address=Address("203.0.113.0/24")))
    assert not PastBansWanted(ANN).has(replace(BAN, address=Address("198.51.100.0/24")))
