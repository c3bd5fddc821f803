"""What a container's labels set: values over its jails, and entries for the allowlist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from sidecar.core.jail import Jail


@dataclass(frozen=True, slots=True)
class Overrides:
    """Empty where the labels set nothing. `sidecar.config.labels` reads them."""

    # A field of the jail -> the value that it has for this container.
    values: Mapping[str, Any] = field(default_factory=dict)
    # Networks in canonical form that its jails never ban for it, beside their own.
    ignoreip: tuple[str, ...] = ()
    # Host names for which the same holds; what they stand for is added to `ignoreip`.
    ignore_names: tuple[str, ...] = ()
    # Networks in canonical form that no jail ever bans.
    trusted_proxies: tuple[str, ...] = ()

    def apply_to(self, jail: Jail) -> Jail:
        """Return the jail as it is for this container."""
        return replace(jail, **self.values, ignoreip=(*jail.ignoreip, *self.ignoreip))
