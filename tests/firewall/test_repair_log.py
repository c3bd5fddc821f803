"""Repairs in our log."""

from sidecar.firewall.backend import Repair, RepairKind
from sidecar.firewall.repair_log import RepairLog


def test_a_table_that_is_deleted_in_a_loop_is_a_line_a_minute(caplog):
    repairs = RepairLog()
    for at in (0.0, 0.1, 59.9, 60.0, 60.1, 200.0):
        repairs.report(Repair(RepairKind.TABLE, restored=3, removed=0), at)

    begin = "another program changed our firewall table (table): 3 bans restored, 0 removed"
    assert caplog.messages == [
        begin,
        f"{begin}, and 2 times more in the last minute",
        f"{begin}, and 1 times more in the last minute",
    ]
