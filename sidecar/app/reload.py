"""A new configuration while all goes on: read aside, then taken over whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import SimpleQueue

from sidecar.config.changes import ReloadOutcome, keep_fixed
from sidecar.config.errors import ConfigErrors
from sidecar.config.settings import Settings
from sidecar.runtime.loop import Closed


class Reload:
    """Asked by the control socket's threads, which wait, and by a signal, which does not. A Service."""

    name = "reload"

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        take: Callable[[Settings], None],
        told: Callable[[ReloadOutcome], None],
    ) -> None:
        """`read()` reads anew, and raises Mistakes. `told(outcome)` hears what became of each wish.

        `take(settings)` returns once they are in force; it may raise Mistakes too, and then has changed nothing.
        """
        self._settings, self._read, self._take, self._told = settings, read, take, told
        self._one = threading.Lock()  # at a time
        # its put() may interrupt itself, as a signal's handler does; an Event's set() would lock itself out
        self._asked: SimpleQueue[bool] = SimpleQueue()

    def reload(self) -> ReloadOutcome:
        """Take over what the files say now; where anything in it is wrong, nothing changes. Raises Closed."""
        with self._one:
            outcome = self._outcome()
            self._settings = outcome.settings
            self._told(outcome)
            return outcome

    def soon(self) -> None:
        """The same, in the service's own thread. Safe in a signal handler."""
        self._asked.put(True)  # noqa: FBT003

    def run(self) -> None:
        while self._asked.get():
            while not self._asked.empty():  # many wishes that came meanwhile are one
                if not self._asked.get():
                    return
            try:
                self.reload()
            except Closed:
                return

    def close(self) -> None:
        self._asked.put(False)  # noqa: FBT003

    def _outcome(self) -> ReloadOutcome:
        try:
            settings, restart = keep_fixed(self._settings, self._whole())
            self._take(settings)
        except ConfigErrors as err:
            return ReloadOutcome(self._settings, errors=err.errors)
        return ReloadOutcome(settings, restart=restart)

    def _whole(self) -> Settings:
        """A start leaves out the jails that have mistakes, as others are better than none. Here the old ones are."""
        settings = self._read()
        if settings.errors:
            raise ConfigErrors(settings.errors)
        return settings
