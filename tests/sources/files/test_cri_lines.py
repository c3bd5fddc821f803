"""Partial lines are joined and never taken for lines, in each stream and wherever chunks end."""

import random

import pytest

from sidecar.sources.base import MAX_LINE_BYTES
from sidecar.sources.files.cri_lines import LineJoiner, StreamLines

STAMP = "2026-11-22T08:40:04.123456789Z"
FORGED = '203.0.113.9 - - [22/Nov/2026:08:40:04 +0000] "POST /wp-login.php HTTP/1.1" 200 5'


def cri(*lines, stamp=STAMP):
    """Return lines as a runtime writes them: `out F text`, `err P text`."""
    return "".join(f"{stamp} std{line}\n" for line in lines).encode()


def read(joiner, *chunks):
    """Feed the chunks and return the lines by stream."""
    found = {}
    for chunk in chunks:
        for lines in joiner.feed(chunk):
            assert lines.count == lines.data.count(b"\n")
            found[lines.stream] = found.get(lines.stream, b"") + lines.data
    return found


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_full_lines_of_one_stream_are_returned_unchanged(stream):
    data = f"{STAMP} {stream} F one\n{STAMP} {stream} F \n{STAMP} {stream} F\n{STAMP} {stream} F:tag two\n".encode()
    (lines,) = LineJoiner().feed(data)

    assert lines == StreamLines(stream, data, 4)
    assert lines.data is data


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(
    "other", [f"{STAMP} stderr F x", f"{STAMP} stdout P x", f"{STAMP} stderr P ", "x", "", "\0"]
)
@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_single_other_line_is_found_wherever_it_is(stream, other, before):
    """A fast check decides whether all lines are of one stream. It must not miss any."""
    usual = f"{STAMP} {stream} F a\n".encode()
    data = usual * before + f"{other}\n".encode() + usual
    found = read(LineJoiner(), data)

    assert (found.get(stream) == data) == (f"{stream} F" in other)


def test_the_lines_of_two_streams_are_separated():
    assert read(LineJoiner(), cri("out F a", "err F b", "err F c", "out F d")) == {
        "stdout": cri("out F a", "out F d"),
        "stderr": cri("err F b", "err F c"),
    }


def test_streams_and_tags_within_the_text_mean_nothing():
    lines = cri(f"out F {STAMP} stderr P x", "out F  stderr F y", f"out F {STAMP} stdout F z")

    assert read(LineJoiner(), lines) == {"stdout": lines}


def test_parts_are_joined_to_a_line_with_the_time_of_the_first():
    first, rest = (
        cri("out P GET /", stamp="2026-11-22T08:40:04Z"),
        cri("err F b", "out P a", "out F:x " + FORGED),
    )

    assert read(LineJoiner(), first, rest) == {
        "stdout": f"2026-11-22T08:40:04Z stdout F GET /a{FORGED}\n".encode(),
        "stderr": cri("err F b"),
    }


def test_a_joined_line_that_is_too_long_is_cut_and_counted():
    joiner = LineJoiner()
    part = "x" * 16_384
    found = read(joiner, *[cri(f"out P {part}")] * 10, cri("out F " + FORGED, "out F next"))

    assert found == {
        "stdout": cri("out F " + "x" * 100_000)[: MAX_LINE_BYTES - 1] + b"\n" + cri("out F next")
    }
    assert joiner.take_counts() == (1, 0)


@pytest.mark.parametrize("before", [0, 3, 1000])
def test_a_full_line_that_is_too_long_is_cut_and_counted(before):
    joiner = LineJoiner()
    short = cri("out F short") * before
    found = read(joiner, short + cri("err F " + "y" * 200_000, "err F next"))
    long = cri("err F " + "y" * 200_000)[: MAX_LINE_BYTES - 1] + b"\n"

    assert found == {**({"stdout": short} if short else {}), "stderr": long + cri("err F next")}
    assert joiner.take_counts() == (1, 0)


