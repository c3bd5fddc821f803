"""Files are read in whole lines, and a gzipped file reads like the plain one."""

import errno
import os
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.files.cursor import HEAD_BYTES, FilePosition
from sidecar.sources.files.segments import (
    FIRST_SIGHT_BYTES,
    READ_SIZE_BYTES,
    GzipSegment,
    PlainSegment,
    RawLines,
    Segment,
    SegmentReader,
    first_line_offset,
)
from tests.sources.files.kubelet import pack


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_only_a_regular_file_is_opened(tmp_path, make):
    make(tmp_path / "0.log")
    with pytest.raises(OSError):
        PlainSegment(str(tmp_path / "0.log"))


@pytest.fixture
def both(tmp_path):
    """A file and its gzipped copy."""
    data = b"".join(b"%d line\n" % number for number in range(100_000))
    for name in ("0.log", "0.log.20261122-084004"):
        (tmp_path / name).write_bytes(data)
    pack(tmp_path / "0.log.20261122-084004")
    packed = Segment(0, 1.0, gzipped=True, path=f"{tmp_path}/0.log.20261122-084004.gz").open()
    plain = Segment(0, 2.0, gzipped=False, path=f"{tmp_path}/0.log").open()
    yield plain, packed, data
    plain.close()
    packed.close()


@pytest.mark.parametrize("size", [1, 100, 8192, 65_536, 2_000_000])
def test_a_gzipped_file_reads_as_the_plain_one_did(both, size):
    plain, packed, data = both
    at = 0
    for _ in range(20):
        chunk = packed.read(at, size)
        assert chunk == plain.read(at, size) == data[at : at + size]
        at += max(1, chunk.rfind(b"\n") + 1)  # the end of a chunk is wanted again
    assert packed.read(3, size) == data[3 : 3 + size]
    assert packed.read(len(data), size) == packed.read(len(data) + 5, size) == b""


@pytest.mark.parametrize("offset", [0, 7, HEAD_BYTES, 5000])
def test_a_file_is_known_by_its_first_bytes_gzipped_or_not(both, offset):
    plain, packed, _ = both
    start = FilePosition(plain.status.st_ino)
    position = plain.position(offset, start)

    assert plain.contains(position)
    # Where nothing was read, nothing is known of a gzipped file.
    assert packed.contains(position) is (offset > 0)
    assert packed.position(offset, start) == position
    assert not packed.contains(replace(position, head_size=3, head_crc=0))
    assert not plain.contains(replace(position, inode=position.inode + 1))


def test_a_file_that_is_shorter_than_the_position_does_not_contain_it(both):
    plain, _, data = both

    assert plain.contains(FilePosition(plain.status.st_ino, len(data)))
    assert not plain.contains(FilePosition(plain.status.st_ino, len(data) + 1))


def test_a_file_is_known_by_its_first_bytes_and_no_more_are_kept(both):
    plain, _, _ = both
    position = plain.position(1000, plain.position(10, FilePosition(plain.status.st_ino)))

    assert (position.head_size, position.offset, plain.contains(position)) == (HEAD_BYTES, 1000, True)
    assert plain.position(999, position) == replace(position, offset=999)


def test_a_file_that_is_not_gzipped_is_empty(tmp_path, caplog):
    (tmp_path / "0.log.20261122-084004.gz").write_bytes(b"hello")
    packed = GzipSegment(str(tmp_path / "0.log.20261122-084004.gz"))

    assert packed.read(0, 10) == b"" and "is damaged" in caplog.text
    packed.close()


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-500], lambda data: data[:-500] + b"\xff" * 492 + data[-8:]],
    ids=["cut", "spoilt"],
)
def test_a_damaged_gzip_file_is_read_up_to_the_damage(both, tmp_path, caplog, spoil):
    _, _, data = both
    path = tmp_path / "0.log.20261122-084004.gz"
    path.write_bytes(spoil(path.read_bytes()))
    os.utime(path, (1, 1))  # nobody packs it any more
    packed, found = GzipSegment(str(path)), b""
    while chunk := packed.read(len(found), 8192):
        found += chunk
    packed.close()

    assert data.startswith(found) and len(found) > len(data) // 2
    assert "is damaged" in caplog.text


