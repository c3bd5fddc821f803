"""What becomes of values that are odd."""

import math
import sqlite3
from contextlib import closing
from dataclasses import replace

from sidecar.core.events import Ban, Cursor, Hit, Origin, Turn
from tests.support.stored import ANN, BAN, BOB, LOADED, hit, reopened


def test_a_failure_of_the_future_is_one_of_now(store, path):
    store.apply(Turn(3.0, hits=(hit(9e9),)))

    assert reopened(path).hits == (hit(3.0),)


def test_a_line_of_any_bytes_is_stored_and_cut(store, path):
    store.apply(Turn(1.0, hits=(hit(1.0, line="\udcff\0\n" + "x" * 100_000),)))

    assert reopened(path).hits == (hit(1.0, line="?\0\n" + "x" * 2045),)


def test_names_that_are_no_text_are_stored_with_question_marks(store, path):
    odd = Origin("file", "/var/log/\udcff.log")
    ban = Ban("wordpress", ANN, 1.0, math.inf, "manual", origin_name="\udcff", reason="\udcff")
    store.apply(Turn(1.0, (ban,), (Hit("wordpress", BOB, 1.0, odd, "x"),), (Cursor("file:\udcff", b"1"),)))
    found = reopened(path)

    assert (found.bans[0].origin_name, found.bans[0].reason) == ("?", "?")
    assert (found.hits[0].origin.name, found.cursors) == ("/var/log/?.log", {"file:?": b"1"})


def test_a_cause_that_a_later_version_stored_is_loaded_as_adopted(store, path):
    store.apply(Turn(1.0, (BAN,)))
    with closing(sqlite3.connect(path)) as other:
        other.execute("UPDATE bans SET cause = 'a later invention'")
        other.commit()

    assert store.load(1.0).bans == (replace(LOADED, cause="adopted"),)
