"""What is in the file and cannot have been written by this program. Each is left out, removed and reported."""

import sqlite3
from contextlib import closing

import pytest

from sidecar.core.clock_steps import ClockReading
from sidecar.core.events import Cursor, Turn
from sidecar.stores.soundness import is_address
from sidecar.stores.sqlite import SqliteStore, stored_bans
from tests.support.stored import ANN, BAN, BOB, EVIDENCE, LOADED, PAST, hit, reopened

# One change each, to a file with two rows in every table, one of which it damages.
DAMAGE = {
    "an end that is text": "UPDATE bans SET until = 'soon' WHERE who = 'x'",
    "an end that is nothing": "UPDATE bans SET until = NULL WHERE who = 'x'",
    "a time that is bytes": "UPDATE bans SET at = x'00' WHERE who = 'x'",
    "a cause that is nothing": "UPDATE bans SET cause = NULL WHERE who = 'x'",
    "a count that is text": "UPDATE bans SET times = 'many' WHERE who = 'x'",
    "an address that is none": "UPDATE bans SET who = '203.0.113.999' WHERE who = 'x'",
    "an address with an instruction": "UPDATE bans SET who = '203.0.113.9; flush ruleset' WHERE who = 'x'",
    "an address that is empty": "UPDATE bans SET who = '' WHERE who = 'x'",
    "a network with host bits": "UPDATE bans SET who = '203.0.113.9/24' WHERE who = 'x'",
    "an address of bytes": "UPDATE bans SET who = x'cb007109' WHERE who = 'x'",
    "a reason that is no text": "UPDATE bans SET reason = CAST(x'ff' AS TEXT) WHERE who = 'x'",
    "a jail that is no text": "UPDATE bans SET jail = CAST(x'ff' AS TEXT) WHERE who = 'x'",
    "a past ban without an end": "UPDATE history SET until = NULL WHERE who = 'x'",
    "a past ban of nobody": "UPDATE history SET who = 'nobody' WHERE who = 'x'",
    "a failure without a time": "UPDATE hits SET at = NULL WHERE who = 'x'",
    "a failure of nobody": "UPDATE hits SET who = 'nobody' WHERE who = 'x'",
    "a line that is no text": "UPDATE hits SET line = CAST(x'ff' AS TEXT) WHERE who = 'x'",
    "a line of bytes": "UPDATE hits SET line = x'61' WHERE who = 'x'",
    "a target of no bytes": "UPDATE hits SET target = x'' WHERE who = 'x'",
    "a cursor that is nothing": "UPDATE cursors SET state = NULL WHERE key = 'x'",
    "a cursor that is a number": "UPDATE cursors SET state = 7 WHERE key = 'x'",
    "a cursor that is text": "UPDATE cursors SET state = 'text' WHERE key = 'x'",
    "a network to allow that is none": "UPDATE allowed SET network = '203.0.113.0/33' WHERE network = 'x'",
    "a network to allow of bytes": "UPDATE allowed SET network = x'00' WHERE network = 'x'",
    "a comment that is no text": "UPDATE allowed SET comment = CAST(x'ff' AS TEXT) WHERE network = 'x'",
    "an end of what is allowed that is text": "UPDATE allowed SET until = 'soon' WHERE network = 'x'",
    "a cursor with an odd name": "UPDATE cursors SET key = CAST(x'ff' AS TEXT) WHERE key = 'x'",
}
EVIDENCE_DAMAGE = (
    "UPDATE evidence SET lines = CAST(x'ff' AS TEXT) WHERE who = 'x'",
    "UPDATE evidence SET lines = NULL WHERE who = 'x'",
    "UPDATE evidence SET who = 'nobody' WHERE who = 'x'",
)
SECOND_ROWS = """
    INSERT INTO bans VALUES ('wordpress', 'x', 100, 86500, 'failures', 3, 'site', '', 1, 0);
    INSERT INTO history VALUES ('other', 'x', 1, 86500);
    INSERT INTO hits VALUES ('wordpress', 'x', 1, 'docker', 'site', 'stdout', 'a line', '');
    INSERT INTO cursors VALUES ('x', x'00', 1);
    INSERT INTO allowed VALUES ('x', 1, 86500, '');
    INSERT INTO evidence VALUES ('wordpress', 'x', 'a line');
"""
SOUND = "198.51.100.77"
# Those that were not damaged.
COLUMNS = {"bans": "who", "history": "who", "hits": "who", "evidence": "who", "allowed": "network"}
MAKE_SOUND = "".join(
    f"UPDATE {table} SET {column} = '{SOUND}' WHERE {column} = 'x';"  # noqa: S608 - names of our own
    for table, column in COLUMNS.items()
)