def test_an_error_of_an_open_file_has_its_path(tmp_path):
    (tmp_path / "0.log").symlink_to("/proc/self/mem")
    plain = PlainSegment(str(tmp_path / "0.log"))
    with pytest.raises(OSError) as caught:
        plain.read(0, 1)
    plain.close()

    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(tmp_path / "0.log"))


def reader(path):
    file = PlainSegment(str(path))
    return SegmentReader(file, FilePosition(file.status.st_ino))


def read_all(of, size):
    """Return all whole lines, and how many of them were too long."""
    found, overlong = b"", 0
    while lines := of.read(size):
        found += lines.data
        overlong += lines.overlong
        of.advance(lines.size)
    return found, overlong


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_lines_are_read_whole_however_they_are_written(tmp_path, size):
    wire = b"one\ntwo and more\n\nthr\xc3\xa9e\r\nfour\n"
    path = tmp_path / "0.log"
    path.touch()
    of, found = reader(path), []
    for at in range(0, len(wire), size):
        with path.open("ab") as file:
            file.write(wire[at : at + size])
        found.append(read_all(of, READ_SIZE_BYTES)[0])
    of.close()

    assert b"".join(found) == wire
    assert all(lines[-1:] in (b"", b"\n") for lines in found)


def test_a_line_without_its_newline_is_not_read(tmp_path):
    (tmp_path / "0.log").write_bytes(b"one\ntw")
    of = reader(tmp_path / "0.log")

    assert of.read(READ_SIZE_BYTES) == RawLines(b"one\n", 4)
    of.advance(4)
    assert of.read(READ_SIZE_BYTES) is None
    of.close()


@pytest.mark.parametrize("size", [1000, READ_SIZE_BYTES])
@pytest.mark.parametrize("length", [READ_SIZE_BYTES, 3 * READ_SIZE_BYTES + 1])
def test_only_the_beginning_of_a_very_long_line_is_read(tmp_path, size, length):
    (tmp_path / "0.log").write_bytes(b"before\n" + b"x" * length + b"\nafter\n")
    of = reader(tmp_path / "0.log")

    assert read_all(of, size) == (b"before\n" + b"x" * (MAX_LINE_BYTES - 1) + b"\nafter\n", 1)
    of.close()


def test_a_file_that_lost_what_was_read_is_truncated_and_read_from_its_start(tmp_path):
    path = tmp_path / "0.log"
    path.write_bytes(b"one\ntwo\n")
    of = reader(path)
    read_all(of, READ_SIZE_BYTES)
    before = of.truncated
    path.write_bytes(b"3\n")

    assert (before, of.truncated) == (False, True)
    of.rewind()
    assert read_all(of, READ_SIZE_BYTES) == (b"3\n", 0)
    of.close()


def offset_of_first_line(path, *parts):
    """Write these bytes and return the offset of the first line. A number stands for this many zeros."""
    with path.open("wb") as file:
        for part in parts:
            if isinstance(part, int):
                file.seek(part, os.SEEK_CUR)
            else:
                file.write(part)
    of = reader(path)
    try:
        return first_line_offset(of.file)
    finally:
        of.close()


def test_a_file_that_is_not_huge_is_read_from_its_start(tmp_path):
    assert offset_of_first_line(tmp_path / "0.log", FIRST_SIGHT_BYTES - 5, b"last\n") == 0


def test_a_huge_file_is_read_from_the_first_line_within_reach(tmp_path):
    path = tmp_path / "0.log"

    assert offset_of_first_line(path, b"gone\n", FIRST_SIGHT_BYTES - 5, b"last\n") == 5
    assert offset_of_first_line(path, b"begun", FIRST_SIGHT_BYTES - 4, b"\nlast\n") == FIRST_SIGHT_BYTES + 2


def test_a_huge_file_without_a_line_within_reach_is_read_from_its_start(tmp_path):
    """If it were read from its end, the end of that line would be taken for a line."""
    assert offset_of_first_line(tmp_path / "0.log", b"gone\n", FIRST_SIGHT_BYTES, b"begun") == 0
