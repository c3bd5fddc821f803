"""Signals that come before there is anything to stop."""

import os
import signal

import pytest

from sidecar.runtime.signals import Signals


class Process:
    """Keeps what it was asked for."""

    def __init__(self):
        self.asked = []

    def stop(self):
        self.asked.append("stop")

    def request_reload(self):
        self.asked.append("reload")


@pytest.fixture(autouse=True)
def _handlers():
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "what"), [(signal.SIGTERM, "stop"), (signal.SIGINT, "stop"), (signal.SIGHUP, "reload")]
)
def test_what_is_asked_for_early_is_done_once_it_can_be(number, what):
    signals, process = Signals(), Process()
    signals.catch()
    os.kill(os.getpid(), number)

    assert process.asked == []
    signals.hand_to(process)
    assert process.asked == [what]


def test_later_it_is_done_at_once():
    signals, process = Signals(), Process()
    signals.catch()
    signals.hand_to(process)
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGTERM)

    assert process.asked == ["reload", "stop"]
