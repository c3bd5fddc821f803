import os
import signal
from contextlib import closing

import pytest

from sidecar.filters.loader import load
from sidecar.filters.redos_sandbox import GuardedFilter, RegexSandbox, RegexTimeoutError
from tests.support.waiting import wait_until


@pytest.fixture
def log_filter(tmp_path):
    (tmp_path / "x.conf").write_text("[Definition]\nfailregex = ^(?:a+)+ <HOST>$\n            ^b <HOST>$\n")
    return load("x", [tmp_path])


@pytest.fixture
def sandbox(log_filter):
    with closing(RegexSandbox({7: log_filter})) as sandbox:
        yield sandbox


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_texts_that_are_decided_in_time_are_told_from_those_that_are_not(sandbox):
    texts = ("aaaa 203.0.113.7", "a" * 60, "b 203.0.113.7")

    assert [sandbox.finishes_in_time(7, text) for text in texts] == [True, False, True]


def test_only_the_candidates_are_tried(sandbox):
    assert sandbox.finishes_in_time(7, "a" * 60, [1])


def test_a_worker_that_was_killed_is_replaced(sandbox):
    assert sandbox.finishes_in_time(7, "a")
    os.kill(sandbox.pid, signal.SIGKILL)

    wait_until(lambda: not sandbox.finishes_in_time(7, "a"))
    assert sandbox.finishes_in_time(7, "a")


def test_there_is_no_worker_before_the_first_question_and_none_after_the_end(sandbox):
    assert sandbox.pid is None
    assert sandbox.finishes_in_time(7, "a")
    worker = sandbox.pid
    sandbox.close()

    assert sandbox.pid is None
    assert not is_running(worker)


def test_only_texts_that_may_take_too_long_are_tried_in_the_sandbox(log_filter, sandbox):
    guarded = GuardedFilter(log_filter, 7, sandbox, safe_length=20)

    assert guarded.is_risky
    assert guarded.decide("aaaa 203.0.113.7").address == "203.0.113.7"
    assert sandbox.pid is None

    assert guarded.decide("a" * 20 + " 203.0.113.7", [0]).rule == 0
    assert sandbox.pid is not None
    with pytest.raises(RegexTimeoutError):
        guarded.decide("a" * 60)


def test_a_sound_filter_never_asks_the_sandbox(log_filter, sandbox):
    guarded = GuardedFilter(log_filter, 7, sandbox, safe_length=None)

    assert not guarded.is_risky
    assert guarded.decide("b 203.0.113.7", [1]).rule == 1
    assert sandbox.pid is None
