"""Lines that Docker leaves out of a log that it follows are read late, or they are a gap."""

import logging
import time

import pytest

from sidecar.core.events import Framing
from sidecar.sources.docker.completeness import (
    DOUBTFUL_INTERVAL_S,
    MAX_LATE_PERIOD_S,
    MAX_REMEMBERED_LINES,
    USUAL_INTERVAL_S,
    ComparisonPace,
    UnverifiedLines,
)
from sidecar.sources.docker.cursor import CursorTracker
from sidecar.sources.docker.wire import STDERR, STDOUT
from tests.sources.docker.running import AT, following, opened
from tests.sources.docker.standin import Container
from tests.sources.docker.wire_bytes import NEW, line
from tests.support.waiting import wait_until

S = 10**9
LINES = [(STDERR if number % 3 == 0 else STDOUT, line(number * S)) for number in range(10)]


def read_of(lines):
    """What is known when these lines came over a stream, and how far the log was read by that."""
    known, tracker = UnverifiedLines(NEW), CursorTracker(NEW)
    tracker.unread(lines)
    known.add([text for _, text in lines], tracker.cursor({}))
    return known, tracker.cursor({})


def compared(known, cursor, lines):
    """What was left out by what the log has now, and whether some of it is lost."""
    comparison = known.comparison()
    left_out = comparison.left_out(lines, CursorTracker(cursor).unread(lines))
    return left_out, comparison.take_lost()


def test_what_did_not_come_between_two_lines_is_left_out():
    known, cursor = read_of(LINES[:3] + LINES[6:8])

    assert compared(known, cursor, LINES) == (LINES[3:6], False)


def test_a_log_that_came_whole_lacks_nothing():
    known, cursor = read_of(LINES[:8])

    assert compared(known, cursor, LINES) == ([], False)


def test_up_to_where_the_log_was_compared_nothing_is_left_out():
    known, cursor = read_of(LINES[:5])
    known.verified(cursor)

    assert compared(known, cursor, LINES[:5]) == ([], False)


def test_what_was_left_out_and_is_no_longer_in_the_log_is_lost():
    known, cursor = read_of(LINES[:3])
    known.verified(cursor)
    known.add([text for _, text in LINES[7:9]], read_of(LINES[:3] + LINES[7:9])[1])

    assert compared(known, read_of(LINES[:9])[1], LINES[5:]) == (LINES[5:7], True)


def test_the_same_of_a_log_that_was_never_compared():
    known, cursor = read_of(LINES[:3] + LINES[7:9])

    assert compared(known, cursor, LINES[5:]) == (LINES[5:7], True)
    assert compared(known, cursor, LINES[1:]) == (LINES[3:7], False)


def test_what_was_read_may_be_rotated_away():
    known, cursor = read_of(LINES[:3])
    known.verified(cursor)
    known.add([text for _, text in LINES[3:9]], read_of(LINES[:9])[1])

    assert compared(known, read_of(LINES[:9])[1], LINES[5:]) == ([], False)


@pytest.mark.parametrize(
    ("left", "are_some_gone"), [(LINES, False), (LINES[:4] + LINES[6:], True), (LINES[5:], True)]
)
def test_it_is_known_whether_lines_that_were_read_are_gone(left, are_some_gone):
    """As where the file was truncated: before Docker 23, lines may then stand behind zeros that it does not show."""
    known, cursor = read_of(LINES[:8])
    comparison = known.comparison()
    comparison.left_out(left, CursorTracker(cursor).unread(left))

    assert comparison.are_some_gone is are_some_gone


def test_a_line_up_to_which_all_was_read_may_be_gone_as_well():
    known, cursor = read_of(LINES[:3])
    known.verified(cursor)
    comparison = known.comparison()
    comparison.left_out(LINES[5:], CursorTracker(cursor).unread(LINES[5:]))

    assert comparison.are_some_gone


def test_the_memory_of_what_was_read_is_bounded():
    known, tracker, count = UnverifiedLines(NEW), CursorTracker(NEW), 3 * MAX_REMEMBERED_LINES
    lines = [(STDOUT, line(number)) for number in range(count)]
    for at in range(0, count, 1000):
        tracker.unread(lines[at : at + 1000])
        known.add([text for _, text in lines[at : at + 1000]], tracker.cursor({}))

    comparison = known.comparison()
    assert len(comparison._read) <= 2 * MAX_REMEMBERED_LINES + 2000
    # The rest is known to the line.
    assert comparison.left_out(lines, []) == []


MEGABYTES = 1e6


