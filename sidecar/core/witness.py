"""Whether a client that a log names is known to have sent packets.

A log line can name anybody: a header is believed, a newline is not escaped, another container writes into the same log.
A packet comes from where it comes from. So a ban because of log lines needs a witness: the kernel, which records the
senders of packets to the ports that bans close. Bans by hand, of other nodes and from the last run need none: people,
the other node's kernel and the run before vouched for them.

"Unknown" is not a witness. That costs one failure and no more: a client that fails again sends a packet with it, which
the kernel records, and the failures that were refused are kept until then.
"""

from __future__ import annotations

from typing import Final, Protocol

from sidecar.core.address import Address


class Witness(Protocol):
    """Knows which addresses sent packets to this host."""

    def seen(self, address: Address) -> bool | None:
        """Return whether a packet of this address came lately; None: unknown."""


class NoWitness:
    """Vouches for every address, where logs are read that are not of this host's traffic: `replay`, and tests."""

    def seen(self, _: Address) -> bool:
        return True


NO_WITNESS: Final[Witness] = NoWitness()
