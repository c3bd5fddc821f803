"""The names in our nftables table.

The kernel keeps the table while this program is stopped, an older or newer version adopts it, and people look at it
with `nft list table inet wp_sidecar`. So these names change only together with the number of the schema, and
docs/firewall.md describes each of them. The sets of a port group are named in `port_groups.py`.
"""

from __future__ import annotations

from typing import Final

TABLE: Final = "wp_sidecar"

# A table that exists only within one transaction, which finds out what the kernel can do.
PROBE_TABLE: Final = "wp_sidecar_probe"

# The table's comment. A table with another schema is replaced.
SCHEMA: Final = "wp-sidecar schema 5"

# Schemas with bans and ports in the same sets as this one, so that they can be read.
READABLE_SCHEMAS: Final = frozenset(f"wp-sidecar schema {number:d}" for number in (1, 2, 3, 4, 5))

# The chain that drops packets, and the one that records their senders.
CHAIN: Final = "prerouting"
SIGHTINGS_CHAIN: Final = "presence"

# The chain that counts a packet of a banned address and drops it.
DROPPING_CHAIN: Final = "dropping"

# The chains that see what containers and what the host send, the one that finds answers to banned addresses among it,
# and the one that rejects those. `answers.py` has their rules.
FORWARD_CHAIN: Final = "forward"
OUTPUT_CHAIN: Final = "output"
ANSWERS_CHAIN: Final = "answers"
REJECTED_CHAIN: Final = "rejected"

# By IP version: the counters of what was dropped.
DROP_COUNTERS: Final = {4: "dropped4", 6: "dropped6"}

# By IP version: hosts, and IPv6 customers (/64), of which packets were dropped, with a counter each; and the counters
# of packets that were dropped while such a set was full.
DROP_SETS: Final = {4: "drops4", 6: "drops6"}
UNCOUNTED: Final = {4: "uncounted4", 6: "uncounted6"}

# By IP version: the networks that are never banned.
ALLOWLIST_SETS: Final = {4: "allow4", 6: "allow6"}

# By IP version: hosts, and IPv6 customers (/64), that sent a packet.
SEEN_SETS: Final = {4: "seen4", 6: "seen6"}

# By IP version: addresses that a ban waits for although it is unknown whether they sent packets; and those of them that
# sent one since.
SUSPECT_SETS: Final = {4: "suspect4", 6: "suspect6"}
WITNESS_SETS: Final = {4: "witness4", 6: "witness6"}

# By IP version: (address, port) of banned addresses that connected to a port which their ban does not close.
PASSED_SETS: Final = {4: "passed4", 6: "passed6"}

# By IP version: banned addresses to which an answer was rejected.
REJECTED_SETS: Final = {4: "rejected4", 6: "rejected6"}

# IP versions: of which any packet came, and of which a packet came that could not be recorded.
LATEST_SET: Final = "latest"
MISSED_SET: Final = "missed"
