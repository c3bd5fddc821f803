"""Host names -> addresses, by the system's resolver. The only module that asks it."""

from __future__ import annotations

import socket

from sidecar.core.address import Address, parse_address


def lookup_addresses(name: str) -> tuple[Address, ...]:
    """Return the addresses that a name has now, each once, in the resolver's order; none if there is no answer.

    IPv6 addresses are their customer's /64, as everywhere. Blocks until the resolver answers or gives up, which may
    take many seconds (resolv.conf(5), `timeout` and `attempts`). Any thread may call it.
    """
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    known = (parse_address(str(address[0])) for *_, address in found)
    return tuple(dict.fromkeys(one for one in known if one))