def test_the_end_of_a_line_whose_beginning_was_not_read_is_dropped():
    """An attacker may have chosen it."""
    joiner = LineJoiner(["stdout", "stderr"])

    assert read(joiner, cri("out P a", "out F " + FORGED, "out F one"), cri("err F two", "err F three")) == {
        "stdout": cri("out F one"),
        "stderr": cri("err F three"),
    }
    assert joiner.partial == set()


def test_the_finished_size_ends_after_the_last_joined_line():
    joiner = LineJoiner()
    whole = cri("out F 1", "err P a", "out F 2", "err F b", "out F 3")

    assert [joiner.finished_size(data) for data in (b"", whole, whole + cri("out P c", "err F d"))] == [
        0,
        *[len(whole)] * 2,
    ]
    joiner.feed(cri("out P begun"))
    end = cri("err F 1", "out F rest")
    assert [
        joiner.finished_size(data) for data in (cri("err F 1", "err P a"), end, end + cri("err P a"))
    ] == [
        0,
        *[len(end)] * 2,
    ]


def test_a_dropped_part_does_not_begin_a_line():
    joiner = LineJoiner(["stdout"])
    data = cri("out P rest", "err F 1", "out P rest")

    assert joiner.finished_size(data) == len(data)
    assert joiner.finished_size(data + cri("out F rest", "out P new")) == len(data + cri("out F rest"))


def test_the_end_of_a_line_that_was_given_up_is_dropped():
    joiner = LineJoiner()
    read(joiner, cri("out P begun", "err F b"))
    joiner.give_up()

    assert read(joiner, cri("out F " + FORGED, "out F one")) == {"stdout": cri("out F one")}
    assert joiner.take_counts() == (1, 0)


def test_the_unfinished_line_of_a_dead_writer_is_dropped():
    joiner = LineJoiner()
    read(joiner, cri("out P begun"))
    joiner.discard()

    assert read(joiner, cri("out F one")) == {"stdout": cri("out F one")}


def test_lines_that_were_handed_on_before_are_skipped():
    joiner = LineJoiner(skip={"stdout": 2, "stderr": 1})

    assert read(joiner, cri("out F 1", "err F 1"), cri("out F 2", "out F 3", "err F 2")) == {
        "stdout": cri("out F 3"),
        "stderr": cri("err F 2"),
    }
    assert joiner.to_skip == {}


def test_whole_lines_are_counted_while_a_line_is_unfinished():
    joiner = LineJoiner()
    read(joiner, cri("out F 1", "err P a"), cri("out F 2", "out F 3"))
    begun = (joiner.unfinished, dict(joiner.passed))
    read(joiner, cri("err F b"))
    read(joiner, cri("out F 4"))

    assert begun == ({"stderr"}, {"stdout": 3, "stderr": 0})
    assert (joiner.unfinished, dict(joiner.passed)) == (frozenset(), {"stdout": 1})


def test_unrecognised_lines_are_dropped_and_counted():
    joiner = LineJoiner()

    assert read(joiner, cri("out F 1") + b"\0\0\0\n" + b"hello world\n" + cri("out F 2")) == {
        "stdout": cri("out F 1", "out F 2")
    }
    assert joiner.take_counts() == (0, 2)


def test_the_lines_are_the_same_wherever_chunks_end():
    rnd = random.Random(5)
    kinds = ["out F a", "out P b", "err F c", "err P d", "out F ", "err F:t e"]
    for _ in range(300):
        lines = [cri(rnd.choice(kinds) + str(number)) for number in range(12)]
        cuts = sorted(rnd.sample(range(13), 3))
        chunks = [b"".join(lines[a:b]) for a, b in zip([0, *cuts], [*cuts, 12], strict=True)]

        assert read(LineJoiner(), *chunks) == read(LineJoiner(), b"".join(lines))
