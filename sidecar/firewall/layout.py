"""The layout: all that the firewall needs besides the bans, kept in a file of the state directory.

After a reboot the kernel has no table. The store has the bans, but not which ports they close: that is in the
configuration and in what the container engine says, and both come seconds or minutes later. With this file the table
can be written at once, as it was before (`sidecar.app.restore`). It is a cache: without it, bans close the web's ports.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from sidecar.core.jail import Jail, Scope, site_of_jail

log = logging.getLogger(__name__)

FILE_NAME: Final = "firewall.json"


@dataclass(frozen=True, slots=True)
class Layout:
    """Jails with their ports, the allowlist and the published ports."""

    # Jail -> ports; None: all of them.
    ports: Mapping[str, frozenset[int] | None] = field(default_factory=dict)
    allowlist: tuple[str, ...] = ()
    # None: the container engine has not answered yet.
    published: frozenset[int] | None = None
    # The jails that close their own ports alone.
    own_ports_alone: frozenset[str] = frozenset()

    @property
    def jails(self) -> tuple[Jail, ...]:
        """The jails, as far as the firewall needs them."""
        return tuple(
            Jail(
                name,
                ports=ports,
                published=name not in self.own_ports_alone,
                scope=Scope.SITE if site_of_jail(name) else Scope.HOST,
            )
            for name, ports in self.ports.items()
        )

    def to_json(self) -> str:
        return json.dumps(
            {
                "jails": {name: _listed(ports) for name, ports in self.ports.items()},
                "allowlist": list(self.allowlist),
                "published": _listed(self.published),
                "own_ports_alone": sorted(self.own_ports_alone),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises ValueError for anything else."""
        try:
            values = json.loads(text)
            ports = {str(name): _ports(each) for name, each in values["jails"].items()}
            # Absent in the files of earlier versions.
            alone = frozenset(map(str, values.get("own_ports_alone", ())))
            return cls(ports, tuple(map(str, values["allowlist"])), _ports(values["published"]), alone)
        except (KeyError, TypeError, AttributeError) as err:
            raise ValueError(f"not a layout of the firewall: {err!r}") from err


class LayoutFile:
    """The file, and what was written last. The store reports a directory that cannot be written."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE_NAME
        self._written: Layout | None = None

    def write(self, layout: Layout) -> None:
        """Write a layout, whole or not at all, if it is another one than before."""
        if layout == self._written:
            return
        new = self._path.with_suffix(".new")
        try:
            new.write_text(layout.to_json())
            new.replace(self._path)
        except OSError as err:
            log.debug("%s cannot be written: %s", self._path, err)
            return
        self._written = layout

    def read(self) -> Layout:
        """Return what was written. An empty layout if there is none, or if the file is damaged."""
        with contextlib.suppress(OSError, ValueError):
            return Layout.from_json(self._path.read_text())
        return Layout()


def _listed(ports: Iterable[int] | None) -> list[int] | None:
    return None if ports is None else sorted(ports)


def _ports(listed: Iterable[int] | None) -> frozenset[int] | None:
    return None if listed is None else frozenset(map(int, listed))
