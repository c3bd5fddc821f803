"""Decisions -> one transaction -> the kernel; and back again when someone else changed it."""

from sidecar.firewall.enforcing import Enforcing
from sidecar.firewall.firewall import Firewall, Repair
from sidecar.firewall.monitor import Monitor
from sidecar.firewall.netlink import FirewallError, NoPermission

__all__ = ["Enforcing", "Firewall", "FirewallError", "Monitor", "NoPermission", "Repair"]
