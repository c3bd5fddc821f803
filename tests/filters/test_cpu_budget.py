import time

from sidecar.core.events import Origin
from sidecar.filters.cpu_budget import BUDGET_PERIOD_S, BUDGET_S, SUSPENSION_S, CpuBudget, Stopwatch
from sidecar.runtime.problems import Problems
from tests.support.problems import ProblemChanges

SHOP, BLOG = (Origin("docker", name, "stdout", ("wordpress",)) for name in ("shop", "blog"))


def test_slow_lines_of_one_log_suspend_the_filter_in_no_other():
    """They may be written by somebody who wants other logs not to be looked at."""
    changes = ProblemChanges()
    budget = CpuBudget("slow", Problems(changes))
    budget.charge_slow_line(BLOG, 0.6, 1.0)
    budget.charge_slow_line(SHOP, 0.6, 1.0)
    assert not changes

    budget.charge_slow_line(BLOG, 0.6, 2.0)
    stderr = Origin("docker", "blog", "stderr")
    assert [budget.is_suspended(each, 3.0) for each in (SHOP, BLOG, stderr)] == [False, True, True]
    budget.charge_slow_line(SHOP, 0.6, 2.0)
    assert budget.is_suspended(SHOP, 3.0)
    ((name, sentence),) = changes
    assert name == "filter slow" and "of blog," in sentence

    assert not budget.is_suspended(BLOG, 2.0 + SUSPENSION_S)
    assert not budget.suspended and changes[-1] == ("filter slow", None)


def test_the_suspension_in_a_log_that_is_gone_ends_as_well():
    changes = ProblemChanges()
    budget = CpuBudget("slow", Problems(changes))
    budget.charge_slow_line(BLOG, 2 * BUDGET_S, 5.0)

    assert budget.may_be_suspended(BLOG) and not budget.may_be_suspended(SHOP)
    assert not budget.is_suspended(SHOP, 5.0 + SUSPENSION_S)
    assert not budget.suspended and changes[1:] == [("filter slow", None)]


def test_a_filter_is_suspended_after_a_second_of_slow_lines_in_a_minute():
    changes = ProblemChanges()
    budget = CpuBudget("slow", Problems(changes))
    suspended = []
    for at in (0.0, 10.0, 20.0):
        budget.charge_slow_line(SHOP, 0.4, at)
        suspended.append(budget.is_suspended(SHOP, at))

    assert suspended == [False, False, True]
    assert list(budget.suspended.values()) == [20.0 + SUSPENSION_S]
    assert [name for name, _ in changes] == ["filter slow"]


def test_slow_lines_that_are_far_apart_suspend_nothing():
    budget = CpuBudget("slow", Problems())
    for n in range(100):
        budget.charge_slow_line(SHOP, BUDGET_S / 2, n * BUDGET_PERIOD_S)

    assert not budget.suspended


def test_the_first_question_after_a_suspension_lifts_it():
    changes = ProblemChanges()
    budget = CpuBudget("slow", Problems(changes))
    budget.charge_slow_line(SHOP, 2 * BUDGET_S, 5.0)

    assert budget.is_suspended(SHOP, 5.0 + SUSPENSION_S - 0.1)
    assert not budget.is_suspended(SHOP, 5.0 + SUSPENSION_S)
    assert changes[1:] == [("filter slow", None)]


def test_a_suspension_can_be_lifted_early_and_only_once():
    changes = ProblemChanges()
    budget = CpuBudget("slow", Problems(changes))
    budget.charge_slow_line(SHOP, 2 * BUDGET_S, 5.0)
    budget.lift()
    budget.lift()

    assert not budget.is_suspended(SHOP, 6.0)
    assert changes[1:] == [("filter slow", None)]


def test_a_stopwatch_counts_the_processor_time_of_its_thread_and_not_the_wait():
    stopwatch = Stopwatch(time.monotonic)
    stopwatch.restart()
    time.sleep(0.05)
    waited = stopwatch.cpu_seconds()
    began = time.thread_time()
    while time.thread_time() - began < 0.05:
        pass

    assert waited < 0.04
    assert 0.05 <= stopwatch.cpu_seconds() < 1.0
