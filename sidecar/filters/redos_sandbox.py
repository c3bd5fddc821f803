"""The sandbox: a text that may keep an expression busy for ever is decided in a worker process first.

`re` holds the interpreter while it works, so neither a thread nor a timer can stop it; a process can be ended. Only
filters with an expression that is prone to ReDoS (`redos.py`) come here, and of their lines only those that are long
enough for it. If the worker decides the text in time, the same code decides the same text once more in this process,
and takes as long. No text ever becomes code or a command.

    python -m sidecar.filters.redos_sandbox FD
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Mapping, Sequence
from typing import Final

from sidecar.filters.loader import Filter
from sidecar.filters.verdict import Failure, decide
from sidecar.filters.worker_process import WorkerProcess, parent_pipe

log = logging.getLogger(__name__)

# For one text; a sound expression takes some microseconds.
MATCH_TIMEOUT_S: Final = 0.25
# Until the worker is ready; it takes 0.1 s on an idle machine.
START_TIMEOUT_S: Final = 10.0


class RegexTimeoutError(Exception):
    """A text would take an expression too long; it is not decided."""


class RegexSandbox:
    """One worker process for all filters that need it, started when it is first asked. Any thread may ask."""

    def __init__(self, filters: Mapping[int, Filter]) -> None:
        # A whole Filter has paths and dates that the worker does not need.
        self._rules = {
            number: (one.failregex, one.ignoreregex, one.prefregex) for number, one in filters.items()
        }
        self._lock = threading.Lock()
        self._worker: WorkerProcess | None = None

    @property
    def pid(self) -> int | None:
        """The worker's process id; None while there is none."""
        worker = self._worker
        return worker.process.pid if worker else None

    def finishes_in_time(self, number: int, text: str, candidates: Sequence[int] | None = None) -> bool:
        """Return whether the filter decides this text within MATCH_TIMEOUT_S. False too if no worker can be asked."""
        with self._lock:
            try:
                pipe = (self._worker or self._start()).pipe
                pipe.send((number, text, candidates))
                if pipe.poll(MATCH_TIMEOUT_S):
                    pipe.recv()
                    return True
            except (OSError, EOFError) as err:
                log.warning("the worker process that tries slow filters failed: %s", err)
            self._end()
            return False

    def close(self) -> None:
        """End the worker; the next question starts another."""
        with self._lock:
            self._end()

    def _start(self) -> WorkerProcess:
        worker = self._worker = WorkerProcess("sidecar.filters.redos_sandbox")
        worker.pipe.send(self._rules)
        if not worker.pipe.poll(START_TIMEOUT_S):
            raise TimeoutError("it did not start")
        worker.pipe.recv()
        return worker

    def _end(self) -> None:
        if self._worker:
            self._worker.close()
        self._worker = None

    def __del__(self) -> None:
        # The interpreter may be ending, and contextlib gone. The worker ends with its pipe in any case.
        try:  # noqa: SIM105
            self._end()
        except Exception:  # noqa: BLE001, S110
            pass


class GuardedFilter:
    """`decide()` for one filter. A text that may take too long is tried in the sandbox first."""

    def __init__(
        self, log_filter: Filter, number: int, sandbox: RegexSandbox, safe_length: int | None
    ) -> None:
        """`safe_length`: texts up to this length are decided at once; None: all texts are."""
        self._filter, self._number = log_filter, number
        self._sandbox, self._safe_length = sandbox, safe_length

    @property
    def is_risky(self) -> bool:
        """Whether some texts are tried in the sandbox first."""
        return self._safe_length is not None

    def decide(self, text: str, candidates: Sequence[int] | None = None) -> Failure | None:
        """Return what `decide()` returns. Raises RegexTimeoutError if the sandbox does not finish in time."""
        risky = self._safe_length is not None and len(text) > self._safe_length
        if risky and not self._sandbox.finishes_in_time(self._number, text, candidates):
            raise RegexTimeoutError
        return decide(self._filter, text, candidates)


def main() -> None:
    """Decide each text that is sent, until the pipe is closed."""
    pipe = parent_pipe()
    filters = {number: Filter("", *rules) for number, rules in pipe.recv().items()}
    pipe.send(None)
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        while True:
            number, text, candidates = pipe.recv()
            decide(filters[number], text, candidates)
            pipe.send(None)


if __name__ == "__main__":
    main()
