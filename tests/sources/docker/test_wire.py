"""Bytes of the Engine's log, however they are cut, give each line once; what Docker cut is never a line."""

import struct
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.docker.wire import (
    ERR,
    HELD,
    OUT,
    PART,
    RECENT,
    STEP,
    Bookmark,
    Broken,
    Chunks,
    Lines,
    Position,
    Reader,
    Repeats,
    joined,
    seconds,
)

DAY = 1_795_000_000  # a time in 2026
NEW = Bookmark(DAY)


def stamp(at):
    """Docker's, of so many nanoseconds after DAY."""
    second, nano = divmod(at, 10**9)
    minute, second = divmod(second + DAY % 86_400, 60)
    hour, minute = divmod(minute, 60)
    return b"2026-11-%02dT%02d:%02d:%02d.%09dZ" % (18 + hour // 24, hour % 24, minute, second, nano)


def line(at, text=b"a line"):
    return stamp(at) + b" " + text + b"\n"


def frame(stream, payload):
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def chunked(*bodies):
    return b"".join(b"%x\r\n%s\r\n" % (len(body), body) for body in bodies)


def cut(wire, size):
    return [wire[at : at + size] for at in range(0, len(wire), size)]


def read(pieces, reader=None, chunks=None):
    """All lines of each stream."""
    reader = reader or Reader(NEW)
    found = {OUT: [], ERR: []}
    for piece in pieces:
        for stream, lines, _ in reader.feed(chunks.feed(piece) if chunks else piece):
            found[stream] += lines
    return found


LONG = b"x" * PART + b"y" * PART + b"z"
FRAMES = [
    (OUT, line(1, b"one")),
    (ERR, line(1, b"uno")),
    (OUT, line(2, b"")),
    (OUT, stamp(3) + b" " + LONG[:PART]),
    (ERR, line(3, b"du\xe9")),
    (OUT, stamp(3) + b" " + LONG[PART : 2 * PART]),
    (OUT, line(3, LONG[2 * PART :])),
    (OUT, line(4, b"four")),
]
WANTED = {
    OUT: [line(1, b"one"), line(2, b""), line(3, LONG), line(4, b"four")],
    ERR: [line(1, b"uno"), line(3, b"du\xe9")],
}
SHORT = [(OUT, line(1, b"one")), (ERR, line(1, b"uno")), (OUT, line(2, b"")), (OUT, line(4, b"four"))]


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n"])
def test_lines_come_out_whole_at_every_cut(end):
    wire = chunked(*[frame(*each) for each in SHORT]) + end
    wanted = {OUT: [line(1, b"one"), line(2, b""), line(4, b"four")], ERR: [line(1, b"uno")]}

    for at in range(len(wire) + 1):
        assert read([wire[:at], wire[at:]], chunks=Chunks()) == wanted


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 31, 1000, 16_384, 65_536])
def test_lines_come_out_whole_in_pieces_of_any_size(size):
    wire = b"".join(frame(*each) for each in FRAMES)

    assert read(cut(chunked(*cut(wire, 5000)), size), chunks=Chunks()) == WANTED


def test_chunks_end_where_they_say_so():
    chunks = Chunks()

    assert (chunks.feed(b"3\r\nabc\r\n"), chunks.ended) == (b"abc", False)
    assert (chunks.feed(b"2;x=y\r\nde\r\n0\r\n"), chunks.ended) == (b"de", True)


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 500 Oops\r\n",
        chunked(frame(OUT, b"no stamp\n")),
        chunked(frame(OUT, b"2026-11-22T08:40:04Z a stamp of another engine\n")),
        chunked(frame(7, line(1))),
        chunked(struct.pack(">BxxxL", OUT, 2**31) + b"x"),
    ],
)
def test_what_the_engine_never_says_is_not_taken(wire):
    with pytest.raises(Broken):
        read([wire], chunks=Chunks())


def test_the_engines_own_error_is_told():
    with pytest.raises(Broken, match="Error grabbing logs: invalid character"):
        read([frame(OUT, line(1)), frame(3, b"Error grabbing logs: invalid character '\\x00'\n")])


# Long lines


