"""The two clocks of the host, looked at together."""

import time

from sidecar.runtime.clock import HostClock, boot_id, read_clock, seconds_since_boot


def test_the_clocks_of_this_machine():
    reading = read_clock()

    assert abs(reading.at - time.time()) < 1
    assert 0 < reading.since_boot_s <= seconds_since_boot()
    assert reading.boot == boot_id() and len(reading.boot) == 36


def test_a_step_is_found_once():
    times = {"wall": 1000.0, "boot": 10.0}
    clock = HostClock(lambda: times["wall"], lambda: times["boot"])
    times.update(wall=1030.0, boot=40.0)
    assert clock.look() == 0.0
    times.update(wall=87_460.0, boot=70.0)

    assert clock.look() == 86_400.0
    assert clock.look() == 0.0
    assert clock.reading.at == 87_460.0


def test_a_thread_that_was_not_run_between_two_looks_takes_that_for_no_step():
    # The wall clock is looked at between two of these: the first pair is a minute apart.
    since_boot = iter([10.0, 70.0, 70.1, 70.2])

    assert read_clock(lambda: 1060.0, lambda: next(since_boot)).since_boot_s == 70.2
