"""Restores the bans of the last run in the kernel, from the state directory alone.

After a reboot the kernel has no table, while containers may answer at once. This needs no configuration, no filters and
no container engine: `wp-sidecar run` begins with it, and `wp-sidecar restore` is nothing else, for a unit that runs
before Docker. Where the kernel has a table of ours, it is in force already and nothing is done.
"""

from __future__ import annotations

import logging
import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sidecar.firewall import Firewall, FirewallClaim, NftTable
from sidecar.firewall.layout import LayoutFile
from sidecar.runtime.clock import read_clock
from sidecar.stores.base import ReadBans
from sidecar.stores.sqlite import stored_bans

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Restored:
    """What became of the stored bans."""

    # How many are in force now.
    bans: int
    # Whether the kernel had them already, so that nothing was changed.
    was_in_force: bool = False


@dataclass(frozen=True, slots=True)
class RestoredBans:
    """What `run` restored. The daemon goes on with it, so that nothing is read or written a second time."""

    claim: FirewallClaim
    # It enforces the bans that were read.
    firewall: Firewall
    read: ReadBans


def restore(state: Path, now: float) -> Restored:
    """Have the stored bans in force. Raises StoreError if they cannot be read, and FirewallError.

    The table has the ports and the allowlist of the last run. Nothing is written where there is no ban.
    """
    with closing(NftTable()) as table:
        if table.is_in_force():
            return Restored(0, was_in_force=True)
        firewall, _ = _write(table, state, now)
        return Restored(firewall.enforced()[1] if firewall else 0)


def restore_for_run(state: Path, now: float) -> RestoredBans | None:
    """Do the same as the one wp-sidecar of this host. None: there was nothing to do. Raises AlreadyRunning, too."""
    claim, table = FirewallClaim(), NftTable()
    restored = None
    try:
        if not table.is_in_force():
            firewall, read = _write(table, state, now)
            restored = RestoredBans(claim, firewall, read) if firewall and read else None
    finally:
        if not restored:
            table.close()
            claim.close()
    return restored


def _write(table: NftTable, state: Path, now: float) -> tuple[Firewall | None, ReadBans | None]:
    """Write the stored bans into the kernel. Return the firewall and the bans; None: there is no ban to enforce."""
    if not os.access(state / "state.db", os.W_OK):
        # Unbans could not be stored either, so its bans may be over. There may be no file, too.
        return None, None
    read = stored_bans(state / "state.db", read_clock(lambda: now))
    if all(ban.dry_run for ban in read.bans):
        return None, None
    layout = LayoutFile(state).read()
    firewall = Firewall(table, layout.jails)
    firewall.set_topology(layout.allowlist, now, layout.published)
    firewall.start(read.bans, now)
    log.info("%d bans of the last run are in force", firewall.enforced()[1])
    return firewall, read
