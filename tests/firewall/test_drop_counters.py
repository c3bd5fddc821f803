from contextlib import closing

import pytest

from sidecar.firewall.drop_counters import DropCounters

TABLE = "table inet wp_sidecar {{ counter dropped4 {{ packets {0} bytes {1}\n}}\n}}"


@pytest.fixture
def drops(host):
    with closing(DropCounters()) as drops:
        yield drops


def test_without_a_table_nothing_was_dropped(drops):
    assert drops.read() == {4: (0, 0), 6: (0, 0)}


def test_the_counts_of_a_new_table_are_added_to_those_of_the_one_before(host, drops):
    host.nft(TABLE.format(3, 180))
    assert drops.read() == {4: (3, 180), 6: (0, 0)}

    host.nft("flush ruleset")
    assert drops.read() == {4: (3, 180), 6: (0, 0)}

    host.nft(TABLE.format(5, 300))
    assert drops.read() == {4: (8, 480), 6: (0, 0)}


def test_a_table_that_was_replaced_between_two_reads_is_noticed_by_its_handle(host, drops):
    host.nft(TABLE.format(3, 180))
    drops.read()
    host.nft("flush ruleset\n" + TABLE.format(5, 300))

    assert drops.read() == {4: (8, 480), 6: (0, 0)}


def test_a_counter_that_was_reset_does_not_fall(host, drops):
    host.nft(TABLE.format(3, 180))
    drops.read()
    host.nft("reset counters")

    assert drops.read() == {4: (3, 180), 6: (0, 0)}
