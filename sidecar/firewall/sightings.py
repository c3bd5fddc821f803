"""What the kernel can say about one address: whether it sent packets here, and why its ban keeps nobody out."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.advice.bypass import Facts
from sidecar.core.address import Address, first_and_last
from sidecar.core.jail_state import GRACE
from sidecar.firewall import ruleset, sighting_sets
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.netlink import FirewallError
from sidecar.firewall.ruleset import Gate


class PacketSightings:
    """Asks, and changes nothing. For the kernel's thread."""

    def __init__(self, kernel: Kernel, is_sound: Callable[[], bool]) -> None:
        """`is_sound()`: are the rules those that we left? Else nobody notes senders as they should."""
        self._kernel, self._is_sound = kernel, is_sound

    def seen(self, address: Address) -> bool | None:
        """`Firewall.seen`."""
        version = sighting_sets.version(address)
        try:
            if version is None:
                return None
            if self._kernel.has(sighting_sets.SEEN[version], ruleset.key(address)):
                return True
            missed = self._kernel.has(sighting_sets.MISSED, sighting_sets.KEYS[version])
            return None if missed or not self._is_sound() else False
        except (FirewallError, OSError):
            return None

    def look_at(self, address: Address, gate: Gate, ago: float) -> Facts:
        """`Firewall.look_at`, for whom this gate closes its ports, and a line that is so many seconds old."""
        lately = ago + GRACE
        return Facts(
            address,
            ruleset.seat(address, gate),
            hooked=self._is_sound(),
            held=self._holds(address, gate),
            came=self._came(address, lately),
            anyone=frozenset(
                version
                for version, key in sighting_sets.KEYS.items()
                if self._within(lately, sighting_sets.LATEST, key, sighting_sets.KEPT)
            ),
            passed=self._passed(address, lately),
        )

    def closed(self, gate: Gate) -> frozenset[int]:
        """The ports that a gate closes, as the kernel has them."""
        return frozenset(int.from_bytes(key, "big") for key in self._kernel.elements(gate.open_to))

    def _came(self, address: Address, lately: float) -> bool | None:
        """Whether a packet of theirs came within so many seconds; None: nobody knows.

        Unlike `seen`, it need not know all of ten minutes: they were banned for longer than an answer is under way.
        """
        if (version := sighting_sets.version(address)) is None:
            return None
        if self._within(lately, sighting_sets.SEEN[version], ruleset.key(address), sighting_sets.KEPT):
            return True
        missed = self._within(
            lately, sighting_sets.MISSED, sighting_sets.KEYS[version], sighting_sets.LOOKBACK
        )
        return None if missed else False

    def _within(self, lately: float, name: str, key: bytes, lasting: float) -> bool:
        """Whether this key was put into a set within so many seconds; there it is for `lasting` ones."""
        left = self._kernel.left(name, key)
        return left is not None and lasting - left <= lately

    def _passed(self, address: Address, lately: float) -> frozenset[int]:
        """The ports that no ban of theirs closes, and that they connected to within so many seconds."""
        if (version := sighting_sets.version(address)) is None:
            return frozenset()
        at = ruleset.key(address)
        return frozenset(
            int.from_bytes(key[len(at) : len(at) + 2], "big")
            for key, left in self._kernel.elements(sighting_sets.PASSED[version]).items()
            if key.startswith(at) and sighting_sets.FRESH - left <= lately
        )

    def _holds(self, address: Address, gate: Gate) -> bool:
        """Whether the kernel has them in their set, or in a network of that gate."""
        if sighting_sets.version(address) and self._kernel.has(
            ruleset.seat(address, gate), ruleset.key(address)
        ):
            return True
        version, low, high = first_and_last(address)
        nets = self._kernel.intervals(gate.nets(version))
        return any(low >= first and high <= last for first, last in nets)
