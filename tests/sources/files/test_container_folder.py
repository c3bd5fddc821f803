"""Which files of a folder are one container's log, and which of them is opened."""

import math
import os

import pytest

from sidecar.sources.files import container_folder
from sidecar.sources.files.container_folder import SETTLE_S, ContainerFolder, list_segments
from sidecar.sources.files.cursor import FilePosition, LogCursor
from sidecar.sources.files.segments import NoSuccessor, Segment, Start

NO_CURSOR = LogCursor()


def names(folder):
    return [os.path.relpath(segment.path, folder) for segment in list_segments(str(folder))]


def test_kubelets_segments_in_the_order_they_were_written(tmp_path):
    for name in (
        "1.log", "0.log", "0.log.20261122-084004", "0.log.20261122-083004.gz", "10.log", "1.log.20261122-090000",
        "0.log.20261122-082004.tmp", "0.log.bak", "notes.txt", "x.log",
    ):  # fmt: skip
        (tmp_path / name).touch()

    assert names(tmp_path) == [
        "0.log.20261122-083004.gz", "0.log.20261122-084004", "0.log", "1.log.20261122-090000", "1.log", "10.log",
    ]  # fmt: skip


def test_a_file_that_is_being_compressed_is_one_segment(tmp_path):
    for name in ("0.log", "0.log.20261122-084004.gz", "0.log.20261122-084004"):
        (tmp_path / name).touch()

    assert names(tmp_path) == ["0.log.20261122-084004", "0.log"]


def test_dockers_segments_in_the_order_they_were_written(tmp_path):
    key = "a" * 64
    for name in (
        f"{key}-json.log",
        f"{key}-json.log.1",
        f"{key}-json.log.10.gz",
        f"{key}-json.log.2.gz",
        "config.v2.json",
    ):
        (tmp_path / name).touch()

    assert names(tmp_path) == [f"{key}-json.log{end}" for end in (".10.gz", ".2.gz", ".1", "")]


def test_a_link_to_dockers_file_stands_for_all_of_dockers_segments(tmp_path):
    docker, pod = tmp_path / "docker", tmp_path / "pod"
    docker.mkdir()
    pod.mkdir()
    for end in ("", ".1"):
        (docker / f"abc-json.log{end}").touch()
    (pod / "3.log").symlink_to(docker / "abc-json.log")

    assert list_segments(str(pod)) == [
        Segment(3, -1.0, gzipped=False, path=f"{docker}/abc-json.log.1"),
        Segment(3, 0.0, gzipped=False, path=f"{docker}/abc-json.log"),
    ]


def test_a_link_to_a_missing_file_is_a_segment_itself(tmp_path):
    (tmp_path / "3.log").symlink_to("/nowhere/abc-json.log")

    assert list_segments(str(tmp_path)) == [Segment(3, 0.0, gzipped=False, path=f"{tmp_path}/3.log")]


def test_a_link_to_any_other_file_is_one_segment(tmp_path):
    (tmp_path / "else.txt").write_text("x")
    (tmp_path / "3.log").symlink_to(tmp_path / "else.txt")

    assert list_segments(str(tmp_path)) == [Segment(3, math.inf, gzipped=False, path=f"{tmp_path}/3.log")]


def cursor_in(path, restart_count=0):
    """Return a cursor at the end of this file."""
    data = path.read_bytes()
    return LogCursor(FilePosition(path.stat().st_ino).moved(len(data), data), restart_count=restart_count)


def opened(folder, cursor=NO_CURSOR, skip=0, since=0.0):
    opening = ContainerFolder(str(folder), since).open(cursor, skip)
    try:
        return opening.start, opening.reader.file.read(0, 100)
    finally:
        opening.reader.close()


@pytest.fixture
def three(tmp_path):
    """Three files in one folder, as kubelet names them, with the lines a, b and c."""
    paths = [tmp_path / name for name in ("0.log.20261122-084004", "0.log.20261122-085004", "0.log")]
    for at, path in enumerate(paths):
        path.write_text(f"{'abc'[at]}\n")
        os.utime(path, (at, at))
    return paths


def test_an_empty_folder_has_no_log_yet(tmp_path):
    assert ContainerFolder(str(tmp_path), 0.0).open(LogCursor(), 0) is None


def test_at_first_sight_the_oldest_file_that_matters_is_opened(three, tmp_path):
    assert opened(tmp_path, since=0.0) == (Start.FIRST_SIGHT, b"a\n")
    assert opened(tmp_path, since=1.0) == (Start.FIRST_SIGHT, b"b\n")
    assert opened(tmp_path, since=9.0) == (Start.FIRST_SIGHT, b"c\n")


