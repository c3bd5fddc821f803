"""A loop that turns in a thread, at five o'clock for ever, and what commands need beside it."""

import contextlib
import math
import threading

from sidecar.control.commands.loop_access import LoopAccess
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.ban_history import PastBans
from sidecar.core.events import Ban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.filters.line_explainer import LineExplanation
from sidecar.firewall.backend import AddressDrops
from sidecar.runtime.loop import Inbox, Loop
from sidecar.runtime.problems import Problems
from sidecar.stores.base import StoreError
from sidecar.telemetry.http import Health

NOW = 5.0
ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
LOGIN = Jail("login", bantime=60)


class Store:
    """Has the evidence of ANN's ban, as long as it can be read."""

    def __init__(self):
        self.error = ""
        # Of past bans: what is there, and what was asked for.
        self.past, self.wanted = [], []

    def past_bans(self, wanted):
        self.wanted.append(wanted)
        if self.error:
            raise StoreError(self.error)
        return self.past[: wanted.limit]

    def evidence(self, keys):
        if self.error:
            raise StoreError(self.error)
        return {("login", ANN): ("fail 1", "fail 2")}


class Drops:
    """The kernel's counts: of ANN three packets, of BOB it is unknown, of all others none."""

    def __init__(self, last=NOW):
        self.last = last
        # What was asked for, question by question.
        self.asked = []

    def dropped_from(self, addresses):
        self.asked.append(list(addresses))
        none = dict.fromkeys(addresses, AddressDrops(0, 0, None)) | {ANN: AddressDrops(3, 180, self.last)}
        return {address: none[address] for address in addresses if address != BOB}


class Explainer:
    """Every line with `fail` matches the first expression, at its last number."""

    def explain(self, jail, lines):
        del jail
        return [
            LineExplanation(1, "^fail", float(line.split()[-1])) if "fail" in line else None for line in lines
        ]


class Fleet:
    """Knows one ban, of BOB, that is not in force here."""

    def __init__(self):
        self.error, self.unbanned = "", []

    def bans(self):
        if self.error:
            raise StoreError(self.error)
        return [Ban("login", BOB, NOW, math.inf, "fleet")]

    def unban(self, address, jail):
        if address is None:
            raise ValueError("not every address")
        self.unbanned.append((address, jail))
        return 1


class Healthy:
    def health(self):
        return Health(live=True, ready=True)


@contextlib.contextmanager
def running_loop(bans=(), sinks=()):
    """Yield access to a loop, which ends with the block."""
    inbox = Inbox()
    guard = Guard(
        [LOGIN], Allowlist({"ignoreip": ["192.0.2.0/24"]}), bans, [PastBans("login", BOB, 3, until=4.0)]
    )
    loop = Loop(guard, inbox, sinks, lambda: NOW, Problems())
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield LoopAccess(inbox)
    finally:
        loop.stop()
        inbox.query(lambda view, _: view.bans)
        thread.join()
