import time
from contextlib import closing

import pytest

from sidecar.filters.loader import load
from sidecar.filters.redos_sandbox import RegexSandbox


@pytest.fixture
def canary(tmp_path):
    (tmp_path / "x.conf").write_text("[Definition]\nfailregex = ^(?:a+)+ <HOST>$\n            ^b <HOST>$\n")
    with closing(RegexSandbox({7: load("x", [tmp_path])})) as canary:
        yield canary


def test_what_is_decided_in_time_survives_and_what_is_not_does_not(canary):
    began = time.monotonic()
    answers = [canary.finishes_in_time(7, text) for text in ("aaaa 203.0.113.7", "a" * 60, "b 203.0.113.7")]

    assert answers == [True, False, True]
    assert time.monotonic() - began < 30


def test_only_the_expressions_that_would_be_tried_are(canary):
    assert canary.finishes_in_time(7, "a" * 60, [1])


def test_one_that_died_is_replaced(canary):
    assert canary.finishes_in_time(7, "a")
    canary._child.process.kill()
    canary._child.process.wait()

    assert [canary.finishes_in_time(7, "a"), canary.finishes_in_time(7, "a")] == [False, True]
