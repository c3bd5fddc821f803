"""What `wp-sidecar doctor` finds, for the page: it runs in a process of its own, and seldom, however many people look.

In this process it would hold the interpreter while it compiles filters and reads logs, and every ban would wait.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
import time
from collections.abc import Sequence
from typing import IO, TYPE_CHECKING, Final, NamedTuple, Protocol, cast

from sidecar.advice.finding import Finding
from sidecar.core.text import printable, redacted

if TYPE_CHECKING:
    import subprocess

log = logging.getLogger(__name__)

# Older findings are looked for again when somebody opens the page.
FRESH_S: Final = 300.0
# Nobody can have it run more often.
PAUSE_S: Final = 60.0
# Of the time, this much at most: it takes seconds on a host with many sites.
SHARE: Final = 0.05
# Each sender of alerts and each log may take 5 s.
TIMEOUT_S: Final = 120.0
# A finding is a sentence or two.
MAX_BYTES: Final = 1024 * 1024
MAX_FINDINGS: Final = 1_000
MAX_CHARS: Final = 1_000


class Checkup(NamedTuple):
    """The last findings. `at`: when they were found, a unix time; None: never yet. `error`: why the last run failed."""

    findings: tuple[Finding, ...] = ()
    at: float | None = None
    error: str = ""
    is_running: bool = False


class Checkups(Protocol):
    """Looks at the host and its sites."""

    def latest(self) -> Checkup:
        """Return what was found last, and look again where that is old."""

    def again(self) -> Checkup:
        """Look again, unless that was just done."""


class Doctor:
    """Runs `doctor` when somebody looks. Used by any thread."""

    def __init__(self, arguments: Sequence[str]) -> None:
        """`arguments` are those that have `wp-sidecar doctor` read the daemon's configuration and ask its socket."""
        self._command = [sys.executable, "-m", "sidecar.web.low_priority", "doctor", "--json", *arguments]
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._last = Checkup()
        # On the monotonic clock: when the next run may begin, and when one is due.
        self._may_at = self._due_at = 0.0
        self._is_closed = False

    def latest(self) -> Checkup:
        """Return what was found last, and look again where that is old."""
        return self._checkup(self._due_at)

    def again(self) -> Checkup:
        """Look again, unless that was just done."""
        return self._checkup(self._may_at)

    def close(self) -> None:
        """End a run. May be called more than once."""
        with self._lock:
            self._is_closed = True
            if self._process:
                self._process.kill()

    def _checkup(self, due_at: float) -> Checkup:
        with self._lock:
            now = time.monotonic()
            if not (self._process or self._is_closed) and now >= max(due_at, self._may_at):
                self._start(now)
            return self._last._replace(is_running=self._process is not None)

    def _start(self, now: float) -> None:
        # Loaded when somebody opens the page.
        import subprocess  # noqa: PLC0415

        self._may_at = now + PAUSE_S
        try:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        except OSError as err:
            self._last = self._last._replace(error=f"doctor cannot be run: {err.strerror}")
            return
        threading.Thread(target=self._wait, args=(self._process, now), name="doctor", daemon=True).start()

    def _wait(self, process: subprocess.Popen[bytes], began: float) -> None:
        timer = threading.Timer(TIMEOUT_S, process.kill)
        timer.daemon = True
        timer.start()
        written = b""
        # It is killed while it is read from, at most.
        with process, contextlib.suppress(OSError, ValueError):
            written = cast("IO[bytes]", process.stdout).read(MAX_BYTES + 1)
            process.kill()
        timer.cancel()
        now = time.monotonic()
        try:
            found = Checkup(read_findings(written), time.time())
        except ValueError as err:
            log.warning("doctor for the status page failed: %s", err)
            found = self._last._replace(error="doctor failed: `wp-sidecar doctor` says more")
        with self._lock:
            self._last, self._process = found, None
            self._may_at = max(self._may_at, now + (now - began) / SHARE)
            self._due_at = now + FRESH_S


def read_findings(written: bytes) -> tuple[Finding, ...]:
    """Return the findings that `doctor --json` wrote, without what may be a secret. Raises ValueError."""
    try:
        given = json.loads(written)["findings"]
        return tuple(
            Finding(
                _clean(each["subject"]), bool(each["ok"]), _clean(each["sentence"]), _clean(each["change"])
            )
            for each in given[:MAX_FINDINGS]
        )
    except (KeyError, TypeError) as err:
        raise ValueError(f"no findings but {err!r}") from None


def _clean(text: str) -> str:
    if len(text) > MAX_CHARS:
        # A URL that is cut before its `@` would show its password.
        text = text[:MAX_CHARS].rpartition(" ")[0]
    return printable(redacted(text), MAX_CHARS)
