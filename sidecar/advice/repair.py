"""What another program changed in our table, and what to do about it."""

from __future__ import annotations

from sidecar.firewall import Repair, RepairKind

_CHANGES = {
    RepairKind.TABLE: "deleted the nftables table inet wp_sidecar",
    RepairKind.STRUCTURE: "changed the chains, rules or sets of the nftables table inet wp_sidecar",
    RepairKind.ALLOWLIST: "changed the allowlist in the nftables table inet wp_sidecar",
    RepairKind.PORTS: "changed which ports the nftables table inet wp_sidecar closes",
    RepairKind.BANS: "changed the bans in the nftables table inet wp_sidecar",
}


def describe_repairs(repair: Repair, count: int, seconds: float) -> str:
    """Return that the table is changed again and again: this often in the last seconds, the last time like this."""
    return (
        f"Another program {_CHANGES[repair.kind]}, and does so again and again: {count:,} changes in the last "
        f"{max(1, round(seconds)):,} s. Each is repaired, but until then bans have no effect. Find the program with "
        "`nft monitor`, and configure it to leave this table alone."
    )


def describe_repair(repair: Repair) -> str:
    """Return what was changed, that it is repaired, and how to find the program that did it."""
    return (
        f"Another program {_CHANGES[repair.kind]}. It was repaired ({repair.restored:,} bans restored, "
        f"{repair.removed:,} removed). Find the program with `nft monitor`, and configure it to leave this table "
        "alone; to ban and unban by hand, use `wp-sidecar ban` and `wp-sidecar unban`."
    )
