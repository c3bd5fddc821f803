from sidecar.advice.repair import describe_repair, describe_repairs
from sidecar.app.repairs import PERIOD_S, TABLE, RepairAlerts
from sidecar.firewall import Repair, RepairKind
from sidecar.runtime.problems import Problems

REPAIR = Repair(RepairKind.TABLE, restored=3)


class Alerts:
    """Keeps what people are told."""

    def __init__(self):
        self.changes = []

    def problem_changed(self, name, sentence):
        self.changes.append((name, sentence))


def repairs():
    alerts = Alerts()
    problems = Problems(alerts)
    return RepairAlerts(alerts, problems.problem("firewall table")), problems, alerts.changes


def test_a_repair_is_alerted_as_a_problem_that_is_over():
    listener, problems, alerts = repairs()
    listener.table_repaired(REPAIR, now=1000.0)

    assert alerts == [(TABLE, describe_repair(REPAIR)), (TABLE, None)]
    assert problems.sentences == ()


def test_311_deletions_in_10_seconds_are_one_lasting_problem_with_a_rate():
    listener, problems, alerts = repairs()
    for number in range(311):
        listener.table_repaired(REPAIR, now=1000.0 + number * 10 / 310)
        listener.report(now=1000.0 + number * 10 / 310)

    assert len(alerts) == 2 * 2 + 1
    assert problems.sentences == (describe_repairs(REPAIR, 311, 10.0),)
    assert "311 changes in the last 10 s" in problems.sentences[0]
    assert problems.critical

    listener.report(now=1010.0 + PERIOD_S - 1)
    assert problems.critical
    listener.report(now=1010.0 + PERIOD_S)
    assert not problems.critical
    assert len(alerts) == 2 * 2 + 2
    listener.table_repaired(REPAIR, now=1011.0 + PERIOD_S)
    assert len(alerts) == 2 * 2 + 4


def test_repairs_that_are_far_apart_are_alerted_one_by_one():
    listener, problems, alerts = repairs()
    for number in range(10):
        listener.table_repaired(REPAIR, now=number * PERIOD_S)
        listener.report(now=number * PERIOD_S)

    assert len(alerts) == 20
    assert problems.sentences == ()


def test_a_clock_that_is_set_back_leaves_no_problem_for_ever():
    listener, problems, _ = repairs()
    for _ in range(5):
        listener.table_repaired(REPAIR, now=9_000_000.0)
    listener.report(now=1000.0)

    assert not problems.critical
