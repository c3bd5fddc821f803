"""Decisions -> one transaction -> the kernel; and back again when someone else changed it."""

from sidecar.firewall.monitor import Monitor
from sidecar.firewall.netlink import FirewallError, NoPermission
from sidecar.firewall.sink import FirewallSink
from sidecar.firewall.table import Firewall, Repair

__all__ = ["Firewall", "FirewallError", "FirewallSink", "Monitor", "NoPermission", "Repair"]
