"""`logformat` and the label `wp-sidecar.log-format` -> how each access log is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sidecar.access.formats import TextFormat
from sidecar.access.log_format import pattern
from sidecar.access.logs import Declared
from sidecar.config.labels import LOG_FORMAT
from sidecar.core.containers import LOG_FORMAT_LABEL
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides


def declared(jails: Iterable[Jail], overrides: Mapping[str, Overrides]) -> Declared:
    """Return what jails, and the labels of containers by the container's name, say about access logs."""
    by_container = {name: each.values.get(LOG_FORMAT) for name, each in overrides.items()}
    return Declared(
        {
            jail.name: TextFormat(f"logformat of {jail.name}", pattern(jail.log_format))
            for jail in jails
            if jail.log_format
        },
        {
            name: TextFormat(f"label {LOG_FORMAT_LABEL}", pattern(text))
            for name, text in by_container.items()
            if text
        },
    )
