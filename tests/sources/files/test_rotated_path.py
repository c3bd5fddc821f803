"""Files that logrotate renamed are found under their new names, the oldest first."""

import os

import pytest

from sidecar.sources.files.cursor import NOWHERE, FilePosition, LogCursor
from sidecar.sources.files.rotated_path import RotatedPath, printable_path, rotated_files
from sidecar.sources.files.segments import NoSuccessor, Start, Successor

NOW = 0.0
NO_CURSOR = LogCursor()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "error.log"


@pytest.fixture
def finder(path):
    return RotatedPath(str(path))


def text_of(reader):
    try:
        return reader.file.read(0, 100)
    finally:
        reader.close()


def cursor_in(path):
    """Return a cursor at the end of this file."""
    data = path.read_bytes()
    return LogCursor(FilePosition(path.stat().st_ino).moved(len(data), data))


def opened(finder, cursor=NO_CURSOR, skip=0):
    opening = finder.open(cursor, skip)
    return opening.start, text_of(opening.reader)


def following(finder, path):
    """Return the text of the successor, or why there is none."""
    found = finder.successor(path, NOW)
    return text_of(found.reader) if isinstance(found, Successor) else found


def test_rotated_files_are_those_with_numbers_oldest_first(tmp_path, path):
    for at, name in enumerate(
        ("error.log.2", "error.log-20261122", "error.log.1", "error.log.10-5", "error.log.1.gz", "error.log.bak",
         "error.log", "error.log-", "other.log.1", "xerror.log.1"),
    ):  # fmt: skip
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (at, at))

    assert rotated_files(str(path)) == [
        (at * 10**9, f"{path}{suffix}") for at, suffix in enumerate((".2", "-20261122", ".1", ".10-5"))
    ]


def test_brackets_in_a_path_are_not_a_pattern(tmp_path):
    path = tmp_path / "[a].log"
    for name in ("[a].log.1", "a.log.1"):
        (tmp_path / name).touch()

    assert [other for _, other in rotated_files(str(path))] == [f"{path}.1"]


def test_a_log_without_a_cursor_starts_at_its_path_and_is_bound_to_that_file(finder, path):
    path.write_bytes(b"one\n")
    opening = finder.open(LogCursor(), 0)

    assert (opening.start, opening.bind, opening.reader.position.offset) == (Start.FIRST_SIGHT, True, 0)
    assert opening.reader.position != NOWHERE
    opening.reader.close()


def test_the_file_of_the_cursor_is_opened_under_its_new_name(finder, path):
    path.write_bytes(b"old\n")
    cursor = cursor_in(path)
    path.rename(f"{path}.1")
    path.write_bytes(b"new\n")

    assert opened(finder, cursor) == (Start.CURSOR, b"old\n")
    # A bad disk is given up for the file that is there now.
    assert opened(finder, cursor, skip=1) == (Start.GAP, b"new\n")


def test_a_file_that_is_gone_is_a_gap(finder, path):
    path.write_bytes(b"old\n")
    cursor = cursor_in(path)
    path.unlink()
    path.write_bytes(b"new\n")

    assert opened(finder, cursor) == (Start.GAP, b"new\n")


def reader_of(finder):
    return finder.open(LogCursor(), 0).reader


def test_the_successor_is_the_file_at_the_path_once_it_is_not_empty(finder, path):
    path.write_bytes(b"one\n")
    reader = reader_of(finder)
    found = [following(finder, reader)]
    path.rename(f"{path}.1")
    found.append(following(finder, reader))
    path.touch()
    found.append(following(finder, reader))
    path.write_bytes(b"two\n")
    found.append(following(finder, reader))
    reader.close()

    assert found == [NoSuccessor.NONE] * 3 + [b"two\n"]


def test_after_several_rotations_the_successor_is_the_next_younger_file(finder, path):
    path.write_bytes(b"one\n")
    os.utime(path, (1, 1))
    reader = reader_of(finder)
    path.rename(f"{path}.3")
    for at, suffix in ((2, ".2"), (3, ".1"), (4, "")):
        path.with_name(path.name + suffix).write_bytes(b"%d\n" % at)
        os.utime(path.with_name(path.name + suffix), (at, at))
    found = following(finder, reader)
    reader.close()

    assert found == b"2\n"


def test_a_folder_at_the_path_is_an_error_that_names_it(finder, path):
    path.write_bytes(b"one\n")
    reader = reader_of(finder)
    path.rename(f"{path}.old")
    path.mkdir()
    with pytest.raises(OSError, match="not a regular file") as caught:
        finder.successor(reader, NOW)
    reader.close()

    assert caught.value.filename == str(path)


def test_a_byte_of_a_path_that_is_not_utf_8_is_shown_as_its_number():
    assert printable_path(os.fsdecode(b"/log/caf\xe9\n")) == "/log/caf\\xe9\\n"


def test_a_sentence_about_a_gap_says_what_to_change(finder):
    assert finder.gap_advice("error.log") == (
        "the file that was last read as error.log is gone: lines may have been rotated away before they were read. "
        "Do not compress or remove the last rotated file (in logrotate: delaycompress)"
    )


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError(5, "Input/output error", "{path}"), "Input/output error"),
        (OSError(5, "Input/output error", "{path}.1"), "{path}.1: Input/output error"),
    ],
)
def test_a_sentence_about_an_error_names_the_file_if_it_is_another(finder, path, error, why):
    if error.filename:
        error.filename = error.filename.format(path=path)

    assert finder.explain(str(path), error) == (
        f"{path} cannot be read ({why.format(path=path)}): its lines are not checked until it can"
    )
