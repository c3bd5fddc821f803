"""A visitor who uses the site while others attack it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Final, Self

from tests.bed import Client, Site

PAUSE_S: Final = 0.1
TIMEOUT_S: Final = 20
PAGES: Final = ("/wp-includes/css/buttons.css", "/?p=1", "/wp-includes/images/w-logo-blue.png", "/feed/")


@dataclass(frozen=True)
class Visits:
    """What became of a visitor's requests."""

    requests: int
    failed: int
    slowest_s: float

    @property
    def disturbed(self) -> bool:
        return self.failed > 0

    def __str__(self) -> str:
        if self.disturbed:
            return f"{self.failed} of {self.requests} requests failed"
        return f"no ({self.requests} requests, slowest {self.slowest_s:.1f} s)"


class Visitor:
    """Asks for a page every tenth of a second, each over a new connection, for as long as the `with` lasts."""

    def __init__(self, client: Client, site: Site) -> None:
        self._client, self._site = client, site
        self._seconds: list[float] = []
        self._failed = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="visitor")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def visits(self) -> Visits:
        """To be asked after the end."""
        return Visits(len(self._seconds), self._failed, max(self._seconds, default=0.0))

    def _run(self) -> None:
        at = 0
        while not self._over.wait(PAUSE_S):
            began = time.monotonic()
            try:
                status = self._client.get(self._site, PAGES[at % len(PAGES)], timeout=TIMEOUT_S)
            except OSError:
                status = 0
            # 301: the feed's address in the site's own spelling
            self._failed += status not in {200, 301, 302, 404}
            self._seconds.append(time.monotonic() - began)
            at += 1
