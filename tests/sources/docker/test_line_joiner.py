"""Docker cuts long lines into parts; what follows a cut is never a line of its own."""

import pytest

from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.docker.cursor import UnreadLines
from sidecar.sources.docker.line_joiner import PART_BYTES, MultiplexedLines
from sidecar.sources.docker.wire import STDERR, STDOUT, LogReadError, ProtocolError
from tests.sources.docker.wire_bytes import NEW, cut, frame, line, read, stamp

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


# Terminals


TTY = line(1, b"one\r") + stamp(2) + b" " + b"x" * PART_BYTES + stamp(2) + b" forged\r\n" + line(3, b"\r")


@pytest.mark.parametrize("size", [1, 2, 30, 31, 32, 1000, 16_384, 100_000])
def test_a_terminals_lines_in_pieces_of_any_size(size):
    found = read(cut(TTY, size), UnreadLines(NEW))

    assert found == {
        STDOUT: [line(1, b"one"), line(2, b"x" * PART_BYTES + b" forged"[1:]), line(3, b"")],
        STDERR: [],
    }


def test_a_terminals_line_that_is_too_long_is_cut_and_counted():
    reader = UnreadLines(NEW)
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
        UnreadLines(NEW).feed(b"2 hello\r\n")


def test_the_engines_own_error_is_kept_behind_the_lines_that_came_before_it():
    decoder = MultiplexedLines()
    error = frame(3, b"Error grabbing logs: invalid character '\\x00'\n")

    assert decoder.feed(frame(STDOUT, line(1)) + error) == [(STDOUT, line(1))]
    assert isinstance(decoder.failure, LogReadError)
    assert str(decoder.failure) == "Error grabbing logs: invalid character '\\x00'"
