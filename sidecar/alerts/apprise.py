"""The sender for all other services, through Apprise: https://github.com/caronc/apprise lists more than a hundred.

Apprise is loaded when the first message is sent: it takes some 30 MB of memory, which hosts without it keep.
"""

from __future__ import annotations

import logging
import re
import threading
from typing import Any, Final

from sidecar.alerts.http_request import log_no_urls
from sidecar.alerts.notices import Notice, NoticeLevel
from sidecar.alerts.sender import Delayed, MessageRefused, Rejected
from sidecar.core.actions import Action
from sidecar.core.text import printable

# How urgent a notice is, in Apprise's words.
TYPES: Final = {NoticeLevel.GOOD: "success", NoticeLevel.WARNING: "warning", NoticeLevel.DANGER: "failure"}
# Apprise returns nothing but success or failure; its log has the status: `error=404`.
STATUS: Final = re.compile(r"error=(\d{3})")
OF_THE_MESSAGE: Final = frozenset({400, 413, 422})


class AppriseSender:
    """Sends notices to the Apprise URLs of one action."""

    def __init__(self, action: Action, host: str = "", name: str = "apprise") -> None:
        self.name = name
        self._action, self._host = action, host
        self._service: Any = None
        # The message that is being sent, and the services that do not have it yet.
        self._notice: Notice | None = None
        self._left: list[Any] = []

    def send(self, notice: Notice, within_s: float) -> None:
        """Send the notice. Raises Delayed, Rejected or MessageRefused."""
        del within_s  # each of Apprise's services has time limits of its own
        if notice is not self._notice:
            self._service = self._service or self._load()
            self._notice, self._left = notice, list(self._service)
        title = printable(f"{self._host}: {notice.text}" if self._host else notice.text)
        body = "\n".join(f"{each.title}: {printable(each.value)}" for each in notice.fields) or title
        # One at a time: where one of several fails, the others are not sent the message again.
        while self._left:
            with _AppriseLog() as statuses:
                sent = self._left[0].notify(title=title, body=body, notify_type=TYPES[notice.level])
            if not sent:
                self._raise_for(max(statuses, default=0))
            del self._left[0]

    def _raise_for(self, status: int) -> None:
        words = f"Apprise could not send to {self.name}" + (f" (status {status})" if status else "")
        if status in OF_THE_MESSAGE:
            del self._left[0]
            raise Rejected(f"{words}.")
        if 400 <= status < 500 and status not in (408, 425, 429):
            raise MessageRefused(f"{words}: correct the URL in {self._action.source}.")
        raise Delayed(f"{words}.")

    def _load(self) -> Any:  # noqa: ANN401 - Apprise's own
        log_no_urls()
        logging.getLogger("apprise").propagate = False
        import apprise  # noqa: PLC0415 - 30 MB

        service = apprise.Apprise()
        if config := self._action.option("config"):
            found = apprise.AppriseConfig()
            found.add(config)
            service.add(found)
        for url in filter(None, re.split(r",?\s+", self._action.option("url").strip(", "))):
            if not service.add(url):
                scheme = url.partition(":")[0]
                raise MessageRefused(f"{scheme}:// is no URL of Apprise: correct {self._action.source}.")
        if not len(service):
            raise MessageRefused(f"{self._action.source} names no service: set `url` or `config`.")
        return service


class _AppriseLog(logging.Handler):
    """Collects the HTTP statuses that Apprise logs in this thread. Its lines have URLs and are not logged."""

    def __init__(self) -> None:
        super().__init__()
        self._statuses: list[int] = []
        self._thread = threading.get_ident()
        self._log = logging.getLogger("apprise")

    def __enter__(self) -> list[int]:
        self._log.addHandler(self)
        return self._statuses

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            self._statuses += map(int, STATUS.findall(record.getMessage()))
