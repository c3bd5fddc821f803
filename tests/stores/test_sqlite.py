"""What was put into the store is what comes out, whatever happens in between."""

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest

from sidecar.core.address import Address
from sidecar.core.clock_steps import ClockReading
from sidecar.core.events import Cursor, Turn
from sidecar.runtime.clock import HostClock
from sidecar.stores.base import Remembered, StoreError
from sidecar.stores.sqlite import CURSOR_KEPT_S, SqliteStore, stored_bans
from tests.support.stored import BAN, BOB, EVIDENCE, LOADED, PAST, PERMANENT, hit, reopened


def test_a_new_store_is_empty(path):
    assert reopened(path) == Remembered()


def test_evidence_may_be_read_in_any_thread(store):
    store.apply(Turn(1.0, (BAN, PERMANENT)))
    with ThreadPoolExecutor() as threads:
        assert threads.submit(store.evidence).result() == EVIDENCE


def test_evidence_that_could_not_be_written_is_there_too(store, locked):
    with pytest.raises(StoreError):
        store.apply(Turn(1.0, (BAN,)))

    assert store.evidence() == EVIDENCE


def test_evidence_that_cannot_be_read_is_one_sentence(store, path):
    path.unlink()

    with pytest.raises(StoreError, match="cannot be read"):
        store.evidence()


def test_bans_that_have_been_read_are_not_read_again_unless_there_are_others_by_now(store, path):
    store.apply(Turn(1.0, (BAN,)))
    read = stored_bans(path, ClockReading("boot", 2.0, 2.0))
    assert store.load(2.0, read=read).bans is read.bans
    # It was one of those that were read, so it is not of the history yet.
    assert store.load(90_000.0, read=read) == Remembered(read.bans)

    store.apply(Turn(2.0, (PERMANENT,)))
    assert store.load(2.0, read=read).bans == (PERMANENT, LOADED)


def test_bans_that_have_been_read_are_read_again_if_the_clock_was_set_since(path):
    clocks = iter([(5.0, 5.0), (6.0, 1006.0)])

    def clock():
        return HostClock(lambda: wall, lambda: since_boot)

    since_boot, wall = next(clocks)
    with closing(SqliteStore(path, clock())) as store:
        store.apply(Turn(5.0, (BAN,)))
    read = stored_bans(path, clock().reading)
    since_boot, wall = next(clocks)
    with closing(SqliteStore(path, clock())) as store:
        assert [ban.until for ban in store.load(wall, read=read).bans] == [BAN.until + 1000]


def test_expired_bans_are_not_loaded(store):
    store.apply(Turn(1.0, (BAN, PERMANENT)))

    assert store.load(86_499.0).bans == (PERMANENT, LOADED)
    assert store.load(86_500.0).bans == (PERMANENT,)


def test_what_no_window_counts_is_forgotten(store, path):
    store.apply(Turn(0.0, cursors=(Cursor("gone", b""),)))
    store.apply(Turn(30.0, (BAN,), (hit(10.0, BOB), hit(20.0, BOB)), (Cursor("here", b""),)))
    store.forget(before=15.0)
    assert reopened(path) == Remembered((LOADED,), (), (hit(20.0, BOB),), {"gone": b"", "here": b""})

    store.forget(before=15.0 + CURSOR_KEPT_S)
    assert reopened(path) == Remembered(history=(PAST,), cursors={"here": b""})


@pytest.mark.parametrize("damage", ["not a database", "torn pages"])
def test_a_file_that_is_damaged_at_the_start_is_quarantined(path, damage):
    store = SqliteStore(path)
    store.apply(Turn(1.0, hits=[hit(float(n), Address(f"198.51.100.{n % 250}")) for n in range(10_000)]))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(
        b"hello" * 1000 if damage == "not a database" else whole[:8192] + os.urandom(len(whole) - 8192)
    )

    store = SqliteStore(path)
    store.apply(Turn(1.0, (BAN,)))
    found, repaired, anew = store.load(0.0), store.repaired, store.is_new
    store.close()

    assert anew
    [quarantined] = path.parent.glob("*.broken-*")
    assert found == Remembered((LOADED,))
    assert repaired.startswith(f"{path} was damaged (")
    assert repaired.endswith(f"): bans and log positions are lost. Kept: {quarantined}")


def test_a_sound_file_is_not_repaired(store, path):
    assert (store.repaired, store.is_new) == ("", True)
    store.close()
    again = SqliteStore(path)

    assert (again.repaired, again.is_new) == ("", False)
    again.close()


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "state").write_text("a file")

    shut = SqliteStore(tmp_path / "state" / "state.db").unavailable
    assert "cannot be opened" in shut
    assert shut.endswith("its directory has to be writable, with room on the disk")
