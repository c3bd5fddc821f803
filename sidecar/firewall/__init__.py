"""Enforces bans: packets of banned addresses are dropped, and what other programs change is repaired.

    loop ─Turn─▶ FirewallSink ─▶ Firewall (desired state) ─change─▶ Backend: NftTable ─▶ kernel
                     ▲                                                              │
                     └──────────────── Monitor ◀── transactions of other programs ──┘

`FirewallSink` times, checks and reports. `Firewall` keeps the desired state, which is the truth. A `Backend` brings the
real firewall to that state: `NftTable` with a table of its own, while `DryRun` only logs. Begin with `backend.py`, then
`table.py`. docs/firewall.md describes the table, and what an operator sees of all this.

    sink, firewall, desired      decisions of a turn -> which addresses are to be in which set
    backend                      what a firewall has to do: table (nftables), dry_run
    schema, ruleset, nft         the table: its names, its text, and what runs that text
    port_groups, layout          which ports a jail closes; what the next start needs besides the bans
    elements, networks, edits    addresses and networks as elements of sets, and their changes
    netlink, kernel              the kernel's language: what is written and read
    reconcile, transactions      the table as it is -> the table as it is to be
    monitor, repair_log          changes by other programs, and our log's lines about them
    claim                        one wp-sidecar to a firewall
    sightings                    which addresses sent packets
    drop_counters, address_drops how much was dropped, in all and of one address
    answers                      packets to banned addresses
    errors                       how a firewall fails
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
