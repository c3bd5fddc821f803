"""A channel: a sender, and which messages it is sent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.alerts.journal import Event
from sidecar.alerts.notices import Notice, NoticeKind
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.alerts.sender import Sender
from sidecar.core.actions import Action, AlertEvent
from sidecar.core.jail import configured_name

Routed = TypeVar("Routed", bound=Event)


@dataclass(frozen=True, slots=True)
class Channel:
    """Where messages go. `key` names it in the journal, and stays the same over restarts."""

    key: str
    sender: Sender
    # The actions of the jails that name this destination. A jail of another name is sent what `others` says.
    actions: Mapping[str, Action] = field(default_factory=dict)
    # None: nothing but the messages about no jail, as far as an action wants them.
    others: Action | None = None
    # Whether many bans are sent as one message.
    digests: bool = True

    @property
    def events(self) -> frozenset[AlertEvent]:
        """The events that any action of it asks for."""
        return frozenset().union(*(each.events for each in self._all()))

    def accepts(self, event: Event) -> bool:
        """Return whether the sender is sent this."""
        if isinstance(event, Occurrence):
            return self._wants(event.jail, event.event, event.site)
        if isinstance(event, Digest):
            # The publisher makes one for each event, jail and site.
            first = event.first[0]
            return self._wants(first.jail, first.event, first.site)
        return self._accepts_notice(event)

    def _wants(self, jail: str, event: AlertEvent, site: str) -> bool:
        action = self.actions.get(configured_name(jail), self.others)
        return action is not None and action.wants(event, site)

    def _accepts_notice(self, notice: Notice) -> bool:
        event = notice.event
        if notice.kind in (NoticeKind.START, NoticeKind.STOP):
            # An action file has a message for each jail, instead of the one for the daemon.
            if notice.jail:
                action = self.actions.get(notice.jail)
                return action is not None and event in action.events and bool(action.requests_for(event))
            return any(event in each.events and not each.requests for each in self._all())
        return any(event in each.events for each in self._all())

    def _all(self) -> list[Action]:
        return [*self.actions.values(), *([self.others] if self.others else [])]