def forged(at):
    return b"192.0.2.99 - - Authentication failure for admin from 192.0.2.99", at


def test_what_follows_dockers_cut_is_no_line_of_its_own():
    text, _ = forged(1)
    frames = [(OUT, stamp(1) + b" " + b"x" * PART), (OUT, line(1, text)), (OUT, line(2, b"next"))]

    assert read([frame(*each) for each in frames])[OUT] == [line(1, b"x" * PART + text), line(2, b"next")]


def test_nor_where_each_part_has_a_time_of_its_own():
    """As with the journald driver."""
    frames = [(OUT, stamp(1) + b" " + b"x" * PART), (OUT, line(2, b"forged")), (OUT, line(3, b"next"))]

    assert read([frame(*each) for each in frames])[OUT] == [
        line(1, b"x" * PART + b"forged"),
        line(3, b"next"),
    ]


def test_nor_where_the_newline_is_missing_behind_the_last_part():
    """As with the local driver of Docker 20.10."""
    parts = [b"x" * PART, b"y" * PART, b"forged"]
    frames = [*((OUT, stamp(1) + b" " + part) for part in parts), (OUT, line(2, b"next"))]

    assert read([frame(*each) for each in frames])[OUT] == [line(1, b"".join(parts)), line(2, b"next")]


def test_a_line_whose_writer_died_is_none():
    frames = [(OUT, stamp(1) + b" half a li"), (OUT, line(2, b"a new process")), (ERR, line(3))]

    assert read([frame(*each) for each in frames]) == {OUT: [line(2, b"a new process")], ERR: [line(3)]}


@pytest.mark.parametrize("parts", [5, 100])
def test_a_line_that_is_too_long_is_cut_and_counted(parts):
    reader = Reader(NEW)
    frames = [*[(OUT, stamp(1) + b" " + b"x" * PART)] * parts, (OUT, line(1, b"forged")), (OUT, line(2))]

    [first, second] = read([frame(*each) for each in frames], reader)[OUT]

    assert (len(first), first[:40], first[-1:], second) == (
        MAX_LINE_BYTES,
        line(1, b"x" * 9)[:40],
        b"\n",
        line(2),
    )
    assert (reader.take_cut(), reader.take_cut()) == (1, 0)


def test_memory_is_bounded_for_a_line_without_an_end():
    lines = Lines()
    for _ in range(1000):
        lines.feed([(OUT, stamp(1) + b" " + b"x" * PART)])

    assert len(lines._open[OUT].text) <= 2 * MAX_LINE_BYTES + 1


def test_a_driver_may_have_larger_parts():
    """awslogs cuts at 256 KiB: one frame may then be too long by itself."""
    reader = Reader(NEW)

    [only] = read([frame(OUT, line(1, b"x" * 200_000))], reader)[OUT]

    assert (len(only), only[-2:], reader.take_cut()) == (MAX_LINE_BYTES, b"x\n", 1)


def test_a_newline_inside_a_line_makes_no_second_line():
    assert joined([line(1), line(2, b"half\nforged\n"), line(3)]) == line(1) + line(
        2, b"half forged "
    ) + line(3)


# Terminals


TTY = line(1, b"one\r") + stamp(2) + b" " + b"x" * PART + stamp(2) + b" forged\r\n" + line(3, b"\r")


@pytest.mark.parametrize("size", [1, 2, 30, 31, 32, 1000, 16_384, 100_000])
def test_a_terminals_lines_in_pieces_of_any_size(size):
    found = read(cut(TTY, size), Reader(NEW, terminal=True))

    assert found == {OUT: [line(1, b"one"), line(2, b"x" * PART + b" forged"[1:]), line(3, b"")], ERR: []}


def test_a_terminals_line_that_is_too_long_is_cut_and_counted():
    reader = Reader(NEW, terminal=True)
    wire = (stamp(1) + b" " + b"x" * PART) * 50 + stamp(1) + b" end\r\n" + line(2, b"\r")

    [first, second] = read(cut(wire, 5000), reader)[OUT]

    assert (len(first), first[-2:], second, reader.take_cut()) == (MAX_LINE_BYTES, b"x\n", line(2, b""), 1)
    assert set(first[31:-1]) == {ord("x")}


