"""What a jail's `action` asks for: which service is notified of what, and the requests that action files describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Final


class AlertEvent(StrEnum):
    """What people can be notified of. The values are those of an action's `events` option."""

    START = "start"
    STOP = "stop"
    BAN = "ban"
    UNBAN = "unban"
    # A failure that counts.
    FOUND = "found"
    # A banned address that is logged all the same.
    BYPASS = "bypass"
    # Something is wrong, or is not wrong any more.
    PROBLEM = "problem"


# The end of each ban and each single failure are sent to those who ask for them.
DEFAULT_EVENTS: Final = frozenset(AlertEvent) - {AlertEvent.UNBAN, AlertEvent.FOUND}


@dataclass(frozen=True, slots=True)
class BodyPart:
    """One `--data` of a curl line. Its text has `<tags>` that are replaced when it is sent."""

    text: str
    # The name of the field; "": the text is the body, or a part of it, as it stands.
    name: str = ""
    # Whether the text is percent-encoded (`--data-urlencode`).
    encoded: bool = False


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """An HTTP request with `<tags>`, as a curl line of an action file describes it."""

    url: str
    method: str = "POST"
    headers: tuple[tuple[str, str], ...] = ()
    parts: tuple[BodyPart, ...] = ()
    # Whether the parts are the fields of a multipart form (`--form`).
    multipart: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """One action of one jail. `kind` names the sender, and `options` are that sender's own.

    `name` is the name that the jails file uses. `source` says where the action is written, for sentences.
    """

    kind: str
    name: str
    # They may hold secrets.
    options: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    requests: tuple[tuple[AlertEvent, RequestTemplate], ...] = field(default=(), repr=False)
    events: frozenset[AlertEvent] = DEFAULT_EVENTS
    # Globs of the names of containers and files; empty: all.
    sites: tuple[str, ...] = ()
    source: str = ""

    def option(self, name: str, default: str = "") -> str:
        return dict(self.options).get(name, default)

    def requests_for(self, event: AlertEvent) -> list[RequestTemplate]:
        """Return the requests that the action file has for this event, in their order."""
        return [request for each, request in self.requests if each == event]

    def wants(self, event: AlertEvent, site: str) -> bool:
        """Return whether this event at this container or file is to be sent. Where none is known, any will do."""
        if event not in self.events:
            return False
        return not self.sites or not site or any(fnmatchcase(site, glob) for glob in self.sites)


# Kind of action -> (its option, the setting that all actions of the kind share). A setting is a variable's value.
SHARED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "slack": (("url", "slack"),),
    "webhook": (("url", "webhook"), ("secret", "webhook_secret")),
    "apprise": (("url", "apprise"),),
    "mail": (("server", "smtp"), ("dest", "mail"), ("sender", "mail_from")),
    "exec": (("allowed", "exec"),),
}
# Kind of action -> (an option that it cannot do without, what to set).
REQUIRED: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "slack": (("url", "no URL: set SLACK_WEBHOOK_URL, or slack[url=...]"),),
    "webhook": (("url", "no URL: set WP_SIDECAR_WEBHOOK_URL, or webhook[url=...]"),),
    "apprise": (("url", "no URL: set WP_SIDECAR_APPRISE_URL, or apprise[url=...] or apprise[config=...]"),),
    "mail": (
        ("server", "no mail server: set WP_SIDECAR_SMTP_URL, as smtp://mail.example:25"),
        ("dest", "no recipient: set `destemail`, or WP_SIDECAR_MAIL_TO"),
    ),
    "exec": (
        ("allowed", "no permission: set WP_SIDECAR_EXEC=1 if whoever writes this file may run programs"),
    ),
}


def completed(action: Action, settings: Mapping[str, str]) -> Action:
    """Return the action with the settings that all of its kind share, where it says nothing itself."""
    given = {name: value for name, value in action.options if value}
    if action.kind == "apprise" and "config" in given:
        return action
    shared = {option: settings.get(name, "") for option, name in SHARED.get(action.kind, ())}
    if "allowed" in shared:
        # It cannot be allowed where it is written.
        given.pop("allowed", None)
    merged = {option: value for option, value in (shared | given).items() if value}
    return replace(action, options=tuple(merged.items()))


def lacking(action: Action) -> str:
    """Return what a completed action cannot do without, and what to set; "": nothing."""
    options = dict(action.options)
    if action.kind == "apprise" and "config" in options:
        return ""
    return next((what for option, what in REQUIRED.get(action.kind, ()) if option not in options), "")
