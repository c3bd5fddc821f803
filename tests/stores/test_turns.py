"""What one turn of the loop leaves in the file."""

from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.allowed import Allow, Disallow
from sidecar.core.events import Ban, Cursor, Forgiven, Hit, Origin, Turn, Unban
from sidecar.stores.base import Remembered, StoreError
from tests.support.stored import ANN, BAN, BOB, EVIDENCE, LOADED, PAST, PERMANENT, SITE, hit, reopened


def test_a_turn_is_remembered(store, path):
    cursor = Cursor("docker:4f2a", b"\x00any bytes\xff")
    store.apply(Turn(101.0, (BAN, PERMANENT), (hit(99.5), hit(98.25, Address("198.51.100.1"))), (cursor,)))

    assert reopened(path) == Remembered(
        (PERMANENT, LOADED), (), (hit(98.25, Address("198.51.100.1")),), {"docker:4f2a": b"\x00any bytes\xff"}
    )


def test_the_target_of_a_failure_comes_back(store, path):
    aimed = Hit("probes", ANN, 1.0, SITE, "GET /.env", "/.env")
    store.apply(Turn(1.0, hits=(aimed,)))

    assert reopened(path).hits == (aimed,)


def test_what_people_allow_is_remembered_until_its_end_or_until_they_take_it_back(store, path):
    office, laptop = Allow(Address("10.0.0.0/7"), 1.0, comment="office"), Allow(ANN, 2.0, 60.0, "laptop")
    store.apply(Turn(2.0, allow_changes=(office, Allow(BOB, 2.0), laptop, Disallow(BOB, 2.0, "manual"))))

    assert reopened(path).allowed == (office, laptop)
    assert reopened(path, now=60.0).allowed == (office,)
    store.apply(Turn(3.0, allow_changes=(Disallow(office.address, 3.0, "manual"),)))
    store.forget(before=61.0)
    assert reopened(path).allowed == ()


def test_failures_come_back_oldest_first(store, path):
    store.apply(Turn(3.0, hits=(hit(3.0), hit(1.0))))
    store.apply(Turn(4.0, hits=(hit(2.0),)))

    assert reopened(path).hits == (hit(1.0), hit(2.0), hit(3.0))


def test_the_last_cursor_counts(store, path):
    store.apply(Turn(1.0, cursors=(Cursor("file:/log", b"1"), Cursor("file:/log", b"2"))))
    store.apply(Turn(2.0, cursors=(Cursor("file:/log", b"3"),)))

    assert reopened(path).cursors == {"file:/log": b"3"}


def test_a_ban_twice_is_one_ban(store, path):
    longer = Ban("wordpress", ANN, 200.0, 999.0, "manual")
    store.apply(Turn(1.0, (BAN,)))
    store.apply(Turn(2.0, (longer,)))

    assert reopened(path).bans == (longer,)


def test_an_unban_forgives(store, path):
    store.apply(Turn(1.0, (BAN,), (hit(1.0),)))
    store.apply(Turn(2.0, hits=(hit(2.0), hit(2.0, BOB))))
    store.apply(Turn(3.0, (Unban("wordpress", ANN, 3.0, "manual"),)))

    assert reopened(path) == Remembered(hits=(hit(2.0, BOB),))


def test_expired_bans_are_remembered_until_they_are_too_old(store, path):
    store.apply(Turn(1.0, (replace(BAN, ban_count=2), PERMANENT)))
    store.apply(Turn(86_500.0, (Unban("wordpress", ANN, 86_500.0, "expired"),)))
    assert reopened(path, now=86_500.0) == Remembered((PERMANENT,), (PAST._replace(ban_count=2),))

    store.forget(0.0, history_before=86_501.0)
    assert reopened(path).history == ()


def test_a_ban_becomes_history_when_it_expires_or_a_ban_by_hand_replaces_it(store, path):
    by_hand = Ban("wordpress", BOB, 1.0, 99_000.0, "manual")
    store.apply(Turn(1.0, (BAN, replace(BAN, address=BOB, ban_count=4))))
    assert store.load(2.0).history == ()
    store.apply(Turn(2.0, (by_hand,)))

    past = PAST._replace(address=BOB, ban_count=4)
    assert store.load(2.0) == Remembered((by_hand, LOADED), (past,))
    assert store.load(86_500.0) == Remembered((by_hand,), (past, PAST))  # nobody was there when it ended
    store.forget(86_501.0)
    assert reopened(path, now=2.0) == Remembered((by_hand,), (past, PAST))
    assert store.evidence() == {("wordpress", BOB): BAN.evidence}


def test_a_ban_that_expires_in_the_turn_that_made_it_is_history(store, path):
    over, by_hand = Unban("wordpress", ANN, 9.0, "expired"), Ban("wordpress", ANN, 9.0, 99.0, "manual")
    store.apply(Turn(9.0, (BAN, over)))
    assert reopened(path) == Remembered(history=(PAST,))
    store.apply(Turn(9.0, (replace(BAN, ban_count=2, until=9.0), over, by_hand, over)))
    assert reopened(path) == Remembered(history=(PAST._replace(ban_count=2, until=9.0),))
    store.apply(Turn(9.0, (BAN, Unban("wordpress", ANN, 9.0, "manual"), by_hand)))
    assert reopened(path) == Remembered((by_hand,))


def test_an_unban_by_hand_clears_the_history(store, path):
    store.apply(Turn(1.0, (BAN,)))
    store.apply(Turn(2.0, (Unban("wordpress", ANN, 2.0, "manual"),)))

    assert reopened(path) == Remembered()


def test_what_is_forgiven_does_not_come_back(store, path):
    store.apply(
        Turn(3.0, hits=(hit(1.0), hit(2.0), hit(1.0, BOB)), forgiven=(Forgiven("wordpress", ANN, 1.5),))
    )

    assert reopened(path).hits == (hit(1.0, BOB), hit(2.0))


def test_a_dry_run_ban_that_is_enforced_later_keeps_its_lines(store, path):
    store.apply(Turn(1.0, (replace(BAN, dry_run=True),)))
    store.apply(Turn(2.0, (LOADED,)))

    assert (reopened(path).bans, store.evidence()) == ((LOADED,), EVIDENCE)


def test_an_unban_of_the_absent_is_fine(store, path):
    store.apply(Turn(1.0, (Unban("wordpress", ANN, 1.0, "manual"),)))

    assert reopened(path) == Remembered()


def test_a_turn_is_kept_whole_or_not_at_all(store, path):
    broken = Hit("wordpress", Address("198.51.100.1"), 1.0, Origin("docker", "site", object()), "")
    with pytest.raises(StoreError, match="cannot be written"):
        store.apply(Turn(1.0, (BAN,), (hit(1.0), broken), (Cursor("docker:1", b"1"),)))
    store.apply(Turn(2.0, (PERMANENT,)))

    assert reopened(path) == Remembered((PERMANENT,))


def test_the_number_of_failures_is_bounded(store, path, monkeypatch):
    monkeypatch.setattr("sidecar.stores.turns.MAX_HITS", 3)
    store.apply(Turn(9.0, hits=tuple(hit(float(n)) for n in range(10))))
    store.forget(before=0.0)

    assert reopened(path).hits == (hit(7.0), hit(8.0), hit(9.0))