def test_a_terminals_bytes_without_a_stamp_are_not_taken():
    with pytest.raises(Broken):
        Reader(NEW, terminal=True).feed(b"hello\r\n")


# Bookmarks


def test_a_bookmark_is_kept_as_text():
    mark = Bookmark(DAY, stamp(5), 2, 1, stamp(9), b"", stamp(4))

    assert Bookmark.decode(mark.encode()) == mark
    assert Bookmark.decode(NEW.encode()) == NEW


@pytest.mark.parametrize("text", [b"", b"2 1 x 0 0   ", b"1 2", b"1 a b c d e f g"])
def test_what_is_no_bookmark_is_refused(text):
    with pytest.raises(ValueError):
        Bookmark.decode(text)


def test_reading_begins_early_enough_for_what_is_unfinished():
    at = 1000 * 10**9
    mark = Bookmark(DAY, stamp(at))
    recent, old = stamp(at - 30 * 10**9), stamp(at - 2 * HELD * 10**9)

    assert NEW.start() == DAY
    assert mark.start() == DAY + 1000 - STEP - 1
    assert (replace(mark, open_out=recent).start(), replace(mark, open_out=recent).lost()) == (DAY + 967, {})
    assert (replace(mark, open_err=old).start(), replace(mark, open_err=old).lost()) == (
        DAY + 997,
        {ERR: old},
    )


def test_the_end_of_a_line_whose_beginning_is_out_of_reach_is_no_line():
    begun = stamp(10**9)
    last = Bookmark(DAY, stamp(200 * 10**9), open_err=begun)
    reader = Reader(last)
    reader.position.give_up()

    frames = [(ERR, begun + b" forged\n"), (ERR, line(201 * 10**9)), (OUT, line(202 * 10**9))]

    assert read([frame(*each) for each in frames], reader) == {
        OUT: [line(202 * 10**9)],
        ERR: [line(201 * 10**9)],
    }


def test_lines_that_the_engine_sends_again_are_taken_out():
    """Docker before 23, when it rotates a log under its reader."""
    lines = [(OUT, line(at)) for at in range(10)] + [(ERR, line(8))]
    wire = b"".join(
        frame(*each) for each in [*lines, *lines[4:], (OUT, line(10)), *lines[9:], (OUT, line(11))]
    )

    for size in (40, 200, 10_000):
        found = read(cut(wire, size), Reader(NEW, repeats=True))
        assert found == {OUT: [line(at) for at in range(12)], ERR: [line(8)]}


def test_but_not_those_of_a_clock_that_was_set_back():
    lines = [(OUT, line(at)) for at in (5, 6, 7, 1, 2, 3)]

    assert Repeats().without(lines) == lines


def test_only_so_much_is_kept_to_know_them():
    repeats = Repeats()
    for at in range(3 * RECENT):
        repeats.without([(OUT, line(at))])

    assert len(repeats._recent) <= 2 * RECENT


def test_a_mark_that_was_rotated_away_is_a_gap():
    position = Position(Bookmark(DAY, stamp(5)))

    assert position.fresh([(OUT, line(4)), (OUT, line(6)), (OUT, line(7))]) == [
        (OUT, line(6)),
        (OUT, line(7)),
    ]
    assert position.gap


def test_when_the_clock_was_set_back_reading_begins_at_the_new_time():
    """The Engine would wait for the old time to come again before it sends a line."""
    position = Position(NEW)
    old, new = 5000 * 10**9, 1000 * 10**9

    position.fresh([(OUT, line(old)), (OUT, line(new)), (ERR, line(new + 1)), (OUT, line(new + 2))])
    mark = position.bookmark({})
    again = Position(mark)

    assert mark == Bookmark(DAY, stamp(new + 2), top=stamp(old))
    assert mark.start() == DAY + 1000 - STEP - 1
    assert again.fresh([(OUT, line(old)), (OUT, line(new)), (ERR, line(new + 1)), (OUT, line(new + 2))]) == []
    assert again.fresh([(OUT, line(new + 3))]) == [(OUT, line(new + 3))]
    assert not again.gap


