from sidecar.advice.repair import describe_repair
from sidecar.app.repairs import TABLE, RepairAlerts
from sidecar.firewall import Repair, RepairKind


class Alerts:
    """Keeps what people are told."""

    def __init__(self):
        self.changes = []

    def problem_changed(self, name, sentence):
        self.changes.append((name, sentence))


def test_a_repair_is_alerted_as_a_problem_that_is_over():
    alerts = Alerts()
    repair = Repair(RepairKind.TABLE, restored=3)
    RepairAlerts(alerts).table_repaired(repair)

    assert alerts.changes == [(TABLE, describe_repair(repair)), (TABLE, None)]
