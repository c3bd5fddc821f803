"""The names by which clients may ask a server of ours: a web page can give any name of its own our address."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

# Stands for every name.
ANY_HOST: Final = "*"

# Names that mean this host and that nobody can register: RFC 6761, and Docker's own name for its host.
LOCAL_NAMES: Final = ("localhost", "host.docker.internal")
# RFC 9110, 7.2: a name or an address, IPv6 in brackets, and a port.
_HOST: Final = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::\d{1,5})?")


class KnownHosts:
    """The names by which clients may ask.

    A web page may point a name of its own at 127.0.0.1, and its scripts would then read what is here (DNS rebinding).
    Their browser writes that name into `Host`. An address cannot be pointed anywhere.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = {*LOCAL_NAMES, socket.gethostname().lower(), *names}

    def includes(self, host: str | None) -> bool:
        """Return whether a request with this `Host` is answered. Every browser sends one."""
        if host is None or ANY_HOST in self._names:
            return True
        found = _HOST.fullmatch(host)
        if found is None:
            return False
        name = (found["ipv6"] or found["name"]).lower().removesuffix(".")
        if name in self._names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True
