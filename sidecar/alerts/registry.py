# ruff: noqa: PLC0415 - a host needs one kind of sender, or none, and they load requests, mail and templates
"""The senders, by the kind of an action, and a channel for each destination that jails and variables name.

A new sender is a row here, and a row in `config/action_names.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias

from sidecar.alerts.channels import Channel
from sidecar.alerts.sender import Sender
from sidecar.core.actions import Action, completed, lacking
from sidecar.core.jail import Jail

# The kinds that a variable sets up for all jails, and the names of these variables.
OF_VARIABLES: Final = {
    "slack": "SLACK_WEBHOOK_URL",
    "webhook": "WP_SIDECAR_WEBHOOK_URL",
    "apprise": "WP_SIDECAR_APPRISE_URL",
    "mail": "WP_SIDECAR_MAIL_TO",
}


@dataclass(frozen=True, slots=True)
class SenderInputs:
    """What senders are made of."""

    # The settings of all alerts, by their names. Some are secrets.
    settings: Mapping[str, str]
    # The name of this host, which tells the messages of several hosts apart.
    host: str


# (name, the first action with this destination, the actions by jail, inputs) -> a sender.
MakeSender: TypeAlias = Callable[[str, Action, Mapping[str, Action], SenderInputs], Sender]


def _slack(name: str, action: Action, _: Mapping[str, Action], inputs: SenderInputs) -> Sender:
    from sidecar.alerts.slack import Slack

    return Slack(action.option("url"), inputs.host, action, name)


def _webhook(name: str, action: Action, _: Mapping[str, Action], inputs: SenderInputs) -> Sender:
    from sidecar.alerts.webhook import Webhook

    return Webhook(action.option("url"), inputs.host, action, name)


def _http(name: str, action: Action, actions: Mapping[str, Action], inputs: SenderInputs) -> Sender:
    from sidecar.alerts.http_template import HttpTemplate

    return HttpTemplate(name, actions or {"": action}, inputs.host)


def _mail(name: str, action: Action, _: Mapping[str, Action], inputs: SenderInputs) -> Sender:
    from sidecar.alerts.mail import Mail, MailServer
    from sidecar.alerts.owner import NetworkOwner

    return Mail(MailServer.of_url(action.option("server")), action, NetworkOwner(), inputs.host, name)


def _apprise(name: str, action: Action, _: Mapping[str, Action], inputs: SenderInputs) -> Sender:
    from sidecar.alerts.apprise import AppriseSender

    return AppriseSender(action, inputs.host, name)


def _command(name: str, action: Action, _: Mapping[str, Action], inputs: SenderInputs) -> Sender:
    from sidecar.alerts.command import CommandSender

    return CommandSender(action, inputs.host, name)


SENDERS: dict[str, MakeSender] = {
    "slack": _slack,
    "webhook": _webhook,
    "http": _http,
    "mail": _mail,
    "apprise": _apprise,
    "exec": _command,
}
# A command is run for each ban: it may be the way to inform another machine.
WITHOUT_DIGESTS: Final = frozenset({"exec"})
# Options that say how something is sent, and not where to.
TO_THE_SAME_PLACE: Final = frozenset({"timeout", "format", "icon_emoji", "username", "sendername"})


def make_channels(jails: Iterable[Jail], settings: Mapping[str, str], host: str) -> list[Channel]:
    """Return a channel for each destination that an action or a variable names, the variables' first."""
    inputs = SenderInputs(settings, host)
    # Destination -> the action for all jails, and those of single jails.
    found: dict[str, tuple[Action | None, dict[str, Action]]] = {}
    for action in _of_variables(settings):
        if not lacking(action):
            found[_place(action)] = (action, {})
    for jail in jails:
        for action in jail.actions:
            complete = completed(action, settings)
            # The configuration's notes say what such an action lacks.
            if not lacking(complete):
                found.setdefault(_place(complete), (None, {}))[1].setdefault(jail.name, complete)
    _share_webhooks(found)
    names: set[str] = set()
    channels = []
    for place, (others, actions) in found.items():
        first = others or next(iter(actions.values()))
        name = _unused(first.name, names)
        sender = SENDERS[first.kind](name, first, actions, inputs)
        # A variable keeps its queue when its URL changes; the others are known by a hash of where they send to.
        key = first.kind if others else f"{first.kind}-{hashlib.sha256(place.encode()).hexdigest()[:12]}"
        channels.append(Channel(key, sender, actions, others, first.kind not in WITHOUT_DIGESTS))
    return channels


def _share_webhooks(found: Mapping[str, tuple[Action | None, dict[str, Action]]]) -> None:
    """Have nothing sent twice where an action file posts to the webhook of SLACK_WEBHOOK_URL.

    The file's own messages go as the file has them, and all others once for the whole daemon.
    """
    slack = next((each for each in found.values() if each[0] and each[0].kind == "slack"), None)
    if slack is None or slack[0] is None:
        return
    everything, of_jails = slack[0], slack[1]
    for _, actions in found.values():
        for jail, action in actions.items():
            if action.kind == "http" and action.requests[0][1].url == everything.option("url"):
                own = frozenset(event for event, _ in action.requests)
                actions[jail] = replace(action, events=action.events & own)
                of_jails.setdefault(jail, replace(everything, events=everything.events - own))


def _of_variables(settings: Mapping[str, str]) -> list[Action]:
    """Return the actions for all jails."""
    found = []
    for kind, variable in OF_VARIABLES.items():
        if value := settings.get(kind):
            option = "dest" if kind == "mail" else "url"
            found.append(completed(Action(kind, kind, ((option, value),), source=variable), settings))
    return found


def _place(action: Action) -> str:
    """Return what is the same for all actions that send to the same place."""
    if action.kind == "http":
        return f"http {action.requests[0][1].url}"
    if action.kind == "slack":
        from sidecar.alerts.slack import destination

        # Options for the layout are those of the first action.
        return f"slack {destination(action.option('url'))} {action.option('channel')}"
    options = sorted((name, value) for name, value in action.options if name not in TO_THE_SAME_PLACE)
    return f"{action.kind} {options}"


def _unused(name: str, names: set[str]) -> str:
    """Return the name, or the name with a number where another sender has it; it is a metric's label."""
    candidates: Sequence[str] = [name, *(f"{name}-{number}" for number in range(2, len(names) + 3))]
    unused = next(each for each in candidates if each not in names)
    names.add(unused)
    return unused
