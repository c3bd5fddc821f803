import io
import sys

import pytest

from sidecar.cli.log_lines import MAX_KEPT_BYTES, decode_line, line_chunks, open_log, with_framing
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.events import Framing
from sidecar.filters.line_text import CUT_MARK, MAX_LINE_BYTES


class Pipe:
    """Returns what was written, a piece at a time."""

    def __init__(self, *pieces):
        self._pieces = [*pieces, b""]

    def read1(self, _size):
        return self._pieces.pop(0)


def test_pieces_become_whole_lines():
    assert list(line_chunks(Pipe(b"one\ntw", b"o\nthr", b"ee", b"\nfour"))) == [
        b"one\n",
        b"two\n",
        b"three\n",
        b"four\n",
    ]


def test_a_line_without_an_end_takes_no_more_memory_than_a_long_one():
    piece = b"x" * MAX_KEPT_BYTES
    (line,) = line_chunks(Pipe(*[piece] * 50))

    assert len(line) <= 2 * MAX_KEPT_BYTES + 1


def test_the_framing_is_the_given_one_or_is_detected():
    stamped = b"2026-11-22T08:40:04.123456789Z hello\n"

    assert [framing for _, framing in with_framing(iter([stamped, b"bare\n"]), None)] == [Framing.DOCKER] * 2
    assert [framing for _, framing in with_framing(iter([stamped]), Framing.NONE)] == [Framing.NONE]
    assert [framing for _, framing in with_framing(iter([b"a banner\n", stamped, b"bare\n"]), None)] == [
        Framing.NONE,
        Framing.DOCKER,
        Framing.DOCKER,
    ]


def test_a_file_or_standard_input(tmp_path, monkeypatch):
    (tmp_path / "log").write_bytes(b"a line\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"typed\n")))

    with open_log(str(tmp_path / "log")) as log, open_log("-") as typed:
        assert [*line_chunks(log), *line_chunks(typed)] == [b"a line\n", b"typed\n"]


@pytest.mark.parametrize("name", ["", "none"])
def test_a_log_that_cannot_be_read_is_a_failure(tmp_path, name):
    with pytest.raises(Failed, match="cannot be read: ") as end, open_log(str(tmp_path / name)):
        pass

    assert end.value.code == ExitCode.NO_INPUT


def test_the_parts_of_a_line_are_one_line_and_lines_keep_their_numbers():
    parts = (
        b"2026-11-22T08:00:00Z stdout P one\n",
        b"2026-11-22T08:00:00Z stderr F other\n",
        b"2026-11-22T08:00:00Z stdout P , two\n",
        b"2026-11-22T08:00:00Z stdout F , three\n",
    )
    whole = b"\n2026-11-22T08:00:00Z stderr F other\n\n2026-11-22T08:00:00Z stdout F one, two, three\n"

    assert [chunk for chunk, _ in with_framing(iter([b"".join(parts)]), Framing.CRI)] == [whole]
    assert b"".join(chunk for chunk, _ in with_framing(iter(parts), Framing.CRI)) == whole


def test_a_long_line_is_cut_with_a_mark():
    assert decode_line(b"a line \xff") == "a line \ufffd"
    assert decode_line(b"x" * (MAX_LINE_BYTES + 1)) == "x" * MAX_LINE_BYTES + CUT_MARK
