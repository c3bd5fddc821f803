import io
import sys

import pytest

from sidecar.cli.lines import LONGEST, chunks, framed, opened
from sidecar.control import exit_codes
from sidecar.control.exit_codes import Failed
from sidecar.core.events import Framing


class Pipe:
    """Gives what was written, a piece at a time."""

    def __init__(self, *pieces):
        self._pieces = [*pieces, b""]

    def read1(self, _size):
        return self._pieces.pop(0)


def test_pieces_become_whole_lines():
    assert list(chunks(Pipe(b"one\ntw", b"o\nthr", b"ee", b"\nfour"))) == [
        b"one\n",
        b"two\n",
        b"three\n",
        b"four\n",
    ]


def test_a_line_without_an_end_takes_no_more_memory_than_a_long_one():
    piece = b"x" * LONGEST
    (line,) = chunks(Pipe(*[piece] * 50))

    assert len(line) <= 2 * LONGEST + 1


def test_the_framing_is_the_given_one_or_what_the_beginning_looks_like():
    stamped = b"2026-11-22T08:40:04.123456789Z hello\n"

    assert [framing for _, framing in framed(iter([stamped, b"bare\n"]), None)] == [Framing.DOCKER] * 2
    assert [framing for _, framing in framed(iter([stamped]), Framing.NONE)] == [Framing.NONE]
    assert [framing for _, framing in framed(iter([b"a banner\n", stamped, b"bare\n"]), None)] == [
        Framing.NONE,
        Framing.DOCKER,
        Framing.DOCKER,
    ]


def test_a_file_or_standard_input(tmp_path, monkeypatch):
    (tmp_path / "log").write_bytes(b"a line\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"typed\n")))

    with opened(str(tmp_path / "log")) as log, opened("-") as typed:
        assert [*chunks(log), *chunks(typed)] == [b"a line\n", b"typed\n"]


@pytest.mark.parametrize("name", ["", "none"])
def test_a_log_that_cannot_be_read_is_said(tmp_path, name):
    with pytest.raises(Failed, match="cannot be read: ") as end, opened(str(tmp_path / name)):
        pass

    assert end.value.code == exit_codes.NO_INPUT


def test_the_parts_of_a_line_are_one_line_and_lines_keep_their_numbers():
    parts = (
        b"2026-11-22T08:00:00Z stdout P one\n",
        b"2026-11-22T08:00:00Z stderr F other\n",
        b"2026-11-22T08:00:00Z stdout P , two\n",
        b"2026-11-22T08:00:00Z stdout F , three\n",
    )
    whole = b"\n2026-11-22T08:00:00Z stderr F other\n\n2026-11-22T08:00:00Z stdout F one, two, three\n"

    assert [chunk for chunk, _ in framed(iter([b"".join(parts)]), Framing.CRI)] == [whole]
    assert b"".join(chunk for chunk, _ in framed(iter(parts), Framing.CRI)) == whole
