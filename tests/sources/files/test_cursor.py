"""Cursors are stored as text, and a later version has to read what an earlier one wrote."""

import pytest

from sidecar.sources.files.cursor import NOWHERE, FilePosition, LogCursor

STREAMS = ("stdout", "stderr")


def test_a_file_position_is_stored_in_the_first_versions_format():
    position = FilePosition(12, 34, 56, 78)

    assert position.encode() == b"1 12 34 56 78"
    assert FilePosition.decode(position.encode()) == position


@pytest.mark.parametrize("state", [b"", b"2 1 2 3 4", b"1 2 3 4 5 6", b"1 a", b"\xff"])
def test_any_other_state_is_no_file_position(state):
    assert FilePosition.decode(state) == NOWHERE


def test_a_containers_cursor_is_stored_in_the_first_versions_format():
    cursor = LogCursor(FilePosition(12, 34, 56, 78), {"stdout": 3, "stderr": 4}, frozenset({"stderr"}), 5)

    assert cursor.encode(STREAMS) == b"1 12 34 56 78 3 4 2 5"
    assert LogCursor.decode(cursor.encode(STREAMS), STREAMS) == cursor


def test_streams_of_which_nothing_was_handed_on_are_not_in_the_cursor():
    assert LogCursor.decode(b"1 12 34 56 78 0 4 1 0", STREAMS) == LogCursor(
        FilePosition(12, 34, 56, 78), {"stderr": 4}, frozenset({"stdout"})
    )


@pytest.mark.parametrize("state", [b"", b"2 1 2 3 4 0 0 0 0", b"1 2 3 4 5", b"1 a", b"\xff"])
def test_any_other_state_is_no_containers_cursor(state):
    assert LogCursor.decode(state, STREAMS) == LogCursor()
