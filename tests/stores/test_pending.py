"""What is owed to the file while it cannot be written."""

from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.allowed import Allow, Disallow
from sidecar.core.events import Ban, Cursor, Forgiven, Turn, Unban
from sidecar.stores.base import Remembered, StoreError
from sidecar.stores.pending import MAX_PENDING_HITS, Pending
from tests.support.stored import ANN, BAN, BOB, CID, LOADED, PERMANENT, hit, reopened


def test_what_could_not_be_written_is_written_later(store, path, locked):
    for turn in (
        Turn(1.0, (BAN, PERMANENT), (hit(1.0), hit(1.0, Address("198.51.100.1"))), (Cursor("a", b"1"),)),
        Turn(2.0, (), (hit(2.0, Address("198.51.100.1")),), (Cursor("a", b"2"), Cursor("b", b"1"))),
        Turn(3.0, (Unban("wordpress", ANN, 3.0, "manual"),)),
    ):
        with pytest.raises(StoreError, match="locked"):
            store.apply(turn)
    locked()
    store.forget(before=0.0)

    assert reopened(path) == Remembered(
        (PERMANENT,),
        (),
        (hit(1.0, Address("198.51.100.1")), hit(2.0, Address("198.51.100.1"))),
        {"a": b"2", "b": b"1"},
    )


def test_what_people_allow_waits_with_the_rest_and_the_last_word_of_each_is_written_first(
    store, path, locked, monkeypatch
):
    monkeypatch.setattr("sidecar.stores.pending.MAX_DECISIONS_PER_WRITE", 1)
    laptop = Allow(ANN, 2.0, 60.0, "laptop")
    for turn in (
        Turn(1.0, (PERMANENT,), allow_changes=(Allow(ANN, 1.0), Allow(CID, 1.0))),
        Turn(2.0, (BAN,), allow_changes=(laptop, Disallow(CID, 2.0, "manual"))),
    ):
        with pytest.raises(StoreError, match="locked"):
            store.apply(turn)
    locked()
    store.apply(Turn(3.0))

    assert (len(reopened(path).bans), reopened(path).allowed, store.behind) == (1, (laptop,), True)


def test_what_waits_to_be_written_is_bounded(store, path, locked):
    for n in range(3):
        with pytest.raises(StoreError):
            store.apply(Turn(float(n), hits=tuple(hit(float(n), BOB) for _ in range(MAX_PENDING_HITS))))
    locked()
    store.apply(Turn(3.0, (BAN,)))

    assert (len(reopened(path).hits), reopened(path).bans) == (MAX_PENDING_HITS, (LOADED,))


def test_many_decisions_are_written_over_several_turns_and_the_cursors_last(store, path, monkeypatch):
    monkeypatch.setattr("sidecar.stores.pending.MAX_DECISIONS_PER_WRITE", 2)
    whos = [Address(f"198.51.100.{n}") for n in range(5)]
    bans = [Ban("wordpress", address, 1.0, 9.0, "manual") for address in whos]
    hits = tuple(hit(1.0, address) for address in (*whos, ANN))
    found = []
    for turn in (
        Turn(1.0, tuple(bans), hits, (Cursor("a", b"1"),)),
        Turn(2.0, (Unban("wordpress", whos[4], 2.0, "manual"),), (), (Cursor("a", b"2"),)),
        Turn(3.0),
    ):
        store.apply(turn)
        found.append((len(reopened(path).bans), reopened(path).cursors, reopened(path).hits, store.behind))

    assert found == [
        (2, {}, (), True),
        (4, {}, (), True),
        (4, {"a": b"2"}, (hit(1.0, ANN),), False),
    ]


def test_closing_writes_what_is_owed(store, path, monkeypatch):
    monkeypatch.setattr("sidecar.stores.pending.MAX_DECISIONS_PER_WRITE", 1)
    store.apply(Turn(1.0, (BAN, PERMANENT), cursors=(Cursor("a", b"1"),)))
    store.close()

    assert (reopened(path).bans, reopened(path).cursors) == ((PERMANENT, LOADED), {"a": b"1"})


def test_failures_that_were_decided_about_later_are_not_owed():
    pending = Pending()
    pending.add(Turn(1.0, hits=(hit(1.0), hit(1.0, BOB)), cursors=(Cursor("a", b"1"), Cursor("b", b"1"))))
    owed = pending.add(
        Turn(2.0, (BAN,), cursors=(Cursor("a", b"2"),), forgiven=(Forgiven("wordpress", CID, 1.0),))
    )

    assert owed == Turn(
        2.0,
        (BAN,),
        (hit(1.0, BOB),),
        (Cursor("a", b"2"), Cursor("b", b"1")),
        forgiven=(Forgiven("wordpress", CID, 1.0),),
    )


def test_only_the_last_ban_and_the_last_unban_of_an_address_wait_for_long():
    unban = Unban("wordpress", ANN, 2.0, "manual")
    pending = Pending()
    pending.add(Turn(1.0, (BAN, unban, PERMANENT, replace(BAN, until=9e9), replace(unban, at=3.0))))
    pending.limit()

    assert pending.turn.decisions == (PERMANENT, replace(BAN, until=9e9), replace(unban, at=3.0))
