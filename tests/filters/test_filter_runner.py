import time
from contextlib import closing

import pytest

from sidecar.core.events import Origin
from sidecar.filters.cpu_budget import BUDGET_S, SLOW_LINE_S, SUSPENSION_S, CpuBudget, Stopwatch
from sidecar.filters.date_cutter import DateCutter
from sidecar.filters.filter_runner import FilterRunner
from sidecar.filters.loader import load
from sidecar.filters.redos_sandbox import MATCH_TIMEOUT_S, GuardedFilter, RegexSandbox
from sidecar.filters.verdict import Failure
from sidecar.runtime.problems import Problems

ANN = "203.0.113.7"
LOG = Origin("docker", "wp", "stderr", ("a",))


class Clock:
    """A clock that is set by hand."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


class Busy(GuardedFilter):
    """Takes this many seconds for each line: of the clock's, and of the processor's."""

    def __init__(self, log_filter, clock, wall_s, cpu_s):
        super().__init__(log_filter, 0, RegexSandbox({}), None)
        self._clock, self._wall_s, self._cpu_s = clock, wall_s, cpu_s

    def decide(self, text, candidates=None):
        self._clock.now += self._wall_s
        began = time.thread_time()
        while time.thread_time() - began < self._cpu_s:
            pass
        return Failure(0, self._filter.failregex[0].regex.search(text))


@pytest.fixture
def log_filter(tmp_path):
    # With an ignoreregex, so that no line is decided on the short way.
    (tmp_path / "x.conf").write_text("[Definition]\nfailregex = no <HOST>$\nignoreregex = ^never\n")
    return load("x", [tmp_path])


def runner(log_filter, guarded, clock):
    stopwatch = Stopwatch(clock)
    stopwatch.restart()
    return FilterRunner(
        log_filter,
        guarded,
        DateCutter(log_filter.dates, None),
        CpuBudget(log_filter.name, Problems()),
        stopwatch,
    )


def run(runner, text, clock, same_as=None, others=None):
    return runner.run(text, [0], same_as, {} if others is None else others, clock.now, 0.0, LOG)


def test_what_lines_take_and_how_many_were_failures_is_counted(log_filter):
    clock = Clock()
    one = runner(log_filter, Busy(log_filter, clock, 0.001, 0.0), clock)
    for n in range(3):
        run(one, f"{n} no {ANN}", clock)

    assert one.budget.seconds == pytest.approx(0.003)
    assert one.budget.matches == 3


def test_the_outcome_of_an_equivalent_filter_is_taken_over(log_filter):
    clock = Clock()
    first = runner(log_filter, GuardedFilter(log_filter, 0, RegexSandbox({}), None), clock)
    second = runner(log_filter, Busy(log_filter, clock, 9.0, 0.0), clock)
    others = {}
    outcomes = [run(first, f"no {ANN}", clock, others=others), run(second, "", clock, first, others)]

    assert outcomes == [(ANN, "", "", False)] * 2
    assert others == {first: outcomes[0], second: outcomes[1]}
    assert clock.now == 100.0


def test_a_filter_with_slow_lines_is_suspended_and_then_tried_again(log_filter):
    clock = Clock()
    one = runner(log_filter, Busy(log_filter, clock, 10 * BUDGET_S, 1.5 * SLOW_LINE_S), clock)
    lines = 0
    while run(one, f"{lines} no {ANN}", clock):
        # All of it within a minute.
        clock.now = 100.0
        lines += 1
        assert lines < 100

    assert BUDGET_S / (10 * SLOW_LINE_S) < lines <= BUDGET_S / SLOW_LINE_S
    clock.now += SUSPENSION_S
    assert run(one, f"again no {ANN}", clock)


def test_a_line_that_had_to_wait_for_the_processor_is_not_charged(log_filter):
    clock = Clock()
    one = runner(log_filter, Busy(log_filter, clock, 10 * BUDGET_S, 0.0), clock)
    for n in range(50):
        clock.now = 100.0
        assert run(one, f"{n} no {ANN}", clock)

    assert not one.budget.suspended


def test_a_line_that_the_sandbox_gives_up_has_no_outcome_and_costs_its_timeout(tmp_path):
    (tmp_path / "x.conf").write_text("[Definition]\nfailregex = ^(?:a+)+ <HOST>$\n")
    log_filter, clock = load("x", [tmp_path]), Clock()
    with closing(RegexSandbox({0: log_filter})) as sandbox:
        one = runner(log_filter, GuardedFilter(log_filter, 0, sandbox, 10), clock)
        others = {}
        for n in range(int(BUDGET_S / MATCH_TIMEOUT_S) + 1):
            assert not one.budget.suspended
            assert run(one, "a" * 60 + str(n), clock, others=others) is None

    assert list(one.budget.suspended.values()) == [clock.now + SUSPENSION_S]
    assert others == {}
