"""Disks that are full, go read-only or damage the file while it is in use: bans go on, and the store recovers."""

import math
import os
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban, Cursor, Hit, Origin, Turn, Unban
from sidecar.stores.base import Remembered, StoreError
from sidecar.stores.sqlite import SqliteStore
from tests.support.disks import fill, in_own_mounts, mount, mount_small_disk
from tests.support.stored import reopened

ANN, BOB, CID = Address("203.0.113.7"), Address("203.0.113.8"), Address("198.51.100.1")
SITE = Origin("docker", "site", "stdout")
BAN = Ban("wordpress", ANN, 100.0, 86_500.0, "failures", 3, "site", ("first", "second"))
OFFICE = Allow(Address("198.51.100.0/24"), 1.0, comment="office")
LATER_BAN = Ban("wordpress", BOB, 200.0, math.inf, "manual")
LOADED = replace(BAN, evidence=(), decided_at=0.0)


def hit(at, address=CID, line="a line"):
    return Hit("wordpress", address, at, SITE, line)


def fail(store, turn, why):
    with pytest.raises(StoreError, match=why):
        store.apply(turn)


def test_on_a_full_disk_everything_is_owed_until_there_is_room_again(tmp_path):
    def story():
        mount_small_disk(tmp_path)
        path, rest = tmp_path / "state.db", tmp_path / "rest"
        with closing(SqliteStore(path)) as store:
            store.apply(Turn(1.0, (BAN,), cursors=(Cursor("docker:1", b"1"),)))
            fill(rest)
            big = [hit(2.0, line="x" * 2000) for _ in range(100)]
            fail(store, Turn(2.0, (LATER_BAN,), tuple(big), (Cursor("docker:1", b"2"),)), "full")
            fail(store, Turn(3.0, cursors=(Cursor("docker:1", b"3"),)), "full")
            # The cursor is not ahead of what it stands for.
            assert stored_cursors(path) == {"docker:1": b"1"}

            rest.unlink()
            store.forget(before=0.0)
        found = reopened(path)
        assert (found.bans, found.cursors) == ((LOADED, LATER_BAN), {"docker:1": b"3"})
        assert len(found.hits) == 100

    in_own_mounts(story)


def stored_cursors(path):
    """What somebody reads who does not write."""
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as db:
        return dict(db.execute("SELECT key, state FROM cursors"))


def test_a_disk_that_goes_read_only_is_an_error_and_not_the_end(tmp_path):
    """As ext4 does when it finds a fault."""
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()

    def story():
        with image.open("wb") as file:
            file.truncate(8 * 1024 * 1024)
        subprocess.run(["mkfs.ext4", "-q", image], check=True, timeout=60)
        mount("-o", "loop,errors=remount-ro", image, folder)
        with closing(SqliteStore(folder / "state.db")) as store:
            store.apply(Turn(1.0, (BAN,)))
            [device] = [
                line.split()[0]
                for line in Path("/proc/thread-self/mounts").read_text().splitlines()
                if str(folder) in line
            ]
            Path(f"/sys/fs/ext4/{Path(device).name}/trigger_fs_error").write_text("1")

            fail(store, Turn(2.0, (LATER_BAN,)), "cannot be written")
            fail(store, Turn(3.0, cursors=(Cursor("docker:1", b"3"),)), "cannot be written")
            assert store.evidence() == {("wordpress", ANN): ("first", "second")}

    in_own_mounts(story)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.db"


