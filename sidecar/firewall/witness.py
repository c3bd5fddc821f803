"""What the kernel can say about one address: whether it sent packets here, and why its ban keeps nobody out."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.core.cell import GRACE
from sidecar.core.events import Who
from sidecar.firewall import changes, presence
from sidecar.firewall.changes import Gate
from sidecar.firewall.diagnosis import Facts
from sidecar.firewall.kernel import Kernel
from sidecar.firewall.netlink import FirewallError


class Witness:
    """Asks, and changes nothing. For the kernel's thread."""

    def __init__(self, kernel: Kernel, is_sound: Callable[[], bool]) -> None:
        """`is_sound()`: are the rules those that we left? Else nobody notes senders as they should."""
        self._kernel, self._is_sound = kernel, is_sound

    def seen(self, who: Who) -> bool | None:
        """`Firewall.seen`."""
        version = presence.version(who)
        try:
            if version is None:
                return None
            if self._kernel.has(presence.SEEN[version], changes.key(who)):
                return True
            missed = self._kernel.has(presence.MISSED, presence.KEYS[version])
            return None if missed or not self._is_sound() else False
        except (FirewallError, OSError):
            return None

    def look_at(self, who: Who, gate: Gate, ago: float) -> Facts:
        """`Firewall.look_at`, for whom this gate closes its ports, and a line that is so many seconds old."""
        lately = ago + GRACE
        return Facts(
            who,
            changes.seat(who, gate),
            hooked=self._is_sound(),
            held=self._holds(who, gate),
            came=self._came(who, lately),
            anyone=frozenset(
                version
                for version, key in presence.KEYS.items()
                if self._within(lately, presence.LATEST, key, presence.KEPT)
            ),
            passed=self._passed(who, lately),
        )

    def closed(self, gate: Gate) -> frozenset[int]:
        """The ports that a gate closes, as the kernel has them."""
        return frozenset(int.from_bytes(key, "big") for key in self._kernel.elements(gate.open_to))

    def _came(self, who: Who, lately: float) -> bool | None:
        """Whether a packet of theirs came within so many seconds; None: nobody knows.

        Unlike `seen`, it need not know all of ten minutes: they were banned for longer than an answer is under way.
        """
        if (version := presence.version(who)) is None:
            return None
        if self._within(lately, presence.SEEN[version], changes.key(who), presence.KEPT):
            return True
        missed = self._within(lately, presence.MISSED, presence.KEYS[version], presence.LOOKBACK)
        return None if missed else False

    def _within(self, lately: float, name: str, key: bytes, lasting: float) -> bool:
        """Whether this key was put into a set within so many seconds; there it is for `lasting` ones."""
        left = self._kernel.left(name, key)
        return left is not None and lasting - left <= lately

    def _passed(self, who: Who, lately: float) -> frozenset[int]:
        """The ports that no ban of theirs closes, and that they connected to within so many seconds."""
        if (version := presence.version(who)) is None:
            return frozenset()
        at = changes.key(who)
        return frozenset(
            int.from_bytes(key[len(at) : len(at) + 2], "big")
            for key, left in self._kernel.elements(presence.PASSED[version]).items()
            if key.startswith(at) and presence.FRESH - left <= lately
        )

    def _holds(self, who: Who, gate: Gate) -> bool:
        """Whether the kernel has them in their set, or in a network of that gate."""
        if presence.version(who) and self._kernel.has(changes.seat(who, gate), changes.key(who)):
            return True
        version, low, high = changes.ends(who)
        nets = self._kernel.intervals(gate.nets(version))
        return any(low >= first and high <= last for first, last in nets)
