"""Lines of an access log; wp-sidecar and fail2ban are given the same."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from itertools import count
from typing import Self

# Of the default jail `wordpress-access`; fail2ban is configured with the same.
MAXRETRY = 5

VISITOR = "198.19.255.7"
PAGES = ("/", "/2026/11/hello-world/", "/wp-includes/css/buttons.css", "/wp-json/wp/v2/posts?per_page=3")


def failures(address: str, times: int = MAXRETRY) -> bytes:
    """Return failed logins of one address."""
    return _line(address, "POST /wp-login.php", 200) * times


def visits(address: str = VISITOR, page: str = PAGES[0]) -> bytes:
    """Return a request for a page."""
    return _line(address, f"GET {page}", 200)


def _line(address: str, request: str, status: int) -> bytes:
    at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
    return (
        f'{address} - - [{at}] "{request} HTTP/1.1" {status} 5234 "-" "Mozilla/5.0 (X11; Linux)"\n'.encode()
    )


class Traffic:
    """Visitors' lines at a steady rate while the `with` lasts; none with a rate of 0."""

    def __init__(self, write: Callable[[bytes], object], rate: float) -> None:
        """`rate`: lines per second, written one by one."""
        self._write, self._wanted = write, rate
        # The rate as it really was, known at the end.
        self.rate = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic")

    def __enter__(self) -> Self:
        if self._wanted:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        if self._wanted:
            self._thread.join()

    def _run(self) -> None:
        began = time.perf_counter()
        for n in count():
            time.sleep(max(0.0, began + n / self._wanted - time.perf_counter()))
            if self._over.is_set():
                self.rate = n / (time.perf_counter() - began)
                return
            self._write(visits(page=PAGES[n % len(PAGES)]))