def damage(path):
    """As a bad sector: what is in the file is not what was written. Nothing of it is in anyone's memory."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("INSERT INTO cursors VALUES ('other', '', 0)")  # so that pages are read anew
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(size - 4096))


def test_a_file_that_is_damaged_while_we_run_is_replaced_by_one_with_all_that_is_in_force(path):
    with closing(SqliteStore(path)) as store:
        in_force = Remembered((LOADED, LATER_BAN), (PastBans("probes", BOB, 3, 99.0),), allowed=(OFFICE,))
        store.apply(
            Turn(
                1.0,
                (BAN,),
                (hit(1.0),),
                (Cursor("docker:1", b"1"), Cursor("file:/log", b"1")),
                in_force=in_force,
            )
        )
        damage(path)
        with pytest.raises(StoreError) as told:
            store.apply(Turn(2.0, (LATER_BAN,), (hit(2.0),), (Cursor("docker:1", b"2"),), in_force=in_force))
        store.apply(Turn(3.0, cursors=(Cursor("docker:1", b"3"),), in_force=in_force))
        store.forget(before=0.0, in_force=in_force)

    [quarantined] = path.parent.glob("*.broken-*")
    assert str(told.value) == (
        f"{path} was damaged (database disk image is malformed): bans, history and log positions are in a new file; "
        f"failures counted so far are lost at the next start. Kept: {quarantined}"
    )
    assert reopened(path) == Remembered(
        (LOADED, LATER_BAN),
        (PastBans("probes", BOB, 3, 99.0),),
        (hit(2.0),),
        {"docker:1": b"3", "file:/log": b"1"},
        (OFFICE,),
    )


def test_damage_where_a_start_does_not_look_costs_no_ban(path):
    with closing(SqliteStore(path)) as store:
        store.apply(Turn(1.0, (BAN,)))
    with closing(sqlite3.connect(path)) as db:
        ((root,),) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'evidence'")
        ((size,),) = db.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(size))

    with closing(SqliteStore(path)) as store:
        found = store.load(0.0)
        in_force = found
        assert (found.bans, store.repaired) == ((LOADED,), "")
        with pytest.raises(StoreError, match="cannot be read"):
            store.evidence()
        with pytest.raises(StoreError, match="was damaged"):
            store.apply(Turn(2.0, (replace(BAN, address=BOB),), in_force=in_force))
    assert reopened(path).bans == (LOADED, replace(LOADED, address=BOB))


def test_a_file_that_is_taken_away_is_made_again(path):
    with closing(SqliteStore(path)) as store:
        in_force = Remembered((LOADED,))
        store.apply(Turn(1.0, (BAN,), cursors=(Cursor("docker:1", b"1"),), in_force=in_force))
        store.forget(before=0.0, in_force=in_force)
        for file in path.parent.iterdir():
            file.unlink()
        path.parent.rmdir()
        with pytest.raises(StoreError, match=r"was damaged .it was taken away.: .* at the next start\.$"):
            store.forget(before=0.0, in_force=in_force)
        store.forget(before=0.0, in_force=in_force)
    assert reopened(path) == Remembered((LOADED,), cursors={"docker:1": b"1"})


def test_another_file_in_its_place_is_quarantined(path):
    with closing(SqliteStore(path)) as store:
        in_force = Remembered((LOADED,))
        store.apply(Turn(1.0, (BAN,), in_force=in_force))
        (path.parent / "backup").write_bytes(b"of last year")
        (path.parent / "backup").rename(path)
        with pytest.raises(StoreError, match="it was taken away"):
            store.forget(before=0.0, in_force=in_force)
    assert reopened(path).bans == (LOADED,)
    (quarantined,) = path.parent.glob("*.broken-*")
    assert quarantined.read_bytes() == b"of last year"


@pytest.mark.parametrize("what", ["no folder", "a folder"])
def test_a_file_that_cannot_be_opened_is_opened_later_and_everything_is_owed_meanwhile(path, what):
    with closing(SqliteStore(path)) as store:
        store.apply(Turn(0.0, (LATER_BAN,)))
    there, elsewhere = (path, "db") if what == "a folder" else (path.parent, "state")
    (kept,) = [there.rename(path.parent.parent / f"kept-{elsewhere}")]
    path.mkdir() if what == "a folder" else path.parent.touch()

    with closing(SqliteStore(path)) as store:
        assert (store.is_new, store.load(1.0)) == (True, Remembered())
        in_force = Remembered((LOADED,))
        assert "cannot be opened" in store.unavailable
        for write in (
            lambda: store.apply(Turn(1.0, (BAN,), (hit(1.0),), in_force=in_force)),
            lambda: store.forget(0.0, in_force=in_force),
        ):
            with pytest.raises(StoreError, match="cannot be opened"):
                write()
        path.rmdir() if what == "a folder" else path.parent.unlink()
        kept.rename(there)
        store.forget(before=0.0, in_force=in_force)
        assert store.unavailable == ""
    assert reopened(path) == Remembered((LOADED, LATER_BAN), hits=(hit(1.0),))


def test_a_damaged_file_is_replaced_with_the_first_turn_that_says_what_is_in_force(path):
    with closing(SqliteStore(path)) as store:
        store.apply(Turn(1.0, (BAN,)))
        damage(path)
        with pytest.raises(StoreError, match=r"is damaged .* and is not replaced yet"):
            store.apply(Turn(2.0, (LATER_BAN,)))
        with pytest.raises(StoreError, match="was damaged"):
            store.apply(Turn(3.0, in_force=Remembered((LOADED, LATER_BAN))))

    assert reopened(path).bans == (LOADED, LATER_BAN)


def test_damage_is_noticed_when_old_rows_are_forgotten_too(path):
    with closing(SqliteStore(path)) as store:
        in_force = Remembered((LOADED,))
        store.apply(Turn(1.0, (BAN,), cursors=(Cursor("docker:1", b"1"),), in_force=in_force))
        damage(path)
        with pytest.raises(StoreError, match="was damaged"):
            store.forget(before=0.0, in_force=in_force)
        store.forget(before=0.0, in_force=in_force)

    assert (reopened(path).bans, reopened(path).cursors) == ((LOADED,), {"docker:1": b"1"})


def test_a_damaged_file_and_no_room_for_another(tmp_path):
    def story():
        mount_small_disk(tmp_path)
        path, rest = tmp_path / "state.db", tmp_path / "rest"
        with closing(SqliteStore(path)) as store:
            in_force = Remembered((LOADED,))
            store.apply(Turn(1.0, (BAN,), in_force=in_force))
            damage(path)
            fill(rest)
            fail(store, Turn(2.0, (LATER_BAN,), in_force=in_force), "cannot be replaced")
            fail(
                store, Turn(3.0, cursors=(Cursor("docker:1", b"3"),), in_force=in_force), "cannot be replaced"
            )
            rest.unlink()
            fail(store, Turn(4.0, in_force=in_force), "was damaged")
            store.apply(Turn(5.0, (Unban("wordpress", BOB, 5.0, "manual"),), in_force=in_force))

        assert (reopened(path).bans, reopened(path).cursors) == ((LOADED,), {"docker:1": b"3"})
        assert len([*tmp_path.glob("*.broken-*")]) == 1

    in_own_mounts(story)
