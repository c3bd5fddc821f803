"""A plain file's lines are handed on as they are, except for the ends of those that are too long."""

import pytest

from sidecar.core.events import Framing
from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.files.cursor import FilePosition, LogCursor
from sidecar.sources.files.decoder import DecodedLines, PlainLines, count_lines, shorten_lines

LONGEST = b"x" * (MAX_LINE_BYTES - 1) + b"\n"


def test_lines_are_counted_by_their_ends():
    assert [count_lines(data) for data in (b"", b"\n", b"a\nb\n")] == [0, 1, 2]


@pytest.mark.parametrize("before", [b"", b"short\n", b"short\n" * 20_000])
@pytest.mark.parametrize("after", [b"", b"next\n"])
def test_only_lines_that_are_too_long_are_cut(before, after):
    for length, cut in ((MAX_LINE_BYTES - 1, 0), (MAX_LINE_BYTES, 1), (3 * MAX_LINE_BYTES, 1)):
        data = before + b"x" * length + b"\n" + after

        assert shorten_lines(data) == (before + LONGEST + after, cut)


def test_each_of_several_long_lines_is_cut():
    long = b"x" * 100_000 + b"\n"

    assert shorten_lines(long + b"a\n" + long + long) == (LONGEST + b"a\n" + LONGEST + LONGEST, 3)


def test_a_batch_of_plain_lines_has_the_cursor_of_its_end():
    decoder, position = PlainLines(Framing.SYSLOG), FilePosition(1, 8)

    assert decoder.prepare(b"one\ntwo\n") == (b"one\ntwo\n", 8)
    assert decoder.feed(b"one\ntwo\n", position) == [DecodedLines("", b"one\ntwo\n", 2, LogCursor(position))]
    assert (decoder.overlong, decoder.framing, decoder.last_time(b"one\n")) == (0, Framing.SYSLOG, None)


def test_long_plain_lines_are_counted():
    decoder = PlainLines()
    (lines,) = decoder.feed(b"x" * 100_000 + b"\n", FilePosition(1, 100_001))

    assert (lines.data, lines.count, decoder.overlong) == (LONGEST, 1, 1)


def test_the_cursor_of_plain_lines_is_a_file_position():
    decoder, cursor = PlainLines(), LogCursor(FilePosition(12, 34, 56, 78))

    assert decoder.encode(cursor) == b"1 12 34 56 78"
    assert decoder.decode(b"1 12 34 56 78") == cursor
    assert decoder.decode(b"") == LogCursor()
