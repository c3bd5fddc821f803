"""The senders, by name. A new one is a row here; its URL comes from the settings under the same name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

from sidecar.alerts.sender import Sender
from sidecar.alerts.slack import Slack

# (URL, name of this host) -> a sender. The name of the host tells the messages of several hosts apart.
MakeSender: TypeAlias = Callable[[str, str], Sender]

SENDERS: dict[str, MakeSender] = {"slack": Slack}


def make_senders(urls: Mapping[str, str], host: str) -> list[Sender]:
    """Return a sender for each service that has a URL."""
    return [make(urls[name], host) for name, make in SENDERS.items() if urls.get(name)]


def reconfigure(senders: Iterable[Sender], urls: Mapping[str, str]) -> None:
    """Give the senders the URLs of new settings. It takes a restart to add or remove one."""
    for sender in senders:
        sender.reconfigure(urls.get(sender.name, ""))
