"""What was put into the store is what comes out, whatever happens in between."""

import math
import os
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.ban_history import Past
from sidecar.core.events import Ban, Cursor, Forgiven, Hit, Origin, Turn, Unban
from sidecar.stores.base import Remembered, StoreError
from sidecar.stores.sqlite import GONE, MIGRATIONS, OWED, Sqlite

ANN, BOB = Address("203.0.113.7"), Address("2001:db8:1:2::/64")
SITE = Origin("docker", "site", "stdout")
BAN = Ban("wordpress", ANN, 100.0, 86_500.0, "failures", 3, "site", ("first", "second", "third"))
KEPT, PAST = replace(BAN, evidence=()), Past("wordpress", ANN, 1, 86_500.0)
FOR_GOOD = Ban("wordpress", BOB, 50.5, math.inf, "manual", reason="he knows why")


def hit(at, address=ANN, line="a line"):
    return Hit("wordpress", address, at, SITE, line)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / "wp-sidecar.db"


@pytest.fixture
def store(path):
    store = Sqlite(path)
    yield store
    store.close()


def again(path, now=0.0):
    """What another process finds."""
    store = Sqlite(path)
    found = store.load(now)
    store.close()
    return found


def test_a_new_store_is_empty(path):
    assert again(path) == Remembered()


def test_a_turn_is_remembered(store, path):
    cursor = Cursor("docker:4f2a", b"\x00any bytes\xff")
    store.apply(Turn(101.0, (BAN, FOR_GOOD), (hit(99.5), hit(98.25, Address("198.51.100.1"))), (cursor,)))

    assert again(path) == Remembered(
        (FOR_GOOD, KEPT), (), (hit(98.25, Address("198.51.100.1")),), {"docker:4f2a": b"\x00any bytes\xff"}
    )


def test_what_a_failure_was_aimed_at_comes_back(store, path):
    aimed = Hit("probes", ANN, 1.0, SITE, "GET /.env", "/.env")
    store.apply(Turn(1.0, hits=(aimed,)))

    assert again(path).hits == (aimed,)


def test_failures_come_back_oldest_first(store, path):
    store.apply(Turn(3.0, hits=(hit(3.0), hit(1.0))))
    store.apply(Turn(4.0, hits=(hit(2.0),)))

    assert again(path).hits == (hit(1.0), hit(2.0), hit(3.0))


def test_a_failure_of_the_future_is_one_of_now(store, path):
    store.apply(Turn(3.0, hits=(hit(9e9),)))

    assert again(path).hits == (hit(3.0),)


def test_the_last_cursor_counts(store, path):
    store.apply(Turn(1.0, cursors=(Cursor("file:/log", b"1"), Cursor("file:/log", b"2"))))
    store.apply(Turn(2.0, cursors=(Cursor("file:/log", b"3"),)))

    assert again(path).cursors == {"file:/log": b"3"}


def test_a_ban_twice_is_one_ban(store, path):
    longer = Ban("wordpress", ANN, 200.0, 999.0, "manual")
    store.apply(Turn(1.0, (BAN,)))
    store.apply(Turn(2.0, (longer,)))

    assert again(path).bans == (longer,)


def test_an_unban_forgives(store, path):
    store.apply(Turn(1.0, (BAN,), (hit(1.0),)))
    store.apply(Turn(2.0, hits=(hit(2.0), hit(2.0, BOB))))
    store.apply(Turn(3.0, (Unban("wordpress", ANN, 3.0, "manual"),)))

    assert again(path) == Remembered(hits=(hit(2.0, BOB),))


def test_bans_that_are_over_are_remembered_until_they_are_too_old(store, path):
    store.apply(Turn(1.0, (replace(BAN, ban_count=2), FOR_GOOD)))
    store.apply(Turn(86_500.0, (Unban("wordpress", ANN, 86_500.0, "expired"),)))
    assert again(path, now=86_500.0) == Remembered((FOR_GOOD,), (PAST._replace(ban_count=2),))

    store.forget(0.0, long_ago=86_501.0)
    assert again(path).history == ()


