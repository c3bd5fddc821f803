"""Bytes of the Engine's log, however they are cut, give each line once; a part of a line is never a line."""

import struct

import pytest

from sidecar.sources.docker.line_joiner import PART_BYTES
from sidecar.sources.docker.wire import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_HEADER_BYTES,
    STDERR,
    STDOUT,
    ChunkDecoder,
    ProtocolError,
    joined,
)
from tests.sources.docker.wire_bytes import chunked, cut, frame, line, read, stamp

LONG = b"x" * PART_BYTES + b"y" * PART_BYTES + b"z"
FRAMES = [
    (STDOUT, line(1, b"one")),
    (STDERR, line(1, b"uno")),
    (STDOUT, line(2, b"")),
    (STDOUT, stamp(3) + b" " + LONG[:PART_BYTES]),
    (STDERR, line(3, b"du\xe9")),
    (STDOUT, stamp(3) + b" " + LONG[PART_BYTES : 2 * PART_BYTES]),
    (STDOUT, line(3, LONG[2 * PART_BYTES :])),
    (STDOUT, line(4, b"four")),
]
WANTED = {
    STDOUT: [line(1, b"one"), line(2, b""), line(3, LONG), line(4, b"four")],
    STDERR: [line(1, b"uno"), line(3, b"du\xe9")],
}
SHORT = [
    (STDOUT, line(1, b"one")),
    (STDERR, line(1, b"uno")),
    (STDOUT, line(2, b"")),
    (STDOUT, line(4, b"four")),
]


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n"])
def test_lines_come_out_whole_at_every_cut(end):
    wire = chunked(*[frame(*each) for each in SHORT]) + end
    wanted = {STDOUT: [line(1, b"one"), line(2, b""), line(4, b"four")], STDERR: [line(1, b"uno")]}

    for at in range(len(wire) + 1):
        assert read([wire[:at], wire[at:]], chunks=ChunkDecoder()) == wanted


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 1000, 16_384, 65_536])
def test_lines_come_out_whole_in_pieces_of_any_size(size):
    wire = b"".join(frame(*each) for each in FRAMES)

    assert read(cut(chunked(*cut(wire, 5000)), size), chunks=ChunkDecoder()) == WANTED


def test_a_chunk_of_size_zero_ends_the_body():
    chunks = ChunkDecoder()

    assert (chunks.feed(b"3\r\nabc\r\n"), chunks.ended) == (b"abc", False)
    assert (chunks.feed(b"2;x=y\r\nde\r\n0\r\n"), chunks.ended) == (b"de", True)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 500 Oops\r\n",
        chunked(frame(STDOUT, b"no stamp\n")),
        chunked(frame(STDOUT, b"2026-11-22T08:40:04Z a stamp of another engine\n")),
        chunked(frame(7, line(1))),
        chunked(struct.pack(">BxxxL", STDOUT, 2**31) + b"x"),
    ],
)
def test_what_the_engine_never_sends_is_an_error(wire):
    with pytest.raises(ProtocolError):
        read([wire], chunks=ChunkDecoder())


@pytest.mark.parametrize(
    "wire",
    [
        b"-6\r\nabc",
        b"zz\r\n",
        b"\r\n",
        b"6;" + b"x" * 2 * MAX_CHUNK_HEADER_BYTES + b"\r\n",
        b"x" * (MAX_CHUNK_HEADER_BYTES + 1),
        b"3\r\nabc\r\n" + b"6;" + b"x" * MAX_CHUNK_HEADER_BYTES,
        b"%x\r\nabc" % (MAX_CHUNK_BYTES + 1),
        b"f" * 50_000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_a_malformed_chunk_is_an_error(wire, size):
    chunks = ChunkDecoder()

    with pytest.raises(ProtocolError):
        b"".join(map(chunks.feed, cut(wire, size)))


def test_the_largest_chunk_comes_out_whole():
    chunks, body = ChunkDecoder(), b"x" * MAX_CHUNK_BYTES

    assert b"".join(map(chunks.feed, cut(chunked(body), MAX_CHUNK_BYTES // 4))) == body


def test_a_newline_inside_a_line_makes_no_second_line():
    assert joined([line(1), line(2, b"half\nforged\n"), line(3)]) == line(1) + line(
        2, b"half forged "
    ) + line(3)
