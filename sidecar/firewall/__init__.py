"""Enforces bans: packets of banned addresses are dropped, and what other programs change is repaired.

    loop ─Turn─▶ FirewallSink ─▶ Firewall (desired state) ─change─▶ Backend: NftTable ─▶ kernel
                     ▲                                                              │
                     └──────────────── Monitor ◀── transactions of other programs ──┘

`FirewallSink` times, checks and reports. `Firewall` keeps the desired state, which is the truth. A `Backend` brings the
real firewall to that state: `NftTable` with a table of its own, while `DryRun` only logs. Begin with `backend.py`, then
`table.py`. docs/firewall.md describes the table, and what an operator sees of all this.
"""

from sidecar.firewall.backend import AddressFacts, Backend, Repair, RepairKind
from sidecar.firewall.claim import FirewallClaim
from sidecar.firewall.dry_run import DryRun
from sidecar.firewall.errors import AlreadyRunning, FirewallError, NoPermission
from sidecar.firewall.firewall import Firewall
from sidecar.firewall.monitor import Monitor
from sidecar.firewall.sink import FIREWALL_PROBLEM, FirewallSink
from sidecar.firewall.table import NftTable

__all__ = [
    "FIREWALL_PROBLEM",
    "AddressFacts",
    "AlreadyRunning",
    "Backend",
    "DryRun",
    "Firewall",
    "FirewallClaim",
    "FirewallError",
    "FirewallSink",
    "Monitor",
    "NftTable",
    "NoPermission",
    "Repair",
    "RepairKind",
]
