"""Docker before 23 sends lines twice, and leaves some out; every line is handed on once all the same."""

import time
from contextlib import closing
from types import SimpleNamespace

import pytest

from sidecar.sources.docker.api import DockerHost
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.line_joiner import MultiplexedLines
from sidecar.sources.docker.quirks import (
    MAX_REMEMBERED_LINES,
    ExpectedLine,
    PlainReading,
    ReadingBefore23,
    RepeatFilter,
    reading,
)
from sidecar.sources.docker.wire import STDERR, STDOUT
from tests.sources.docker.running import following
from tests.sources.docker.standin import Container, StandIn
from tests.sources.docker.wire_bytes import cut, frame, line
from tests.support.waiting import wait_until


@pytest.mark.parametrize(
    ("version", "kind"),
    [("1.41", ReadingBefore23), ("1.42", PlainReading), ("1.52", PlainReading), ("1.100", PlainReading)],
)
def test_workarounds_are_chosen_by_the_version_of_the_api(tmp_path, version, kind):
    with closing(StandIn(tmp_path / "docker.sock")) as stand_in:
        stand_in.api = version
        with closing(DockerHost(stand_in.url).open(Interrupt())) as engine:
            assert type(reading(engine, SimpleNamespace(window=None), None, ExpectedLine())) is kind


def test_a_log_with_more_lines_than_docker_sends_is_reopened(tmp_path, recorder, monkeypatch):
    """Before 23, where a log is rotated just when it is opened."""
    monkeypatch.setattr("sidecar.sources.docker.quirks.SILENCE_S", 0.1)
    old = StandIn(tmp_path / "docker.sock", modern=False)
    site, quiet = old.run(Container("a", "site")), old.run(Container("b", "quiet", tty=True))
    site.stuck = 1
    old.write(site, b"one")
    old.write(quiet, b"hello")
    with following(old, recorder):
        recorder.wait_lines(2)
        old.write(site, b"two")
        recorder.wait_lines(3)
        recorder.wait(lambda: ("reopened", "site", "stuck") in recorder.events)
        # The last line of the other log is asked for as well.
        wait_until(lambda: old.paths.count(f"/containers/{quiet.id}/logs") >= 2)

    assert sorted(text for _, _, text in recorder.lines) == [b"hello", b"one", b"two"]
    assert [each for each in recorder.events if each[0] == "reopened"] == [("reopened", "site", "stuck")]
    old.close()


def test_lines_that_docker_leaves_out_of_what_it_follows_are_read(tmp_path, recorder):
    """Before 23, where a log is rotated just when it is opened, and once more."""
    old, now = StandIn(tmp_path / "docker.sock", modern=False), time.time_ns()
    site = old.run(Container("a", "site"))
    site.hole = 2
    old.write(site, b"one", at=now)
    with following(old, recorder):
        recorder.wait_lines(1)
        for number, text in enumerate([b"two", b"three", b"four"]):
            old.write(site, text, at=now + (number + 5) * 10**9)

        assert recorder.wait_lines(4) == [b"one", b"two", b"three", b"four"]
        old.write(site, b"five", at=now + 9 * 10**9)
        assert recorder.wait_lines(5)[-1] == b"five"
    assert [each for each in recorder.events if each[0] == "reopened"] == []
    old.close()


def test_lines_that_come_again_are_taken_out():
    """Docker before 23, when it rotates a log under its reader."""
    lines = [(STDOUT, line(at)) for at in range(10)] + [(STDERR, line(8))]
    wire = b"".join(
        frame(*each) for each in [*lines, *lines[4:], (STDOUT, line(10)), *lines[9:], (STDOUT, line(11))]
    )

    for size in (40, 200, 10_000):
        repeats, decoder = RepeatFilter(), MultiplexedLines()
        found = [each for piece in cut(wire, size) for each in repeats.without_repeats(decoder.feed(piece))]
        assert sorted(found) == [*((STDOUT, line(at)) for at in range(12)), (STDERR, line(8))]


def test_lines_that_come_again_twice_in_one_piece_are_taken_out():
    """Where a log is rotated more than once before a piece is read."""
    at = [0, 1, 2, 1, 2, 3, 4, 3, 4, 5]

    found = RepeatFilter().without_repeats([(STDOUT, line(each)) for each in at])

    assert found == [(STDOUT, line(each)) for each in range(6)]


def test_lines_of_a_clock_that_was_set_back_are_kept():
    lines = [(STDOUT, line(at)) for at in (5, 6, 7, 1, 2, 3)]

    assert RepeatFilter().without_repeats(lines) == lines


def test_the_memory_of_a_repeat_filter_is_bounded():
    repeats = RepeatFilter()
    for at in range(3 * MAX_REMEMBERED_LINES):
        repeats.without_repeats([(STDOUT, line(at))])

    assert len(repeats._recent) <= 2 * MAX_REMEMBERED_LINES