def paced(*delays_s, file_bytes=20 * MEGABYTES):
    """A log that was compared at the time 0, and whose lines came so late since."""
    pace = ComparisonPace(0.0)
    for delay_s in delays_s:
        pace.came(delay_s, file_bytes, 0.0)
    return pace


@pytest.mark.parametrize(
    ("pace", "due_s"),
    [
        (paced(), USUAL_INTERVAL_S),
        (paced(0.1), USUAL_INTERVAL_S),
        # It takes half a second to write 20 MB.
        (paced(0.5, 0.1), DOUBTFUL_INTERVAL_S),
        (paced(0.1, file_bytes=0.1 * MEGABYTES), MAX_LATE_PERIOD_S),
        # As long as lines are late, there are more.
        (paced(0.5, 0.5), MAX_LATE_PERIOD_S),
        (paced(-3600), USUAL_INTERVAL_S),
    ],
)
def test_when_a_log_is_compared(pace, due_s):
    assert not pace.is_due(due_s - 0.1, 0.0)
    assert pace.is_due(due_s + 0.1, 0.0)


def test_a_comparison_takes_a_small_part_of_the_time():
    assert not paced(0.5, 0.1).is_due(99.0, reading_cost_s=1.0)
    assert not paced().is_due(999.0, reading_cost_s=1.0)


def left_out_of(engine, site, numbers):
    """These lines are in the log, and Docker does not send them."""
    site.hole += len(numbers)
    for number in numbers:
        engine.write(site, b"%d" % number)


def numbers(recorder):
    return [int(text) for _, _, text in recorder.lines]


def test_lines_that_docker_left_out_are_read_at_the_next_silence(engine, recorder, caplog):
    caplog.set_level(logging.INFO)
    site = engine.run(Container("a", "site"))
    engine.write(site, b"0")
    with following(engine, recorder, idle_timeout_s=0.3):
        recorder.wait_lines(1)
        left_out_of(engine, site, range(1, 4))
        engine.write(site, b"4")
        recorder.wait_lines(5)
        engine.write(site, b"5")
        recorder.wait_lines(6)
    with following(engine, recorder, idle_timeout_s=0.3):
        opened(engine, 3)

    assert numbers(recorder) == [0, 4, 1, 2, 3, 5]
    assert "3 lines of the log of site were read late" in caplog.text
    assert ("reopened", "site", "incomplete") in recorder.events
    assert ("gap", "site") not in recorder.events
    assert {batch.framing for batch in recorder.batches} == {Framing.DOCKER}


def test_lines_that_docker_left_out_of_a_log_that_is_never_silent_are_read(engine, recorder):
    """It is in doubt as soon as lines come late."""
    site, late = engine.run(Container("a", "site")), time.time_ns() - 4 * S
    engine.write(site, b"0", at=late - 1)
    with following(engine, recorder, idle_timeout_s=60.0):
        recorder.wait_lines(1)
        site.hole = 1
        engine.write(site, b"1", at=late)
        engine.write(site, b"2", at=late + 1)
        recorder.wait_lines(2)
        for number in range(3, 1000):
            engine.write(site, b"%d" % number)
            if 1 in numbers(recorder):
                break
            time.sleep(0.01)

    assert 1 in numbers(recorder)
    assert sorted(set(numbers(recorder))) == sorted(numbers(recorder))


def test_lines_that_docker_left_out_and_threw_away_are_a_gap(engine, recorder):
    site = engine.run(Container("a", "site"))
    engine.write(site, b"0")
    with following(engine, recorder, idle_timeout_s=0.5):
        recorder.wait_lines(1)
        left_out_of(engine, site, range(1, 4))
        engine.write(site, b"4")
        recorder.wait_lines(2)
        # Rotated.
        del site.frames[:2]
        recorder.wait(lambda: ("gap", "site") in recorder.events)
        recorder.wait_lines(4)

    assert numbers(recorder) == [0, 4, 2, 3]


def test_a_log_that_is_never_rotated_is_not_compared(engine, recorder):
    site = Container("a", "site")
    site.log_options = {}
    engine.run(site)
    engine.write(site, b"0", at=AT)
    with following(engine, recorder, idle_timeout_s=0.3):
        recorder.wait_lines(1)
        left_out_of(engine, site, [1])
        engine.write(site, b"2")
        recorder.wait_lines(2)
        readings = engine.paths.count(f"/containers/{site.id}/logs")
        if engine.modern:
            # It is read for later lines all the same.
            wait_until(lambda: engine.paths.count(f"/containers/{site.id}/logs") > readings)
        engine.write(site, b"3")
        recorder.wait_lines(3)

    assert numbers(recorder) == [0, 2, 3]
