"""Our log's lines about repairs of the table: a table that is deleted in a loop is repaired twelve times a second."""

from __future__ import annotations

import logging
import math
from typing import Final

from sidecar.firewall.backend import Repair

log = logging.getLogger(__name__)

# Between two lines. What goes on is a problem, with a rate.
INTERVAL_S: Final = 60.0


class RepairLog:
    """Logs repairs, those of a minute in one line."""

    def __init__(self) -> None:
        self._next_at = -math.inf
        self._left_out = 0

    def report(self, repair: Repair, now: float) -> None:
        """Log a repair, with how many were not logged since the last line. `now` is monotonic."""
        if now < self._next_at:
            self._left_out += 1
            return
        more = f", and {self._left_out:,} times more in the last minute" if self._left_out else ""
        log.warning(
            "another program changed our firewall table (%s): %d bans restored, %d removed%s",
            repair.kind.value, repair.restored, repair.removed, more,
        )  # fmt: skip
        self._next_at, self._left_out = now + INTERVAL_S, 0