def test_a_ban_is_history_when_it_is_over_or_one_by_hand_takes_its_place(store, path):
    by_hand = Ban("wordpress", BOB, 1.0, 99_000.0, "manual")
    store.apply(Turn(1.0, (BAN, replace(BAN, address=BOB, ban_count=4))))
    assert store.load(2.0).history == ()
    store.apply(Turn(2.0, (by_hand,)))

    past = PAST._replace(address=BOB, ban_count=4)
    assert store.load(2.0) == Remembered((by_hand, KEPT), (past,))
    assert store.load(86_500.0) == Remembered((by_hand,), (past, PAST))  # nobody was there when it ended
    store.forget(86_501.0)
    assert again(path, now=2.0) == Remembered((by_hand,), (past, PAST))
    assert store.evidence() == {("wordpress", BOB): BAN.evidence}


def test_a_ban_that_is_over_in_the_turn_that_made_it_is_history(store, path):
    over, by_hand = Unban("wordpress", ANN, 9.0, "expired"), Ban("wordpress", ANN, 9.0, 99.0, "manual")
    store.apply(Turn(9.0, (BAN, over)))
    assert again(path) == Remembered(history=(PAST,))
    store.apply(Turn(9.0, (replace(BAN, ban_count=2, until=9.0), over, by_hand, over)))
    assert again(path) == Remembered(history=(PAST._replace(ban_count=2, until=9.0),))
    store.apply(Turn(9.0, (BAN, Unban("wordpress", ANN, 9.0, "manual"), by_hand)))
    assert again(path) == Remembered((by_hand,))


def test_an_unban_by_hand_forgives_former_bans(store, path):
    store.apply(Turn(1.0, (BAN,)))
    store.apply(Turn(2.0, (Unban("wordpress", ANN, 2.0, "manual"),)))

    assert again(path) == Remembered()


def test_what_is_forgiven_does_not_come_back(store, path):
    store.apply(
        Turn(3.0, hits=(hit(1.0), hit(2.0), hit(1.0, BOB)), forgiven=(Forgiven("wordpress", ANN, 1.5),))
    )

    assert again(path).hits == (hit(1.0, BOB), hit(2.0))


def test_who_is_kept_out_after_all_keeps_the_lines(store, path):
    store.apply(Turn(1.0, (replace(BAN, dry_run=True),)))
    store.apply(Turn(2.0, (KEPT,)))

    assert (again(path).bans, store.evidence()) == ((KEPT,), {("wordpress", ANN): BAN.evidence})


def test_an_unban_of_the_absent_is_fine(store, path):
    store.apply(Turn(1.0, (Unban("wordpress", ANN, 1.0, "manual"),)))

    assert again(path) == Remembered()


def test_evidence_may_be_read_in_any_thread(store):
    store.apply(Turn(1.0, (BAN, FOR_GOOD)))
    with ThreadPoolExecutor() as threads:
        assert threads.submit(store.evidence).result() == {("wordpress", ANN): ("first", "second", "third")}


def test_evidence_that_could_not_be_written_is_known_as_well(store, locked):
    with pytest.raises(StoreError):
        store.apply(Turn(1.0, (BAN,)))

    assert store.evidence() == {("wordpress", ANN): ("first", "second", "third")}


def test_evidence_that_cannot_be_read_is_one_sentence(store, path):
    path.unlink()

    with pytest.raises(StoreError, match="cannot be read"):
        store.evidence()


def test_bans_that_are_over_do_not_come_back(store):
    store.apply(Turn(1.0, (BAN, FOR_GOOD)))

    assert store.load(86_499.0).bans == (FOR_GOOD, KEPT)
    assert store.load(86_500.0).bans == (FOR_GOOD,)


def test_what_no_window_counts_is_forgotten(store, path):
    store.apply(Turn(0.0, cursors=(Cursor("gone", b""),)))
    store.apply(Turn(30.0, (BAN,), (hit(10.0, BOB), hit(20.0, BOB)), (Cursor("here", b""),)))
    store.forget(before=15.0)
    assert again(path) == Remembered((KEPT,), (), (hit(20.0, BOB),), {"gone": b"", "here": b""})

    store.forget(before=15.0 + GONE)
    assert again(path) == Remembered(history=(PAST,), cursors={"here": b""})


def test_a_line_of_any_bytes_is_kept_and_cut(store, path):
    store.apply(Turn(1.0, hits=(hit(1.0, line="\udcff\0\n" + "x" * 100_000),)))

    assert again(path).hits == (hit(1.0, line="?\0\n" + "x" * 2045),)


