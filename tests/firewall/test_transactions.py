"""Transactions of our own, and whether other programs had any in between."""

import math
import socket

import pytest

from sidecar.firewall import FirewallError, ruleset
from sidecar.firewall.desired import DesiredState
from sidecar.firewall.edits import MAX_EDITS, Put
from sidecar.firewall.transactions import Transactions
from tests.firewall.decisions import LOGIN

STRUCTURE = ruleset.structure(DesiredState([LOGIN]))


@pytest.fixture
def transactions(host):
    """Of a table that is as desired."""
    transactions = Transactions(host.kernel)
    with transactions.comparison():
        transactions.run(STRUCTURE)
    transactions.shape = host.kernel.shape()
    return transactions


def puts(count):
    return [Put("ban4", f"10.0.{n >> 8}.{n & 255}", math.inf) for n in range(count)]


def test_after_transactions_of_our_own_the_table_is_current(transactions):
    transactions.write((), puts(3))
    transactions.write(["add element inet wp_sidecar ports { 8080 }"], puts(3))

    assert transactions.is_current()
    assert transactions.is_intact()


def test_after_a_transaction_of_another_program_it_is_not(host, transactions):
    host.nft("add table ip another")
    assert not transactions.is_current()
    assert transactions.is_intact()

    # Our next one does not hide theirs.
    transactions.write((), puts(1))
    assert not transactions.is_current()


def test_another_structure_is_not_intact(host, transactions):
    host.nft("flush chain inet wp_sidecar prerouting")

    assert not transactions.is_intact()


def test_a_table_that_was_not_written_is_not_intact(host):
    transactions = Transactions(host.kernel)
    with transactions.comparison():
        pass

    assert transactions.is_current()
    assert not transactions.is_intact()


def test_a_failed_transaction_or_comparison_leaves_nothing_known(transactions):
    with pytest.raises(FirewallError):
        transactions.write((), [Put("nowhere", "10.0.0.1", math.inf)])
    assert not transactions.is_current()

    with transactions.comparison():
        pass
    assert transactions.is_current()
    with pytest.raises(ValueError), transactions.comparison():
        raise ValueError
    assert not transactions.is_current()


def test_what_is_forgotten_is_compared_again(transactions):
    transactions.forget()

    assert not transactions.is_current()


def test_lines_and_the_first_edits_are_one_transaction_and_the_rest_are_others(host, transactions):
    before = host.kernel.generation()
    transactions.write(["flush set inet wp_sidecar ban4"], puts(2 * MAX_EDITS + 1))

    assert host.kernel.generation() == before + 3
    assert transactions.is_current()
    assert host.kernel.has("ban4", socket.inet_aton("10.0.0.0"))


def test_nothing_to_write_is_no_transaction(host, transactions):
    before = host.kernel.generation()
    transactions.write((), ())
    transactions.run(())

    assert host.kernel.generation() == before