@pytest.mark.parametrize(("skip", "text"), [(0, b"a\n"), (1, b"b\n"), (2, b"c\n"), (3, b"c\n")])
def test_files_on_a_bad_disk_are_skipped_at_first_sight(three, tmp_path, skip, text):
    assert opened(tmp_path, skip=skip) == (Start.FIRST_SIGHT, text)


@pytest.mark.parametrize(
    ("skip", "start", "text"),
    [(0, Start.CURSOR, b"a\n"), (1, Start.GAP, b"b\n"), (2, Start.GAP, b"c\n"), (3, Start.GAP, b"c\n")],
)
def test_a_file_on_a_bad_disk_is_given_up_for_those_after_it(three, tmp_path, skip, start, text):
    assert opened(tmp_path, cursor_in(three[0]), skip) == (start, text)


def test_the_last_file_is_never_given_up(three, tmp_path):
    assert opened(tmp_path, cursor_in(three[2]), skip=5) == (Start.CURSOR, b"c\n")


def test_after_a_gap_the_oldest_file_that_is_left_is_opened(three, tmp_path):
    cursor = cursor_in(three[0])
    three[0].unlink()

    assert opened(tmp_path, cursor) == (Start.GAP, b"b\n")


def test_while_files_are_renamed_nothing_is_opened(three, tmp_path, monkeypatch):
    def listed_and_then_renamed(folder):
        found = list_segments(folder)
        three[2].rename(tmp_path / f"0.log.20261122-0{next(numbers)}")
        three[2].write_text("d\n")
        return found

    numbers = iter(range(90_000, 99_999))
    gone = LogCursor(FilePosition(1, 5, 5, 5))
    monkeypatch.setattr(container_folder, "list_segments", listed_and_then_renamed)

    assert ContainerFolder(str(tmp_path), 0.0).open(gone, 0) is None


def reader_of(path):
    return ContainerFolder(str(path.parent), 0.0).open(cursor_in(path), 0).reader


def following(reader, folder, now=1_000.0):
    found = ContainerFolder(str(folder), 0.0).successor(reader, now)
    if isinstance(found, NoSuccessor):
        return found
    try:
        return found.gap, found.reader.file.read(0, 100)
    finally:
        found.reader.close()


def test_the_successor_is_the_next_younger_file(three, tmp_path):
    readers = [reader_of(path) for path in three]
    found = [following(reader, tmp_path) for reader in readers]
    for reader in readers:
        reader.close()

    assert found == [(False, b"b\n"), (False, b"c\n"), NoSuccessor.NONE]


def test_the_last_but_one_is_complete_once_it_was_not_written_to_for_a_while(three, tmp_path):
    reader = reader_of(three[1])
    found = [following(reader, tmp_path, now=1.0 + SETTLE_S + more) for more in (0.0, 0.1)]
    three[2].write_text("")
    found.append(following(reader, tmp_path))
    reader.close()

    assert found == [NoSuccessor.UNSETTLED, (False, b"c\n"), NoSuccessor.UNSETTLED]


def test_after_a_removed_file_the_successor_comes_with_a_gap(three, tmp_path):
    reader = reader_of(three[0])
    three[0].unlink()
    found = following(reader, tmp_path)
    reader.close()

    assert found == (True, b"b\n")


def test_a_file_that_is_renamed_while_it_is_opened_is_not_taken_for_the_successor(
    three, tmp_path, monkeypatch
):
    """The file that is at the path after the rename is one too far: the one before it would never be read."""

    def listed_and_then_renamed(folder):
        found = list_segments(folder)
        if three[2].read_text() == "c\n":
            three[2].rename(tmp_path / "0.log.20261122-090004")
            three[2].write_text("d\n")
        return found

    reader = reader_of(three[1])
    monkeypatch.setattr(container_folder, "list_segments", listed_and_then_renamed)
    found = [following(reader, tmp_path) for _ in range(2)]
    reader.close()

    assert found == [NoSuccessor.CHANGING, (False, b"c\n")]


def test_a_sentence_about_a_gap_says_what_to_change_for_the_container(tmp_path):
    assert ContainerFolder(str(tmp_path), 0.0).gap_advice("blog") == (
        "the log of blog no longer has what was read last: lines may have been rotated away before they were read. "
        "Allow larger log files, or more of them (kubelet: containerLogMaxSize, containerLogMaxFiles; Docker: "
        "max-size, max-file)"
    )


def test_a_missing_file_is_no_error_unless_a_link_points_to_it(tmp_path):
    (tmp_path / "0.log").symlink_to("/nowhere/1-json.log")
    finder = ContainerFolder(str(tmp_path), 0.0)

    assert finder.explain("blog", FileNotFoundError(2, "No such file", f"{tmp_path}/1.log")) == ""
    assert "/nowhere/1-json.log, which is not here" in finder.explain(
        "blog", FileNotFoundError(2, "No such file", f"{tmp_path}/0.log")
    )
