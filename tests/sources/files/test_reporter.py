"""Each change of a log's state is reported once, under the name that the log has then."""

import pytest

from sidecar.sources.base import ReopenReason
from sidecar.sources.files.reporter import LogReporter
from tests.sources.recorder import Recorder


@pytest.fixture
def seen():
    return Recorder()


@pytest.fixture
def reporter(seen):
    reporter = LogReporter("log", seen.outputs)
    reporter.rename("blog")
    return reporter


def test_opening_and_closing_are_reported_once_each(seen, reporter):
    for up in (False, True, True, False, False):
        reporter.reading(up=up)

    assert seen.events == [("opened", "blog"), ("closed", "blog")]


def test_a_problem_is_reported_once_and_ends_when_the_log_is_readable(seen, reporter):
    reporter.reading(up=True)
    for _ in range(2):
        reporter.unreadable("broken")
    assert (reporter.has_problem, seen.critical) == (True, True)
    for _ in range(2):
        reporter.readable()

    assert not reporter.has_problem
    assert seen.problems == [("log blog", "broken"), ("log blog", None)]
    assert seen.events == [("opened", "blog"), ("unreadable", "blog"), ("opened", "blog")]


def test_a_log_that_does_not_exist_has_a_problem_and_no_state(seen, reporter):
    reporter.unreadable("missing", exists=False)

    assert (seen.problems, seen.events) == ([("log blog", "missing")], [])


def test_a_gap_is_a_problem_that_ends_at_once_and_ends_any_other(seen, reporter):
    reporter.unreadable("broken")
    reporter.gap("lines may be lost")

    assert not seen.critical
    assert seen.problems == [
        ("log blog", sentence) for sentence in ("broken", None, "lines may be lost", None)
    ]
    assert seen.events[-1] == ("gap", "blog")
    assert not reporter.has_problem


def test_under_another_name_the_state_is_reported_again(seen, reporter):
    reporter.unreadable("broken")
    reporter.rename("shop")
    reporter.reading(up=True)
    reporter.rename("shop")

    assert seen.problems == [("log blog", "broken"), ("log blog", None)]
    assert seen.events == [("unreadable", "blog"), ("removed", "blog"), ("opened", "shop")]


def test_a_log_of_the_same_name_does_not_end_the_others_problem(seen, reporter):
    """A StatefulSet's next pod has the name of the one before."""
    other = LogReporter("log", seen.outputs)
    other.rename("blog")
    reporter.unreadable("broken")
    other.readable()

    assert seen.outputs.problems.about("log blog") == "broken"


def test_another_file_and_long_lines_are_reported_each_time(seen, reporter):
    reporter.reopened(ReopenReason.ROTATED)
    reporter.reopened(ReopenReason.ROTATED)
    for count in (0, 2):
        reporter.overlong(count)

    assert seen.events == [("reopened", "blog", "rotated")] * 2 + [("truncated", "blog", 2)]


def test_lines_that_are_not_recognised_are_logged_once(seen, reporter, caplog):
    for count in (0, 2, 1):
        reporter.unrecognised(count)

    assert caplog.messages == ["the log of blog has lines that no container runtime writes; they are ignored"]