@pytest.fixture
def change(store, path):
    """Change the file behind our back."""
    store.apply(Turn(1.0, (BAN,), (hit(1.0, BOB),), (Cursor("log", b"1"),)))
    store.close()

    def change(script):
        with closing(sqlite3.connect(path)) as other:
            other.executescript(f"{SECOND_ROWS}{script};{MAKE_SOUND}")

    return change


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_row_costs_no_other_row_and_is_reported_once(change, path, damage):
    change(damage)
    with closing(SqliteStore(path)) as store:
        found = store.load(0.0)
        evidence = store.evidence()
        assert store.repaired.startswith(f"{path} had damaged rows, which were removed: 1 of ")
        store.forget(0.0)

    assert LOADED in found.bans and hit(1.0, BOB) in found.hits and found.cursors["log"] == b"1"
    assert evidence.items() >= EVIDENCE.items()
    kinds = (found.bans, found.history, found.hits, found.cursors, found.allowed, evidence)
    assert sum(map(len, kinds)) == 9
    with closing(SqliteStore(path)) as store:
        assert store.load(0.0) == found
        assert store.repaired == ""


@pytest.mark.parametrize("damage", EVIDENCE_DAMAGE)
def test_damaged_evidence_is_left_out_when_it_is_read(change, path, damage):
    change(damage)
    with closing(SqliteStore(path)) as store:
        store.load(0.0)
        assert store.repaired == ""
        assert store.evidence() == EVIDENCE


@pytest.mark.parametrize("damage", [each for each in DAMAGE.values() if "UPDATE bans" in each])
def test_the_bans_of_a_start_without_a_configuration_are_the_sound_ones(change, path, damage):
    change(damage)

    read = stored_bans(path, ClockReading("boot", 0.0, 0.0))
    assert read.bans == (LOADED,)
    with closing(SqliteStore(path)) as store:
        assert store.load(0.0, read=read).bans == (LOADED,)
        assert store.repaired.startswith(f"{path} had damaged rows, which were removed: 1 of ")


def test_a_sound_file_is_left_as_it_is(change, path):
    change("")
    with closing(SqliteStore(path)) as store:
        found = store.load(0.0)
        assert store.repaired == ""

    assert {ban.address for ban in found.bans} == {ANN, SOUND}


def test_where_the_file_cannot_be_written_damaged_rows_are_left_out_all_the_same(change, path):
    change(DAMAGE["an end that is text"])
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        found = store.load(0.0)

        assert found.bans == (LOADED,)
        assert store.repaired == f"{path} has damaged rows, which are left out (database is locked)"


@pytest.mark.parametrize("text", [ANN, BOB, "::1", "203.0.113.0/24", "2001:db8::/48", "0.0.0.0"])
def test_an_address(text):
    assert is_address(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "203.0.113.7/64",
        "203.0.113.7/24",
        "2001:db8::1/64",
        "2001:db8::/",
        "\0",
        "1",
        "1.2.3",
        "\u0661",
    ],
)
def test_no_address(text):
    assert not is_address(text)


def test_a_past_ban_is_read_whole(store, path):
    store.apply(Turn(1.0, (BAN,)))

    assert reopened(path, BAN.until + 1).history == (PAST,)
