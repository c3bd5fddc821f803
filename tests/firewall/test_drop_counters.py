from contextlib import closing

import pytest

from sidecar.firewall.drop_counters import Drops

TABLE = "table inet wp_sidecar {{ counter dropped4 {{ packets {0} bytes {1}\n}}\n}}"


@pytest.fixture
def drops(host):  # it is entered
    with closing(Drops()) as drops:
        yield drops


def test_nothing_was_dropped_where_no_table_is(drops):
    assert drops.read() == {"4": (0, 0), "6": (0, 0)}


def test_a_table_made_anew_is_added_to_the_one_before(host, drops):
    host.nft(TABLE.format(3, 180))
    assert drops.read() == {"4": (3, 180), "6": (0, 0)}

    host.nft("flush ruleset")
    assert drops.read() == {"4": (3, 180), "6": (0, 0)}

    host.nft(TABLE.format(5, 300))
    assert drops.read() == {"4": (8, 480), "6": (0, 0)}


def test_a_table_made_anew_between_two_looks_is_told_by_its_handle(host, drops):
    host.nft(TABLE.format(3, 180))
    drops.read()
    host.nft("flush ruleset\n" + TABLE.format(5, 300))

    assert drops.read() == {"4": (8, 480), "6": (0, 0)}


def test_a_counter_that_someone_reset_does_not_fall(host, drops):
    host.nft(TABLE.format(3, 180))
    drops.read()
    host.nft("reset counters")

    assert drops.read() == {"4": (3, 180), "6": (0, 0)}
