"""What every sender promises, and how it says that a message was not delivered."""

from __future__ import annotations

from typing import Protocol

from sidecar.alerts.notices import Notice


class Delayed(Exception):  # noqa: N818 - it is an answer of the service
    """The message was not delivered, but may be after so many seconds. The sentence contains no secret."""

    def __init__(self, sentence: str, after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.after_s = after_s


class Rejected(Exception):  # noqa: N818 - likewise
    """The message was not delivered, and another try will not help. The sentence contains no secret."""


class Sender(Protocol):
    """Delivers notices by one service, such as Slack. It is called in the thread of its outbox."""

    @property
    def name(self) -> str: ...

    def send(self, notice: Notice, within_s: float) -> None:
        """Deliver the notice, in about so many seconds at most. Raises Delayed or Rejected."""

    def reconfigure(self, url: str) -> None:
        """Use this URL from now on. Any thread may call it."""
