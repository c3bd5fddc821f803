"""Goes first: a text that may stall an expression is decided in a process of its own, which can be ended.

`re` holds the interpreter while it works, so neither a thread nor a timer can stop it. Only filters with an expression
that can stall (`stalls`), and of their lines only those that may be long enough for it, are asked about here; if the
answer comes in time, the same code decides the same text once more in this process and takes as long. No text ever
becomes code or a command.

    python -m sidecar.filters.redos_sandbox FD     is the other side
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.filters.loader import Filter
from sidecar.filters.verdict import decide
from sidecar.filters.worker_process import Child, parent

log = logging.getLogger(__name__)

MATCH_TIMEOUT_S: Final = 0.25  # seconds for one text; a sound expression takes some microseconds
START_TIMEOUT_S: Final = 10.0  # seconds for the process to come up; it takes 0.1


class RegexSandbox:
    """One process for all filters that need it, started when it is first asked. Any thread may ask."""

    def __init__(self, filters: Mapping[int, Filter]) -> None:
        self._filters = {
            number: (one.failregex, one.ignoreregex, one.prefregex) for number, one in filters.items()
        }
        self._lock = threading.Lock()
        self._child: Child | None = None

    def finishes_in_time(self, number: int, text: str, candidates: Sequence[int] | None = None) -> bool:
        """Is this text decided in PATIENCE? What cannot be asked does not survive either."""
        with self._lock:
            try:
                pipe = (self._child or self._start()).pipe
                pipe.send((number, text, candidates))
                if pipe.poll(MATCH_TIMEOUT_S):
                    pipe.recv()
                    return True
            except (OSError, EOFError) as err:
                log.warning("the process that tries slow filters failed: %s", err)
            self._end()
            return False

    def close(self) -> None:
        with self._lock:
            self._end()

    def _start(self) -> Child:
        child = self._child = Child("sidecar.filters.redos_sandbox")
        child.pipe.send(self._filters)
        if not child.pipe.poll(START_TIMEOUT_S):
            raise TimeoutError("it did not start")
        child.pipe.recv()
        return child

    def _end(self) -> None:
        if self._child:
            self._child.close()
        self._child = None

    def __del__(self) -> None:
        try:  # noqa: SIM105  the interpreter may be ending, and contextlib gone
            self._end()
        except Exception:  # noqa: BLE001, S110  the process ends with the pipe
            pass


def main() -> None:
    """Answer until nobody asks any more."""
    pipe = parent()
    filters = {number: Filter("", *rules) for number, rules in pipe.recv().items()}
    pipe.send(None)
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            number, text, candidates = pipe.recv()
            decide(filters[number], text, candidates)
            pipe.send(None)


if __name__ == "__main__":
    main()
