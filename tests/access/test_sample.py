"""Whether a log is understood, by a sample of its lines."""

import pytest

from sidecar.access.detect import AccessLog
from sidecar.access.formats import known
from sidecar.access.sample import (
    INTERVAL_S,
    LINES_IN_DOUBT,
    MAX_EXAMPLE_CHARS,
    MIN_LATER_LINES,
    MIN_LINES,
    LogSample,
)

REQUEST = '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "GET / HTTP/1.1" 200 51 "-" "curl"'
NOISE = "172.18.0.3 -  30/Nov/2026:12:00:00 +0000 index.php 200"


def sampled(*texts, declared=None):
    sample = LogSample(AccessLog(declared))
    sample.add(texts, 0.0)
    return sample


def test_some_hundred_lines_without_a_request_are_not_understood():
    sample = sampled(*[NOISE] * (MIN_LINES - 1))
    assert sample.is_understood is None
    sample.add([NOISE], 0.0)
    assert sample.is_understood is False
    assert sample.examples == (NOISE,) * 3
    assert sample.format == ""


def test_one_request_among_many_lines_is_enough():
    assert sampled(*[NOISE] * MIN_LINES, REQUEST).is_understood is True
    assert sampled(REQUEST).is_understood is True


def test_a_format_that_changes_is_noticed():
    sample = sampled(REQUEST)
    sample.add([NOISE] * (MIN_LATER_LINES - 1), 1.0)
    assert sample.is_understood is True
    sample.add([NOISE], 2.0)
    assert sample.is_understood is False
    assert sample.format == "combined"
    sample.add([REQUEST], 3.0)
    assert sample.is_understood is True


@pytest.mark.parametrize(
    "line",
    [
        "wp-sidecar: ip=203.0.113.7 event=login via=form code=- user=admin forwarded=-",
        "wp-sidecar: key=0123456789abcdef ip=203.0.113.7 event=login",
        "[30-Nov-2026 08:40:04 UTC] wp-sidecar: ip=203.0.113.7 event=login",
        'WARNING: [pool www] child 7 said into stderr: "wp-sidecar: ip=203.0.113.7 event=login',
        '[30-Nov-2026 08:40:04] WARNING: [pool www] child 7 said into stderr: "NOTICE',
        "NOTICE: PHP message: wordpress(example.com)[7]: Accepted password for admin from 203.0.113.7",
        "wordpress(example.com)[7]: Accepted password for admin from 203.0.113.7",
    ],
)
def test_a_plugins_message_is_understood_whatever_it_says(line):
    understood = sampled(*[NOISE] * MIN_LINES, line).is_understood

    assert understood is not line.endswith('"NOTICE')


def test_a_clients_words_are_no_plugins_message():
    forged = f'{NOISE} "wp-sidecar: ip=203.0.113.7" wordpress(x)[7]: '

    assert sampled(*[forged] * MIN_LINES).is_understood is False


def test_a_failure_that_a_filter_on_lines_found_shows_that_the_log_is_understood():
    sample = sampled(*[NOISE] * MIN_LINES)
    sample.has_matched = True
    assert sample.is_understood is True


def test_a_configured_format_that_does_not_fit_is_named():
    wrong = known("logformat of login", '$remote_addr|$time_local|"$request"|$status')
    sample = sampled(*[REQUEST] * MIN_LINES, declared=wrong)

    assert (sample.declared, sample.is_understood) == ("logformat of login", False)
    assert sampled(REQUEST).declared == ""


def test_lines_are_wanted_until_one_is_understood_and_then_one_a_second():
    sample = LogSample(AccessLog())
    assert (sample.wanted, sample.due < 0) == (MIN_LINES, True)
    sample.add([NOISE] * (MIN_LINES - 50), 7.0)
    assert (sample.wanted, sample.due < 0) == (50, True)
    sample.add([NOISE] * 50, 7.0)
    assert (sample.wanted, sample.due) == (LINES_IN_DOUBT, 7.0 + INTERVAL_S)
    sample.add([NOISE, REQUEST, NOISE], 8.0)
    assert (sample.wanted, sample.due, sample.lines) == (1, 8.0 + INTERVAL_S, MIN_LINES + 2)
    sample.add([NOISE], 9.0)
    assert sample.wanted == LINES_IN_DOUBT


def test_a_log_that_is_understood_at_once_costs_one_line():
    assert sampled(*[REQUEST] * MIN_LINES).lines == 1


def test_examples_are_the_newest_and_short():
    sample = sampled("one", "", "two", "three", "x" * 1_000)

    assert sample.examples == ("two", "three", "x" * MAX_EXAMPLE_CHARS)
