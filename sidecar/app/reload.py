"""A new configuration while all goes on: read aside, then taken over whole or not at all."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import Final

from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.config.settings import Settings
from sidecar.runtime.loop import Closed

# What is made once, at the start: the Settings' field -> what a person calls it.
FIXED: Final = {
    "state": "WP_SIDECAR_STATE",
    "socket": "WP_SIDECAR_SOCKET",
    "listen": "WP_SIDECAR_LISTEN",
    "docker": "DOCKER_HOST",
    "source": "WP_SIDECAR_SOURCE",
    "pods": "WP_SIDECAR_PODS",
    "logs": "WP_SIDECAR_LOGS",
    "kubernetes_api": "WP_SIDECAR_KUBERNETES_API",
    "syslog": "WP_SIDECAR_SYSLOG",
    "redis": "WP_SIDECAR_REDIS_URL",
    "redis_prefix": "WP_SIDECAR_REDIS_PREFIX",
    "node": "WP_SIDECAR_NODE",
    "fleet_key": "WP_SIDECAR_FLEET_KEY_FILE",
    "log_level": "WP_SIDECAR_LOG_LEVEL",
    "log_json": "WP_SIDECAR_LOG_FORMAT",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a wish for a new configuration."""

    settings: Settings  # in force now
    errors: tuple[ConfigError, ...] = ()  # why nothing has changed
    restart: tuple[str, ...] = ()  # what is another now, and needs a restart to be taken over

    @property
    def ok(self) -> bool:
        return not self.errors


class Reload:
    """Asked by the control socket's threads, which wait, and by a signal, which does not. A Service."""

    name = "reload"

    def __init__(
        self,
        settings: Settings,
        read: Callable[[], Settings],
        take: Callable[[Settings], None],
        told: Callable[[Outcome], None],
    ) -> None:
        """`read()` reads anew, and raises Mistakes. `told(outcome)` hears what became of each wish.

        `take(settings)` returns once they are in force; it may raise Mistakes too, and then has changed nothing.
        """
        self._settings, self._read, self._take, self._told = settings, read, take, told
        self._one = threading.Lock()  # at a time
        # its put() may interrupt itself, as a signal's handler does; an Event's set() would lock itself out
        self._asked: SimpleQueue[bool] = SimpleQueue()

    def __call__(self) -> Outcome:
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
                self()
            except Closed:
                return

    def close(self) -> None:
        self._asked.put(False)  # noqa: FBT003

    def _outcome(self) -> Outcome:
        try:
            settings, restart = kept(self._settings, self._whole())
            self._take(settings)
        except ConfigErrors as err:
            return Outcome(self._settings, errors=err.errors)
        return Outcome(settings, restart=restart)

    def _whole(self) -> Settings:
        """A start leaves out the jails that have mistakes, as others are better than none. Here the old ones are."""
        settings = self._read()
        if settings.errors:
            raise ConfigErrors(settings.errors)
        return settings


def kept(before: Settings, after: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The new settings, with what cannot change while we run as it was; and what that is, as people call it."""
    names = [name for name in FIXED if getattr(before, name) != getattr(after, name)]
    settings = replace(after, **{name: getattr(before, name) for name in names})
    return settings, tuple(FIXED[name] for name in names)
