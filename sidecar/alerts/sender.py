"""What every sender promises, and how it says that a message was not delivered."""

from __future__ import annotations

from typing import Protocol

from sidecar.alerts.notices import Notice


class Delayed(Exception):  # noqa: N818 - it is an answer of the service
    """The message was not delivered, but may be after this many seconds. The sentence contains no secret."""

    def __init__(self, sentence: str, after_s: float = 0.0) -> None:
        super().__init__(sentence)
        self.after_s = after_s


class Rejected(Exception):  # noqa: N818 - likewise
    """The service will never accept this message, though it may accept others. The sentence contains no secret."""


class MessageRefused(Exception):  # noqa: N818 - likewise
    """The service will accept no message until the configuration changes. The sentence contains no secret."""


class Sender(Protocol):
    """Delivers notices by one service, such as Slack. It is called in the thread of its delivery."""

    @property
    def name(self) -> str: ...

    def send(self, notice: Notice, within_s: float) -> None:
        """Deliver the notice, in about this many seconds at most. Raises Delayed, Rejected or MessageRefused."""
