"""Restores the bans of the last run in the kernel, from the state directory alone.

After a reboot the kernel has no table, while containers may answer at once. This needs no configuration, no filters and
no container engine: `wp-sidecar run` begins with it, and `wp-sidecar restore` is nothing else, for a unit that runs
before Docker. Where the kernel has a table of ours, it is in force already and nothing is done.
"""

from __future__ import annotations

import gc
import logging
import os
from dataclasses import dataclass
from pathlib import Path

from sidecar.firewall import Firewall, NftTable
from sidecar.firewall.layout import LayoutFile
from sidecar.runtime.clock import read_clock
from sidecar.stores.sqlite import stored_bans

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the stored bans."""

    # How many are in force now.
    bans: int
    # Whether the kernel had them already, so that nothing was changed.
    was_in_force: bool = False


def restore(state: Path, now: float) -> Restored:
    """Have the stored bans in force. Raises StoreError if they cannot be read, and FirewallError.

    The table has the ports and the allowlist of the last run. Nothing is written where there is no ban.
    """
    table = NftTable()
    # Nothing that is made here is part of a cycle. With 50,000 bans the collector takes a fifth of the time.
    gc.disable()
    try:
        if table.is_in_force():
            return Restored(0, was_in_force=True)
        if not os.access(state / "state.db", os.W_OK):
            # Unbans could not be stored either, so its bans may be over. There may be no file, too.
            return Restored(0)
        bans = [ban for ban in stored_bans(state / "state.db", read_clock(lambda: now)) if not ban.dry_run]
        if not bans:
            return Restored(0)
        layout = LayoutFile(state).read()
        firewall = Firewall(table, layout.jails)
        firewall.set_topology(layout.allowlist, now, layout.published)
        firewall.start(bans, now)
    finally:
        gc.enable()
        table.close()
    log.info("%d bans of the last run are in force", len(bans))
    return Restored(len(bans))
