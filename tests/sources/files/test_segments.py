"""Which files are one log, in which order, and that packed ones read as they did before."""

import errno
import math
import os
from pathlib import Path

import pytest

from sidecar.sources.files.segments import Packed, Piece, Plain, opened, pieces
from sidecar.sources.files.source import HEAD, Place
from tests.sources.files.kubelet import pack


def names(folder):
    return [os.path.relpath(piece.path, folder) for piece in pieces(str(folder))]


def test_kubelets_pieces_in_the_order_they_were_written(tmp_path):
    for name in (
        "1.log", "0.log", "0.log.20261122-084004", "0.log.20261122-083004.gz", "10.log", "1.log.20261122-090000",
        "0.log.20261122-082004.tmp", "0.log.bak", "notes.txt", "x.log",
    ):  # fmt: skip
        (tmp_path / name).touch()

    assert names(tmp_path) == [
        "0.log.20261122-083004.gz", "0.log.20261122-084004", "0.log", "1.log.20261122-090000", "1.log", "10.log",
    ]  # fmt: skip


def test_what_is_just_being_packed_is_one_piece(tmp_path):
    for name in ("0.log", "0.log.20261122-084004.gz", "0.log.20261122-084004"):
        (tmp_path / name).touch()

    assert names(tmp_path) == ["0.log.20261122-084004", "0.log"]


def test_dockers_pieces_in_the_order_they_were_written(tmp_path):
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


def test_a_link_to_dockers_file_is_all_of_dockers_files(tmp_path):
    docker, pod = tmp_path / "docker", tmp_path / "pod"
    docker.mkdir()
    pod.mkdir()
    for end in ("", ".1"):
        (docker / f"abc-json.log{end}").touch()
    (pod / "3.log").symlink_to(docker / "abc-json.log")

    assert pieces(str(pod)) == [
        Piece(3, -1.0, packed=False, path=f"{docker}/abc-json.log.1"),
        Piece(3, 0.0, packed=False, path=f"{docker}/abc-json.log"),
    ]


def test_a_link_to_what_is_not_here_is_itself(tmp_path):
    (tmp_path / "3.log").symlink_to("/nowhere/abc-json.log")

    assert pieces(str(tmp_path)) == [Piece(3, 0.0, packed=False, path=f"{tmp_path}/3.log")]


def test_a_link_to_another_file_is_that_file(tmp_path):
    (tmp_path / "else.txt").write_text("x")
    (tmp_path / "3.log").symlink_to(tmp_path / "else.txt")

    assert pieces(str(tmp_path)) == [Piece(3, math.inf, packed=False, path=f"{tmp_path}/3.log")]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo])
def test_only_a_file_is_opened(tmp_path, make):
    make(tmp_path / "0.log")
    with pytest.raises(OSError):
        Plain(str(tmp_path / "0.log"))


@pytest.fixture
def both(tmp_path):
    """A file and, packed, its copy."""
    data = b"".join(b"%d line\n" % number for number in range(100_000))
    for name in ("0.log", "0.log.20261122-084004"):
        (tmp_path / name).write_bytes(data)
    pack(tmp_path / "0.log.20261122-084004")
    packed, plain = (opened(piece) for piece in pieces(str(tmp_path)))
    yield plain, packed, data
    plain.close()
    packed.close()


@pytest.mark.parametrize("size", [1, 100, 8192, 65_536, 2_000_000])
def test_packed_it_reads_as_the_file_did(both, size):
    plain, packed, data = both
    at = 0
    for _ in range(20):
        chunk = packed.read(at, size)
        assert chunk == plain.read(at, size) == data[at : at + size]
        at += max(1, chunk.rfind(b"\n") + 1)  # the end of a chunk is wanted again
    assert packed.read(3, size) == data[3 : 3 + size]
    assert packed.read(len(data), size) == packed.read(len(data) + 5, size) == b""


@pytest.mark.parametrize("offset", [0, 7, HEAD, 5000])
def test_it_is_known_by_its_beginning_packed_or_not(both, offset):
    plain, packed, _ = both
    place = plain.after(Place(plain.status.st_ino), offset)

    assert plain.has(place)
    assert packed.has(place) is (offset > 0)  # of nothing read, nothing is known
    assert packed.after(Place(plain.status.st_ino), offset) == place
    assert not packed.has(Place(place.inode, offset, 3, 0))
    assert not plain.has(Place(place.inode + 1, *(place.offset, place.size, place.crc)))


def test_a_file_that_is_shorter_than_what_was_read_is_another(both):
    plain, _, data = both

    assert plain.has(Place(plain.status.st_ino), len(data))
    assert not plain.has(Place(plain.status.st_ino), len(data) + 1)


def test_what_is_no_gzip_has_nothing(tmp_path, caplog):
    (tmp_path / "0.log.20261122-084004.gz").write_bytes(b"hello")
    packed = Packed(str(tmp_path / "0.log.20261122-084004.gz"))

    assert packed.read(0, 10) == b"" and "is damaged" in caplog.text
    packed.close()


@pytest.mark.parametrize(
    "spoil",
    [lambda data: data[:-500], lambda data: data[:-500] + b"\xff" * 492 + data[-8:]],
    ids=["cut", "spoilt"],
)
def test_what_a_damaged_gzip_still_has_is_read_and_nothing_is_raised(both, tmp_path, caplog, spoil):
    _, _, data = both
    path = tmp_path / "0.log.20261122-084004.gz"
    path.write_bytes(spoil(path.read_bytes()))
    os.utime(path, (1, 1))  # nobody packs it any more
    packed, found = Packed(str(path)), b""
    while chunk := packed.read(len(found), 8192):
        found += chunk
    packed.close()

    assert data.startswith(found) and len(found) > len(data) // 2
    assert "is damaged" in caplog.text


def test_what_is_wrong_with_an_open_file_names_it(tmp_path):
    (tmp_path / "0.log").symlink_to("/proc/self/mem")
    plain = Plain(str(tmp_path / "0.log"))
    with pytest.raises(OSError) as caught:
        plain.read(0, 1)
    plain.close()

    assert (caught.value.errno, caught.value.filename) == (errno.EIO, str(tmp_path / "0.log"))
