"""What a container's labels say over the jails that look at it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sidecar.core.jail import Jail


@dataclass(frozen=True, slots=True)
class Overrides:
    """None and empty: as the jail says."""

    maxretry: int | None = None
    findtime: float | None = None  # seconds
    bantime: float | None = None  # seconds; `math.inf`: for good
    observe: bool | None = None
    allow: tuple[str, ...] = ()  # networks, canonical, beside the jail's ignoreip
    allow_names: tuple[
        str, ...
    ] = ()  # host names; whoever looks them up puts whom they stand for into `allow`

    def over(self, jail: Jail) -> Jail:
        """The jail as it is for this container."""
        return replace(
            jail,
            maxretry=jail.maxretry if self.maxretry is None else self.maxretry,
            findtime=jail.findtime if self.findtime is None else self.findtime,
            bantime=jail.bantime if self.bantime is None else self.bantime,
            observe=jail.observe if self.observe is None else self.observe,
            ignoreip=(*jail.ignoreip, *self.allow),
        )
