"""`logformat` and the label `wp-sidecar.log-format` -> how each access log is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sidecar.access.chain import Proxies
from sidecar.access.formats import declared as read_by
from sidecar.access.logs import Declared
from sidecar.config.labels import LOG_FORMAT
from sidecar.config.settings import AllowlistSettings
from sidecar.core.containers import LOG_FORMAT_LABEL
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides

NO_ALLOWLIST: Final = AllowlistSettings(cdns=())


def declared(
    jails: Iterable[Jail], overrides: Mapping[str, Overrides], allowlist: AllowlistSettings = NO_ALLOWLIST
) -> Declared:
    """Return what jails, and the labels of containers by the container's name, say about access logs.

    The proxies and CDNs that are never banned are trusted to name their clients.
    """
    networks = [
        *allowlist.trusted_proxies,
        *(network for each in allowlist.cdns for network in each.networks),
        *(network for each in overrides.values() for network in each.proxies_of_all),
    ]
    by_container = {name: each.values.get(LOG_FORMAT) for name, each in overrides.items()}
    return Declared(
        {
            jail.name: read_by(f"logformat of {jail.name}", jail.log_format)
            for jail in jails
            if jail.log_format
        },
        {name: read_by(f"label {LOG_FORMAT_LABEL}", text) for name, text in by_container.items() if text},
        Proxies(networks),
        {
            name: Proxies([*networks, *each.own_proxies])
            for name, each in overrides.items()
            if each.own_proxies
        },
    )
