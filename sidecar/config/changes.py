"""What a reload changes: some settings are used once, at the start, and keep their values until a restart."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.config.environment import VARIABLES, variable_for
from sidecar.config.errors import ConfigError
from sidecar.config.settings import Settings


@dataclass(frozen=True, slots=True)
class ReloadOutcome:
    """What came of one reload."""

    # In force now.
    settings: Settings
    # Why nothing has changed; none: the new settings are in force.
    errors: tuple[ConfigError, ...] = ()
    # The variables whose new values hold only after a restart.
    restart: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.errors


def fixed_paths() -> list[str]:
    """Return the paths of the settings that a reload does not change."""
    return [each.path for each in VARIABLES if not each.reloadable and each.path.count(".") <= 1]


def keep_fixed(running: Settings, read: Settings) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings to go on with, and the names of the variables that need a restart.

    They are those that were `read`, with the fixed ones as they are in `running`.
    """
    changed = [path for path in fixed_paths() if running.value(path) != read.value(path)]
    settings = read.replaced({path: running.value(path) for path in changed})
    return settings, tuple(variable_for(path).name for path in changed)
