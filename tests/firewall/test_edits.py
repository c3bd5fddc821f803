"""What the kernel makes of the messages, beside what it makes of nft's language."""

import math
import socket
from contextlib import closing

import pytest

from sidecar.firewall import FirewallError, edits, ruleset
from sidecar.firewall.nft import Nft
from sidecar.firewall.ruleset import Gate, Put, Take
from tests.support.waiting import wait_until

HOUR = 3600.0


@pytest.fixture
def table(host):  # it is entered
    Nft().run(ruleset.structure([Gate(frozenset({80, 443}))], [], frozenset()))
    return host.kernel


def there(kernel):
    return {name: kernel.elements(name) for name in ("ban4", "ban6") if kernel.elements(name)}


EDITS = [
    Put("ban4", "203.0.113.7", HOUR),
    Put("ban4", "203.0.113.8", math.inf),
    Put("ban6", "2001:db8:1:2::", 0.2),
    Put("ban6", "2001:db8:1:3::", 400 * 86_400.0, fresh=False),
    Take("ban4", "203.0.113.9"),
]


def test_the_kernel_reads_the_messages_as_it_reads_nfts_words(table):
    table.commit(edits.messages(EDITS))
    ours = there(table)
    Nft().run(["flush set inet wp_sidecar ban4", "flush set inet wp_sidecar ban6"])
    Nft().run(ruleset.bans(EDITS))

    assert ours.keys() == there(table).keys()
    for name, found in there(table).items():
        assert ours[name] == pytest.approx(found, abs=1.5)
    assert ours["ban4"][socket.inet_aton("203.0.113.8")] == math.inf


def test_a_ban_for_another_time_replaces_the_first_and_who_is_out_may_be_put_out(table):
    table.commit(edits.messages([Put("ban4", "203.0.113.7", HOUR)]))
    longer = Put("ban4", "203.0.113.7", 9 * HOUR, fresh=False)
    table.commit(edits.messages([longer, Take("ban4", "203.0.113.8")]))
    assert there(table) == {"ban4": {socket.inet_aton("203.0.113.7"): pytest.approx(9 * HOUR, abs=2)}}

    table.commit(edits.messages([Take("ban4", "203.0.113.7")]))
    table.commit(edits.messages([Take("ban4", "203.0.113.7")]))
    assert there(table) == {}


def test_all_or_nothing(table):
    with pytest.raises(FirewallError, match="the kernel refused a change: No such file or directory"):
        table.commit(edits.messages([Put("ban4", "203.0.113.7", HOUR), Put("nowhere", "203.0.113.8", HOUR)]))

    assert there(table) == {}
    table.commit(edits.messages([Put("ban4", "203.0.113.7", HOUR)]))  # the answers to the other are not its
    assert there(table).keys() == {"ban4"}


def test_as_many_as_a_transaction_has_fit_into_it_even_where_they_are_there_already(table):
    many = [Put("ban6", f"2001:db8:{n:x}::", HOUR, fresh=False) for n in range(ruleset.CHUNK)]
    table.commit(edits.messages(many))
    table.commit(edits.messages(many))

    wait_until(lambda: len(table.elements("ban6")) == ruleset.CHUNK)  # while a set grows, not all are told of


def test_what_is_no_address_becomes_no_message():
    with pytest.raises(OSError):
        edits.messages([Put("ban4", "localhost", HOUR)])


def test_nothing_to_do_is_nothing_to_say(table):
    with closing(table):
        table.commit([])
