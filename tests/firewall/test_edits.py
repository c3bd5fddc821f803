"""What has to change in a set, and what the kernel makes of it: the same as of nft's language."""

import math
import socket
from contextlib import closing

import pytest

from sidecar.core.address import Address
from sidecar.firewall import FirewallError, edits, ruleset
from sidecar.firewall.desired import DesiredState
from sidecar.firewall.edits import MAX_EDITS, Put, Remove
from sidecar.firewall.nft import Nft
from tests.firewall.decisions import LOGIN
from tests.support.waiting import wait_until

HOUR = 3600.0


@pytest.fixture
def table(host):
    Nft().run(ruleset.structure(DesiredState([LOGIN])))
    return host.kernel


def there(kernel):
    return {name: kernel.elements(name) for name in ("ban4", "ban6") if kernel.elements(name)}


EDITS = [
    Put("ban4", "203.0.113.7", HOUR),
    Put("ban4", "203.0.113.8", math.inf),
    Put("ban6", "2001:db8:1:2::", 0.2),
    Put("ban6", "2001:db8:1:3::", 400 * 86_400.0, is_new=False),
    Remove("ban4", "203.0.113.9"),
]


def test_the_kernel_reads_the_messages_as_it_reads_nfts_language(table):
    table.commit(edits.messages(EDITS))
    ours = there(table)
    Nft().run(["flush set inet wp_sidecar ban4", "flush set inet wp_sidecar ban6"])
    Nft().run(ruleset.element_lines(EDITS))

    assert ours.keys() == there(table).keys()
    for name, found in there(table).items():
        assert ours[name] == pytest.approx(found, abs=1.5)
    assert ours["ban4"][socket.inet_aton("203.0.113.8")] == math.inf


def test_a_ban_for_another_time_replaces_the_first_and_an_absent_element_may_be_removed(table):
    table.commit(edits.messages([Put("ban4", "203.0.113.7", HOUR)]))
    longer = Put("ban4", "203.0.113.7", 9 * HOUR, is_new=False)
    table.commit(edits.messages([longer, Remove("ban4", "203.0.113.8")]))
    assert there(table) == {"ban4": {socket.inet_aton("203.0.113.7"): pytest.approx(9 * HOUR, abs=2)}}

    table.commit(edits.messages([Remove("ban4", "203.0.113.7")]))
    table.commit(edits.messages([Remove("ban4", "203.0.113.7")]))
    assert there(table) == {}


def test_all_or_nothing(table):
    with pytest.raises(FirewallError, match="the kernel refused a change: No such file or directory"):
        table.commit(edits.messages([Put("ban4", "203.0.113.7", HOUR), Put("nowhere", "203.0.113.8", HOUR)]))

    assert there(table) == {}
    # The answers to the failed transaction are not taken for its own.
    table.commit(edits.messages([Put("ban4", "203.0.113.7", HOUR)]))
    assert there(table).keys() == {"ban4"}


def test_the_most_edits_fit_into_a_transaction_even_if_the_elements_are_there_already(table):
    many = [Put("ban6", f"2001:db8:{n:x}::", HOUR, is_new=False) for n in range(MAX_EDITS)]
    table.commit(edits.messages(many))
    table.commit(edits.messages(many))

    # While the kernel resizes a set, it does not report all of its elements.
    wait_until(lambda: len(table.elements("ban6")) == MAX_EDITS)


def test_what_is_no_address_becomes_no_message():
    with pytest.raises(OSError):
        edits.messages([Put("ban4", "localhost", HOUR)])


def test_nothing_to_do_is_no_transaction(table):
    with closing(table):
        table.commit([])


def test_the_difference_of_a_set_is_what_differs_and_nothing_else():
    desired = {
        # As it is.
        Address("203.0.113.1"): 100.0,
        # Someone gave it another time.
        Address("203.0.113.2"): 100.0,
        # Someone took it out.
        Address("203.0.113.3"): 100.0,
        # As it is.
        Address("203.0.113.4"): math.inf,
        # Not for good in the kernel.
        Address("203.0.113.5"): math.inf,
        # About to end, so the kernel may have ended it.
        Address("203.0.113.6"): 1.0,
        # As it is: rounded up, and written a little later.
        Address("203.0.113.7"): 100.0,
    }
    found = {
        bytes([203, 0, 113, 1]): 99.2,
        bytes([203, 0, 113, 2]): 9.0,
        bytes([203, 0, 113, 4]): math.inf,
        bytes([203, 0, 113, 5]): 100.0,
        bytes([203, 0, 113, 7]): 103.0,
        bytes([203, 0, 113, 99]): 100.0,
    }

    assert edits.difference("ban4", desired, found, now=0.0) == [
        Put("ban4", "203.0.113.2", 100.0, is_new=False),
        Put("ban4", "203.0.113.3", 100.0, is_new=True),
        Put("ban4", "203.0.113.5", math.inf, is_new=False),
        Remove("ban4", "203.0.113.99"),
    ]


def test_chunks_keep_every_edit():
    changes = [Remove("ban4", str(n)) for n in range(5)]

    assert edits.chunks(changes, 2) == [changes[:2], changes[2:4], changes[4:]]
    assert edits.chunks([]) == []
