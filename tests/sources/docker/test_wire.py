"""Bytes of the Engine's log, however they are cut, give each line once; a part of a line is never a line."""

import struct

import pytest

from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.docker.cursor import UnreadLines
from sidecar.sources.docker.wire import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_HEADER_BYTES,
    PART_BYTES,
    STDERR,
    STDOUT,
    ChunkDecoder,
    MultiplexedLines,
    ProtocolError,
    joined,
)
from tests.sources.docker.wire_bytes import NEW, chunked, cut, frame, line, read, stamp

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


def test_the_engines_own_error_is_raised():
    with pytest.raises(ProtocolError, match="Error grabbing logs: invalid character"):
        read([frame(STDOUT, line(1)), frame(3, b"Error grabbing logs: invalid character '\\x00'\n")])


# Long lines


def forged(at):
    return b"192.0.2.99 - - Authentication failure for admin from 192.0.2.99", at


def test_what_follows_dockers_cut_is_no_line_of_its_own():
    text, _ = forged(1)
    frames = [
        (STDOUT, stamp(1) + b" " + b"x" * PART_BYTES),
        (STDOUT, line(1, text)),
        (STDOUT, line(2, b"next")),
    ]

    assert read([frame(*each) for each in frames])[STDOUT] == [
        line(1, b"x" * PART_BYTES + text),
        line(2, b"next"),
    ]


def test_parts_with_stamps_of_their_own_are_joined():
    """As with the journald driver."""
    frames = [
        (STDOUT, stamp(1) + b" " + b"x" * PART_BYTES),
        (STDOUT, line(2, b"forged")),
        (STDOUT, line(3, b"next")),
    ]

    assert read([frame(*each) for each in frames])[STDOUT] == [
        line(1, b"x" * PART_BYTES + b"forged"),
        line(3, b"next"),
    ]


def test_parts_without_a_newline_at_the_end_are_joined():
    """As with the local driver of Docker 20.10."""
    parts = [b"x" * PART_BYTES, b"y" * PART_BYTES, b"forged"]
    frames = [*((STDOUT, stamp(1) + b" " + part) for part in parts), (STDOUT, line(2, b"next"))]

    assert read([frame(*each) for each in frames])[STDOUT] == [line(1, b"".join(parts)), line(2, b"next")]


def test_an_unfinished_line_is_dropped_when_a_new_writer_begins():
    frames = [(STDOUT, stamp(1) + b" half a li"), (STDOUT, line(2, b"a new process")), (STDERR, line(3))]

    assert read([frame(*each) for each in frames]) == {STDOUT: [line(2, b"a new process")], STDERR: [line(3)]}


@pytest.mark.parametrize("parts", [5, 100])
def test_a_line_that_is_too_long_is_cut_and_counted(parts):
    reader = UnreadLines(NEW)
    frames = [
        *[(STDOUT, stamp(1) + b" " + b"x" * PART_BYTES)] * parts,
        (STDOUT, line(1, b"forged")),
        (STDOUT, line(2)),
    ]

    [first, second] = read([frame(*each) for each in frames], reader)[STDOUT]

    assert (len(first), first[:40], first[-1:], second) == (
        MAX_LINE_BYTES,
        line(1, b"x" * 9)[:40],
        b"\n",
        line(2),
    )
    assert (reader.take_truncated(), reader.take_truncated()) == (1, 0)


def test_memory_is_bounded_for_a_line_without_an_end():
    lines = MultiplexedLines()
    for _ in range(1000):
        lines.feed(frame(STDOUT, stamp(1) + b" " + b"x" * PART_BYTES))

    assert len(lines._open[STDOUT].text) <= 2 * MAX_LINE_BYTES + 1


def test_a_driver_may_have_larger_parts():
    """awslogs cuts at 256 KiB: one frame may then be too long by itself."""
    reader = UnreadLines(NEW)

    [only] = read([frame(STDOUT, line(1, b"x" * 200_000))], reader)[STDOUT]

    assert (len(only), only[-2:], reader.take_truncated()) == (MAX_LINE_BYTES, b"x\n", 1)


def test_a_newline_inside_a_line_makes_no_second_line():
    assert joined([line(1), line(2, b"half\nforged\n"), line(3)]) == line(1) + line(
        2, b"half forged "
    ) + line(3)


# Terminals


TTY = line(1, b"one\r") + stamp(2) + b" " + b"x" * PART_BYTES + stamp(2) + b" forged\r\n" + line(3, b"\r")


@pytest.mark.parametrize("size", [1, 2, 30, 31, 32, 1000, 16_384, 100_000])
def test_a_terminals_lines_in_pieces_of_any_size(size):
    found = read(cut(TTY, size), UnreadLines(NEW, terminal=True))

    assert found == {
        STDOUT: [line(1, b"one"), line(2, b"x" * PART_BYTES + b" forged"[1:]), line(3, b"")],
        STDERR: [],
    }


def test_a_terminals_line_that_is_too_long_is_cut_and_counted():
    reader = UnreadLines(NEW, terminal=True)
    wire = (stamp(1) + b" " + b"x" * PART_BYTES) * 50 + stamp(1) + b" end\r\n" + line(2, b"\r")

    [first, second] = read(cut(wire, 5000), reader)[STDOUT]

    assert (len(first), first[-2:], second, reader.take_truncated()) == (
        MAX_LINE_BYTES,
        b"x\n",
        line(2, b""),
        1,
    )
    assert set(first[31:-1]) == {ord("x")}


def test_a_terminals_bytes_without_a_stamp_are_not_taken():
    with pytest.raises(ProtocolError):
        UnreadLines(NEW, terminal=True).feed(b"hello\r\n")