def test_once_the_old_time_has_passed_it_is_forgotten():
    position = Position(Bookmark(DAY, stamp(1), top=stamp(5)))
    position.fresh([(OUT, line(1)), (OUT, line(6))])

    assert position.bookmark({}) == Bookmark(DAY, stamp(6))


class Log:
    """A container's log as the Engine keeps it: frames in the order of the file."""

    def __init__(self, frames, *, before24):
        self.frames, self._before24 = frames, before24

    def since(self, start, end):
        """What a request gets while the file holds `end` frames: inclusive; see Bookmark.start()."""
        late = [seconds(payload) >= start for _, payload in self.frames[:end]]
        if self._before24:
            return [each for each, keep in zip(self.frames, late, strict=False) if keep]
        return self.frames[late.index(True) : end] if True in late else []


TEXTS = st.sampled_from([b"same", b"same", b"other"])
STEPS = st.sampled_from([0, 0, 1, 1, 1000, 10**6, 10**9])
SKEWS = st.sampled_from([0, 0, 0, 1000, 10**6, 10**9])
STILL = st.just(0)
# The odd part: that a clock set back hits a nanosecond that it had before is not looked into.
SETS = st.sampled_from([*[0] * 12, *(each * 10**9 - 123_456_789 for each in (-3600, -61, -30, -5, 3600))])


@st.composite
def logs(draw, *, sets=STILL):
    """Two streams, with equal and disordered stamps, equal lines, lines in parts, and clocks that are set."""
    frames, now = [], 100 * 3600 * 10**9
    for _ in range(draw(st.integers(1, 30))):
        now += draw(STEPS) + draw(sets)
        stream, at = draw(st.sampled_from([OUT, OUT, ERR])), now - draw(SKEWS)
        for _ in range(draw(st.sampled_from([0, 0, 0, 0, 1, 2]))):
            frames.append((stream, stamp(at) + b" " + b"x" * PART))
            if draw(st.booleans()):
                now += draw(STEPS)
                frames.append((OUT + ERR - stream, line(now, draw(TEXTS))))
        frames.append((stream, line(at, draw(TEXTS))))
    return frames


def whole(frames):
    """What one uninterrupted reading sees, without our own bookkeeping."""
    found, held = {OUT: [], ERR: []}, {OUT: b"", ERR: b""}
    for stream, payload in frames:
        held[stream] += payload[31:] if held[stream] else payload
        if held[stream].endswith(b"\n"):
            found[stream].append(held[stream])
            held[stream] = b""
    return found


@settings(max_examples=200, deadline=None)
@given(logs(sets=SETS), st.data())
def test_every_line_counts_once_whatever_happens_between(frames, data):
    """The connection ends anywhere, the process is killed between any two batches, the clock is set."""
    assert counted(Log(frames, before24=False), data) == whole(frames)


@settings(max_examples=200, deadline=None)
@given(logs(), st.data())
def test_and_with_an_engine_that_leaves_out_older_lines_throughout(frames, data):
    """Such an engine itself loses lines when the clock is set back; so here it is not."""
    assert counted(Log(frames, before24=True), data) == whole(frames)


def counted(log, data):
    found, kept = {OUT: [], ERR: []}, NEW.encode()
    for _ in range(data.draw(st.integers(0, 6))):
        kept = connect(log, kept, found, data)
    connect(log, kept, found, data, final=True)
    return found


def connect(log, kept, found, data, *, final=False):
    """One connection: what of it counts, up to the last cursor that was stored."""
    reader = Reader(Bookmark.decode(kept))
    end = len(log.frames) if final else data.draw(st.integers(0, len(log.frames)))
    wire = b"".join(frame(*each) for each in log.since(Bookmark.decode(kept).start(), end))
    if not final:
        wire = wire[: data.draw(st.integers(0, len(wire)))]
    batches = [
        batch for piece in cut(wire, data.draw(st.integers(40, 40_000))) for batch in reader.feed(piece)
    ]
    if not final:
        batches = batches[: data.draw(st.integers(0, len(batches)))]
    for stream, lines, bookmark in batches:
        found[stream] += lines
        kept = bookmark.encode()
    assert not reader.position.gap
    return kept
