"""One wp-sidecar to a firewall: a claim on the network namespace that no other kind of process can hold.

The kernel keeps a table with an owner for the socket that made it, refuses it to every other process, and removes it
with that socket, however its process ends (linux/netfilter/nf_tables.h, since 5.12). Only a process with CAP_NET_ADMIN
can make one, and such a process controls the firewall anyway. A name of a socket, a port or a file in a shared folder
could be taken by anybody in the namespace, who would then keep us from starting.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

from sidecar.firewall.errors import AlreadyRunning, FirewallError, NoPermission
from sidecar.firewall.netlink import Netlink, attribute, message

# An empty table. `nft list tables` shows it while a wp-sidecar runs.
CLAIM_TABLE: Final = "wp_sidecar_running"
# By this name, an earlier version and a kernel before 5.12 know that one runs.
SOCKET_NAME: Final = "\0wp-sidecar"

NAME_IS_TAKEN: Final = (
    "another process holds the name @wp-sidecar in this network namespace, and that is no wp-sidecar: "
    "`ss -xlp | grep wp-sidecar` shows it"
)

# NFT_MSG_NEWTABLE, NFT_MSG_GETTABLE; NFTA_TABLE_NAME, NFTA_TABLE_FLAGS; NFT_TABLE_F_OWNER; NLM_F_CREATE.
_NEW_TABLE, _GET_TABLE = 0, 1
_NAME, _FLAGS = 1, 2
_OWNER = struct.pack(">I", 2)
_CREATE = 0x400
# How a kernel answers that knows no owners.
_UNKNOWN_FLAG: Final = (errno.EOPNOTSUPP, errno.EINVAL)
# struct ucred (unix(7)): pid, uid, gid.
_CREDENTIALS = struct.Struct("=iII")


class FirewallClaim:
    """Held from its construction until `close`, or until the process ends.

    Raises AlreadyRunning where another process holds it, NoPermission and FirewallError.
    """

    def __init__(self) -> None:
        self._netlink = Netlink()
        try:
            is_held = self._is_owner()
            self._name = _name(is_proof=not is_held)
        except BaseException:
            self._netlink.close()
            raise

    @property
    def warning(self) -> str | None:
        """What an operator should know of it, as a sentence. It is claimed before there is a log."""
        return None if self._name else NAME_IS_TAKEN

    def close(self) -> None:
        self._netlink.close()
        if self._name is not None:
            self._name.close()

    def _is_owner(self) -> bool:
        """Own the table. Return False where the kernel knows no owners."""
        table = attribute(_NAME, CLAIM_TABLE) + attribute(_FLAGS, _OWNER)
        try:
            return self._netlink.commit([message(_NEW_TABLE, table, _CREATE)])
        except NoPermission:
            # The kernel gives the same answer to a process that may not change the firewall at all; that one may not
            # read it either.
            if self._netlink.ask(_GET_TABLE, (_NAME, CLAIM_TABLE), one=True):
                raise AlreadyRunning from None
            raise
        except FirewallError as err:
            if getattr(err.__cause__, "errno", 0) in _UNKNOWN_FLAG:
                return False
            raise


def _name(*, is_proof: bool) -> socket.socket | None:
    """Hold the abstract name. `is_proof`: where another process of our user holds it, that is a wp-sidecar.

    Without an owned table there is no better proof. A process of another user proves nothing.
    """
    held = socket.socket(socket.AF_UNIX)
    try:
        held.bind(SOCKET_NAME)
        # So that others can ask the kernel which user we are.
        held.listen()
    except OSError:
        held.close()
        if is_proof and _holder_is_our_user():
            raise AlreadyRunning from None
        return None
    return held


def _holder_is_our_user() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0)
        try:
            probe.connect(SOCKET_NAME)
            found = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        except OSError:
            return False
    return int(_CREDENTIALS.unpack(found)[1]) == os.geteuid()
