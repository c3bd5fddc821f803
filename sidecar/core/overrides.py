"""What a container's labels set: values over its jails, and entries for the allowlist."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple

from sidecar.core.jail import Jail

# A label may have failures remembered for this long where no jail does so for longer: they take memory, and the store's
# disk.
MAX_FINDTIME_S: Final = 86_400.0
# This many failures of each address may be kept for a label where no jail keeps more.
MAX_RETRIES: Final = 100


class LabelLimits(NamedTuple):
    """What a container's label may set over one field of a jail."""

    least: float
    most: float


@dataclass(frozen=True, slots=True)
class Overrides:
    """Empty where the labels set nothing. `sidecar.config.labels` reads them."""

    # A field of the jail -> the value that it has for this container.
    values: Mapping[str, Any] = field(default_factory=dict)
    # Networks in canonical form that its jails never ban for it, beside their own.
    ignoreip: tuple[str, ...] = ()
    # Host names for which the same holds; what they stand for is added to `ignoreip`.
    ignore_names: tuple[str, ...] = ()
    # Networks of proxies in canonical form.
    trusted_proxies: tuple[str, ...] = ()
    # Whether the labels decide about this container alone and within the jails' own times. Then the proxies are not
    # banned for this container's log; otherwise no jail ever bans them.
    limited: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether it sets nothing."""
        return not (self.values or self.ignoreip or self.ignore_names or self.trusted_proxies)

    @property
    def own_proxies(self) -> tuple[str, ...]:
        """The proxies that are not banned for this container's log."""
        return self.trusted_proxies if self.limited else ()

    @property
    def proxies_of_all(self) -> tuple[str, ...]:
        """The proxies that no jail ever bans."""
        return () if self.limited else self.trusted_proxies

    def apply_to(self, jail: Jail) -> Jail:
        """Return the jail as it is for this container."""
        values = dict(self.values)
        if self.limited:
            values |= {
                name: min(max(values[name], least), most)
                for name, (least, most) in limits(jail).items()
                if name in values
            }
        return replace(jail, **values, ignoreip=(*jail.ignoreip, *self.ignoreip))


def limits(jail: Jail) -> dict[str, LabelLimits]:
    """Return field -> what a container's label may set over it.

    All containers of a jail share its failures and bans. A short `findtime` or `bantime` at one container would make
    failures at the others count for less, so labels may only lengthen them.
    """
    longest = jail.longest_bantime
    return {
        "maxretry": LabelLimits(1, max(jail.maxretry, MAX_RETRIES)),
        # Where bans grow without end, their first length is the limit.
        "bantime": LabelLimits(jail.bantime, jail.bantime if longest == math.inf else longest),
        "findtime": LabelLimits(jail.findtime, max(jail.findtime, MAX_FINDTIME_S)),
    }
