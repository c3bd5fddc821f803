"""Values for the store's tests, and what another process finds in its file."""

import math
from contextlib import closing
from dataclasses import replace

from sidecar.core.address import Address
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban, Hit, Origin
from sidecar.stores.sqlite import SqliteStore

ANN, BOB, CID = Address("203.0.113.7"), Address("2001:db8:1:2::/64"), Address("198.51.100.1")
SITE = Origin("docker", "site", "stdout")
BAN = Ban("wordpress", ANN, 100.0, 86_500.0, "failures", 3, "site", ("first", "second", "third"))
PERMANENT = Ban("wordpress", BOB, 50.5, math.inf, "manual", reason="he knows why")

# BAN as it is loaded, and as it is remembered once it is over.
LOADED, PAST = replace(BAN, evidence=()), PastBans("wordpress", ANN, 1, 86_500.0)
EVIDENCE = {("wordpress", ANN): BAN.evidence}


def hit(at, address=ANN, line="a line"):
    return Hit("wordpress", address, at, SITE, line)


def reopened(path, now=0.0):
    """What another process loads."""
    with closing(SqliteStore(path)) as store:
        return store.load(now)