def test_a_turn_is_kept_whole_or_not_at_all(store, path):
    broken = Hit("wordpress", Address("198.51.100.1"), 1.0, Origin("docker", "site", object()), "")
    with pytest.raises(StoreError, match="cannot be written"):
        store.apply(Turn(1.0, (BAN,), (hit(1.0), broken), (Cursor("docker:1", b"1"),)))
    store.apply(Turn(2.0, (FOR_GOOD,)))

    assert again(path) == Remembered((FOR_GOOD,))


def test_a_killed_process_loses_nothing(path):
    script = f"""
import os, signal
from pathlib import Path
from sidecar.core.events import Cursor, Turn
from sidecar.stores.sqlite import Sqlite
store = Sqlite(Path({str(path)!r}))
for n in range(100):
    store.apply(Turn(float(n), cursors=(Cursor("docker:1", b"%d" % n),)))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9

    assert again(path).cursors == {"docker:1": b"99"}


def test_nobody_else_may_read_it(store, path):
    store.apply(Turn(1.0, (BAN,)))

    assert {file.name: oct(file.stat().st_mode & 0o777) for file in path.parent.iterdir()} == {
        "wp-sidecar.db": "0o600",
        "wp-sidecar.db-wal": "0o600",
        "wp-sidecar.db-shm": "0o600",
    }


@pytest.mark.parametrize("damage", ["not a database", "torn pages"])
def test_a_damaged_file_is_put_aside(path, damage):
    store = Sqlite(path)
    store.apply(Turn(1.0, hits=[hit(float(n), Address(f"198.51.100.{n % 250}")) for n in range(10_000)]))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(
        b"hello" * 1000 if damage == "not a database" else whole[:8192] + os.urandom(len(whole) - 8192)
    )

    store = Sqlite(path)
    store.apply(Turn(1.0, (BAN,)))
    found, repaired, anew = store.load(0.0), store.repaired, store.anew
    store.close()

    assert anew
    [aside] = path.parent.glob("*.broken-*")
    assert found == Remembered((KEPT,))
    assert repaired.startswith(f"{path} was damaged (")
    assert repaired.endswith(f"): bans and log positions begin anew. Kept: {aside}")


def test_a_whole_file_is_not_repaired(store, path):
    assert (store.repaired, store.anew) == ("", True)
    store.close()
    again = Sqlite(path)

    assert (again.repaired, again.anew) == ("", False)
    again.close()


def test_the_file_of_a_newer_version_is_refused(store, path):
    store.close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(StoreError) as refused:
        Sqlite(path)
    assert str(refused.value) == (
        f"{path} is of version 99, and this wp-sidecar knows {len(MIGRATIONS)}: "
        "run the newer one, or move the file away (bans and log positions then begin anew)"
    )


# What each version's script left behind, with something in it.
CONTENTS = (
    """
    INSERT INTO bans VALUES ('wordpress', '203.0.113.7', 100, 86500, 'failures', 3, 'site',
        'first' || char(10) || 'second' || char(10) || 'third', '');
    INSERT INTO bans VALUES ('wordpress', '2001:db8:1:2::/64', 50.5, 9e999, 'manual', 0, '', '', 'he knows why');
    INSERT INTO hits VALUES ('wordpress', '198.51.100.1', 2, 'docker', 'site', 'stdout', 'a line', '');
    INSERT INTO cursors VALUES ('docker:4f2a', x'00ff', 1);
    """,
    "INSERT INTO history VALUES ('wordpress', '203.0.113.7', 1, 86500);",
    "",
)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_the_file_of_each_older_version_is_taken_over(path, version):
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        for script, contents in zip(MIGRATIONS[:version], CONTENTS, strict=False):
            db.executescript(script + contents)
        db.execute(f"PRAGMA user_version = {version}")

    past = (PAST,) if version > 1 else ()
    assert again(path) == Remembered(
        (FOR_GOOD, KEPT), past, (hit(2.0, Address("198.51.100.1")),), {"docker:4f2a": b"\x00\xff"}
    )
    with closing(Sqlite(path)) as store:
        assert store.evidence() == {("wordpress", ANN): ("first", "second", "third")}
        store.apply(Turn(5.0, (Unban("wordpress", ANN, 5.0, "manual"),)))
    assert again(path).bans == (FOR_GOOD,)


def test_a_migration_that_fails_leaves_the_file_as_it_was(path, monkeypatch):
    Sqlite(path).close()
    monkeypatch.setattr("sidecar.stores.sqlite.MIGRATIONS", (*MIGRATIONS, "CREATE TABLE more (x); BROKEN"))
    assert "syntax error" in Sqlite(path).shut
    monkeypatch.undo()

    assert again(path) == Remembered()


def test_a_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "state").write_text("a file")

    shut = Sqlite(tmp_path / "state" / "wp-sidecar.db").shut
    assert "cannot be opened" in shut
    assert shut.endswith("its directory has to be writable, with room on the disk")


@pytest.fixture
def locked(store, path):
    """Someone else writes to the file and does not come to an end."""
    with sqlite3.connect(path, isolation_level=None) as other:
        other.execute("BEGIN IMMEDIATE")
        yield lambda: other.execute("ROLLBACK")
    other.close()


def test_what_could_not_be_written_is_written_later(store, path, locked):
    for turn in (
        Turn(1.0, (BAN, FOR_GOOD), (hit(1.0), hit(1.0, Address("198.51.100.1"))), (Cursor("a", b"1"),)),
        Turn(2.0, (), (hit(2.0, Address("198.51.100.1")),), (Cursor("a", b"2"), Cursor("b", b"1"))),
        Turn(3.0, (Unban("wordpress", ANN, 3.0, "manual"),)),
    ):
        with pytest.raises(StoreError, match="locked"):
            store.apply(turn)
    locked()
    store.forget(before=0.0)

    assert again(path) == Remembered(
        (FOR_GOOD,),
        (),
        (hit(1.0, Address("198.51.100.1")), hit(2.0, Address("198.51.100.1"))),
        {"a": b"2", "b": b"1"},
    )


def test_what_is_owed_is_bounded(store, path, locked):
    for n in range(3):
        with pytest.raises(StoreError):
            store.apply(Turn(float(n), hits=tuple(hit(float(n), BOB) for _ in range(OWED))))
    locked()
    store.apply(Turn(3.0, (BAN,)))

    assert (len(again(path).hits), again(path).bans) == (OWED, (KEPT,))


def test_many_decisions_are_written_with_the_turns_that_follow_and_what_was_read_last(
    store, path, monkeypatch
):
    monkeypatch.setattr("sidecar.stores.sqlite.AT_ONCE", 2)
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
        found.append((len(again(path).bans), again(path).cursors, again(path).hits, store.behind))

    assert found == [
        (2, {}, (), True),
        (4, {}, (), True),
        (4, {"a": b"2"}, (hit(1.0, ANN),), False),
    ]


def test_who_closes_it_waits_for_what_is_owed(store, path, monkeypatch):
    monkeypatch.setattr("sidecar.stores.sqlite.AT_ONCE", 1)
    store.apply(Turn(1.0, (BAN, FOR_GOOD), cursors=(Cursor("a", b"1"),)))
    store.close()

    assert (again(path).bans, again(path).cursors) == ((FOR_GOOD, KEPT), {"a": b"1"})


def test_a_lock_delays_the_loop_by_a_moment_only(store, locked):
    began = time.monotonic()
    with pytest.raises(StoreError):
        store.apply(Turn(1.0, (BAN,)))

    assert time.monotonic() - began < 1


def test_failures_kept_are_bounded(store, path, monkeypatch):
    monkeypatch.setattr("sidecar.stores.sqlite.MOST", 3)
    store.apply(Turn(9.0, hits=tuple(hit(float(n)) for n in range(10))))
    store.forget(before=0.0)

    assert again(path).hits == (hit(7.0), hit(8.0), hit(9.0))


def test_names_that_are_no_text_do_not_keep_the_rest_from_being_kept(store, path):
    odd = Origin("file", "/var/log/\udcff.log")
    ban = Ban("wordpress", ANN, 1.0, math.inf, "manual", origin_name="\udcff", reason="\udcff")
    store.apply(Turn(1.0, (ban,), (Hit("wordpress", BOB, 1.0, odd, "x"),), (Cursor("file:\udcff", b"1"),)))
    found = again(path)

    assert (found.bans[0].origin_name, found.bans[0].reason) == ("?", "?")
    assert (found.hits[0].origin.name, found.cursors) == ("/var/log/?.log", {"file:?": b"1"})
