"""What the kernel can say about one address: whether it sent packets here, and why its ban keeps nobody out."""

from __future__ import annotations

from collections.abc import Callable

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

    def look_at(self, who: Who, gate: Gate, ports: frozenset[int], *, proxied: bool) -> Facts:
        """`Firewall.look_at`, for whom this gate closes its ports."""
        _, counts = self._kernel.counters()
        four, six = (counts.get(name, (0, 0))[0] for name in presence.NOTED.values())
        return Facts(
            who,
            changes.seat(who, gate),
            hooked=self._is_sound(),
            held=self._holds(who, gate),
            seen=self.seen(who),
            senders=(four, six),
            open=ports - self.closed(gate) if gate.ports is not None else frozenset(),
            proxied=proxied,
        )

    def closed(self, gate: Gate) -> frozenset[int]:
        """The ports that a gate closes, as the kernel has them."""
        return frozenset(int.from_bytes(key, "big") for key in self._kernel.elements(gate.open_to))

    def _holds(self, who: Who, gate: Gate) -> bool:
        """Whether the kernel has them in their set, or in a network of that gate."""
        if presence.version(who) and self._kernel.has(changes.seat(who, gate), changes.key(who)):
            return True
        version, low, high = changes.ends(who)
        nets = self._kernel.intervals(gate.nets(version))
        return any(low >= first and high <= last for first, last in nets)
