"""The states of all jails, by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from sidecar.core.events import Hit
from sidecar.core.evidence import Evidence
from sidecar.core.jail import MANUAL_JAIL, SITE_MARK, Jail, Scope, configured_name, site_of_jail
from sidecar.core.jail_state import NO_OVERRIDES, JailState
from sidecar.core.overrides import Overrides
from sidecar.core.sites import Sites, with_sites

# What is read from these is of no site: a person chose the file, another node its failure.
_OF_NO_SITE: Final = frozenset({"file", "stdin", "fleet"})


class JailStates:
    """Every jail of the configuration, `manual`, and jails that left it and still have bans. `by_name` is to be read.

    A jail with the scope of a site has a state for each site besides its own. `evidence` are the lines of all jails
    together. `sites` are those that are known.
    """

    def __init__(self, jails: Iterable[Jail]) -> None:
        self.evidence = Evidence()
        self.sites = Sites()
        self._configured = {jail.name: jail for jail in (*jails, MANUAL_JAIL)}
        self.by_name = {jail.name: JailState(jail, self.evidence) for jail in self._configured.values()}
        self._overrides = NO_OVERRIDES
        self._has_site_scope = self._find_site_scope()

    def __iter__(self) -> Iterator[JailState]:
        return iter(self.by_name.values())

    def located(self, hits: Iterable[Hit]) -> Iterable[Hit]:
        """Return the hits, each with the jail of its site where it has one."""
        return map(self._located, hits) if self._has_site_scope else hits

    def add(self, name: str) -> JailState:
        """Add the jail of a site that is not known yet, or one that is not configured, and return its state."""
        jail, is_removed = self._jail_named(name)
        state = self.by_name[name] = JailState(jail, self.evidence, self._overrides, is_removed=is_removed)
        return state

    def set_overrides(self, overrides: Mapping[str, Overrides]) -> None:
        """Apply what containers' labels say now: container's name -> its overrides."""
        self._overrides = dict(overrides)
        for state in self:
            state.set_overrides(self._overrides)

    def set_sites(self, sites: Sites) -> None:
        """Make these the sites that are known."""
        self.sites = sites
        self.reconfigure([jail for jail in self._configured.values() if jail is not MANUAL_JAIL])

    def reconfigure(self, jails: Iterable[Jail]) -> list[JailState]:
        """Make these the jails. Return those that made dry runs of their bans and do so no longer."""
        self._configured = {jail.name: jail for jail in (*jails, MANUAL_JAIL)}
        self._has_site_scope = self._find_site_scope()
        wanted = {jail.name: jail for jail in with_sites(self._configured.values(), self.sites)}
        # Of sites that are not known (any more), those that have something to remember.
        for name, state in self.by_name.items():
            if name not in wanted and (state.bans or len(state.failures.window)):
                jail, is_removed = self._jail_named(name)
                if not is_removed:
                    wanted[name] = jail
                elif jail.site:
                    # Its bans stay in force where they were.
                    state.reconfigure(jail)
        enforcing: list[JailState] = []
        for name, jail in wanted.items():
            known = self.by_name.get(name)
            if known is None:
                self.by_name[name] = JailState(jail, self.evidence, self._overrides)
                continue
            if known.jail.observe and not jail.observe:
                enforcing.append(known)
            known.reconfigure(jail)
        for name, state in list(self.by_name.items()):
            state.is_removed = name not in wanted
            if state.is_removed and not state.bans:
                del self.by_name[name]
        return enforcing

    def _find_site_scope(self) -> bool:
        return any(jail.scope is Scope.SITE for jail in self._configured.values())

    def _located(self, hit: Hit) -> Hit:
        jail = self._configured.get(configured_name(hit.jail))
        if jail is None or jail.scope is not Scope.SITE or hit.origin.source in _OF_NO_SITE:
            return hit
        name = f"{jail.name}{SITE_MARK}{self.sites.site_of(hit.origin.name)}"
        if name not in self.by_name:
            self.add(name)
        return hit if hit.jail == name else hit._replace(jail=name)

    def _jail_named(self, name: str) -> tuple[Jail, bool]:
        """Return the jail with this name, and whether the configuration does not have it."""
        site, configured = site_of_jail(name), self._configured.get(configured_name(name))
        if not site:
            return Jail(name), True
        jail = configured or Jail(configured_name(name))
        return jail.for_site(site, self.sites.ports_of(site)), jail.scope is not Scope.SITE
