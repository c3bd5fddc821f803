"""Addresses, jails and decisions that the firewall's tests share."""

import socket
import time

from sidecar.core.address import Address
from sidecar.core.events import Ban, BanCause, Turn, Unban, UnbanCause
from sidecar.core.jail import Jail

ANN, BOB, EVE = Address("203.0.113.11"), Address("203.0.113.12"), Address("203.0.113.99")
ANN6, BOB6 = "2001:db8:bad:1::11", "2001:db8:bad:2::12"
# Another address of the customer ANNS64.
ANN6_TOO = "2001:db8:bad:1:ffff::99"
ANNS64, BOBS64 = Address("2001:db8:bad:1::/64"), Address("2001:db8:bad:2::/64")
LOGIN = Jail("login")
SSH = Jail("ssh", ports=frozenset({22}))
EVERYTHING = Jail("everything", ports=None)
JAILS = [LOGIN, Jail("probes"), SSH, EVERYTHING]


def ban(address, jail="login", lasts=3600.0):
    now = time.time()
    return Ban(jail, Address(address), now, now + lasts, BanCause.FAILURES)


def unban(address, jail="login"):
    return Unban(jail, Address(address), time.time(), UnbanCause.MANUAL)


def turn(*decisions):
    return Turn(time.time(), decisions)


def left(host, address):
    """Seconds that the kernel has left for an IPv4 host banned from the web's ports."""
    return host.kernel.elements("ban4")[socket.inet_aton(address)]
