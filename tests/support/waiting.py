"""Waiting for what another thread, another process or the kernel does."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(
    condition: Callable[[], object],
    timeout: float = 60.0,
    message: str | Callable[[], str] = "",
    *,
    interval: float = 0.01,
) -> float:
    """Ask `condition()` every `interval` seconds until it is true, and return how many seconds it took.

    Raises AssertionError with the message after `timeout` seconds. A callable message is only called then, so it can
    show how things stand at that moment.
    """
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout:
            text = message if isinstance(message, str) else message()
            raise AssertionError(f"still waiting after {timeout:g} s: {text or condition}")
        time.sleep(interval)
    return time.monotonic() - began
