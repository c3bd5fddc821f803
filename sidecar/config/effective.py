"""The settings in force, each with the place that it comes from.

    environment, jails file, defaults ─▶ `effective` ─▶ host: [Setting…], jails: {name: [Setting…]}
    labels of a container             ─▶ `of_site`   ─▶ what its jails are for it

Secrets are left out.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, NamedTuple

from sidecar.config import jails as jails_file
from sidecar.config import labels, reader
from sidecar.config.cdn import Cdn
from sidecar.config.environment import (
    FILE_VARIABLES,
    FILTERS_FOLDER,
    JAILS_FILE,
    REDIS_CA,
    VARIABLES,
    Environment,
    FileVariable,
    Variable,
)
from sidecar.config.jail_keys import BUILTIN_JAILS, GLOBAL_KEYS, JAIL_KEYS, OWN_LIMITS, GlobalKey, JailKey
from sidecar.config.jail_values import DEFAULT, JailValues
from sidecar.config.settings import Settings
from sidecar.config.units import AllowlistEntries, BanRate
from sidecar.core.allowlist import IGNOREIP
from sidecar.core.containers import LABEL_PREFIX, Container
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from sidecar.core.text import OMITTED, redacted

BY_DEFAULT: Final = "default"
BUILT_IN: Final = "built-in jail"
BY_LABEL: Final = "label "
# A secret, whose variable names a file anyway.
KEYS: Final = "fleet.keys"
LOG_FORMAT: Final = "log.as_json"
ALERTS: Final = "alerts."


class Setting(NamedTuple):
    """One setting. `value` is as JSON has it; `origin` says where it comes from."""

    name: str
    value: Any
    origin: str


class SiteSetting(NamedTuple):
    """One setting of a jail as it is for a container; `jail` "": what a label says beside that."""

    site: str
    jail: str
    name: str
    value: Any
    origin: str

    @property
    def is_of_label(self) -> bool:
        """Whether a label of the container says so."""
        return self.origin.startswith(BY_LABEL)


class Effective(NamedTuple):
    """All settings."""

    host: tuple[Setting, ...]
    jails: Mapping[str, tuple[Setting, ...]]
    settings: Settings


def effective(
    environ: Mapping[str, str], *, jails: Path | None = None, filters: Path | None = None
) -> Effective:
    """Return the settings of this environment and of the files that it names. Raises ConfigErrors.

    `jails` and `filters` are options of the command line, which take precedence.
    """
    settings = reader.read(environ, jails=jails, filters=filters, look=False)
    env = Environment(environ)
    values = jails_file.parsed(jails or env.path(JAILS_FILE))
    origins = _Origins(environ, values)
    options = {JAILS_FILE: ("--jails", jails), FILTERS_FOLDER: ("--filters", filters)}
    files = [_file(env, each, environ, *options.get(each, ("", None))) for each in FILE_VARIABLES]
    with_variables = [
        Setting(each.name, _value_of(each, settings), origins.of_variable(each)) for each in VARIABLES
    ]
    paths = {each.path for each in VARIABLES}
    keys_alone = [
        Setting(each.name, _shown(settings.value(each.path)), origins.of_global_key(each) or BY_DEFAULT)
        for each in GLOBAL_KEYS
        if each.path not in paths
    ]
    of_jails = {jail.name: tuple(_of_jail(jail, origins)) for jail in settings.jails}
    return Effective((*files, *with_variables, *keys_alone), of_jails, settings)


def of_site(
    name: str, texts: Sequence[str], found: Effective, looking: Collection[str]
) -> Iterator[SiteSetting]:
    """Yield the settings of the jails that look at this container, as its labels change them; then its other labels.

    `texts` are the labels in force, as `name=value`, and `looking` names the jails.
    """
    given = dict(text.partition("=")[::2] for text in texts)
    settings = found.settings
    read = labels.read([Container("", name, "", given)], settings.jails, settings.sources.labels)
    overrides = read.overrides.get(name, Overrides())
    changed = {key.name: key for key in JAIL_KEYS if key.target in overrides.values}
    for jail in (each for each in settings.jails if each.name in looking):
        overridden = overrides.apply_to(jail)
        for setting in found.jails[jail.name]:
            if key := changed.get(setting.name):
                value = _shown(key.value(overridden))
                yield SiteSetting(name, jail.name, key.name, value, f"{BY_LABEL}{_label_of(key)}")
            else:
                yield SiteSetting(name, jail.name, *setting)
    shown = {_label_of(key) for key in changed.values()}
    for label, text in given.items():
        if label not in shown:
            yield SiteSetting(name, "", label.removeprefix(LABEL_PREFIX), text, f"{BY_LABEL}{label}")


class _Origins:
    """Knows where a value was written."""

    def __init__(self, environ: Mapping[str, str], values: JailValues) -> None:
        self._environ, self._values = environ, values

    def of_variable(self, variable: Variable) -> str:
        found = [
            name for name in (variable.name, variable.file_variable) if self._environ.get(name, "").strip()
        ]
        places = [f"environment {name}" for name in found]
        for key in (each for each in GLOBAL_KEYS if each.path == variable.path):
            # What is set in the environment comes first, unless the two are combined.
            if (place := self.of_global_key(key)) and (not places or key.is_combined):
                places.append(place)
        return " and ".join(places) or BY_DEFAULT

    def of_global_key(self, key: GlobalKey) -> str:
        """Return where the jails file has this key; "": nowhere."""
        sections = [DEFAULT, *(self._values.jails if key.in_jails else ())]
        return " and ".join(place for section in sections if (place := self._in_section(section, key.name)))

    def of_jail_key(self, jail: Jail, key: JailKey) -> str:
        own = self._in_section(jail.name, key.name)
        if own or key.name in OWN_LIMITS.get(jail.name, ()):
            return own or BUILT_IN
        if place := self._in_section(DEFAULT, key.name):
            # Such a list holds beside the built-in one of this jail.
            beside = key.name == IGNOREIP and key.target in BUILTIN_JAILS.get(jail.name, {})
            return f"{place} and {BUILT_IN}" if beside else place
        field = key.target.partition(".")[0]
        default, builtin = Jail(jail.name), BUILTIN_JAILS.get(jail.name, {})
        # A ban time of one's own stands for the built-in growing bans too.
        is_builtin = field in builtin and getattr(jail, field) == builtin[field] != getattr(default, field)
        return BUILT_IN if is_builtin else BY_DEFAULT

    def _in_section(self, section: str, name: str) -> str:
        value = self._values.ini.own(section, name)
        return f"{value.file}, line {value.lines[0][0]}, [{section}]" if value else ""


def _of_jail(jail: Jail, origins: _Origins) -> Iterator[Setting]:
    for key in JAIL_KEYS:
        yield Setting(key.name, _shown(_jail_value(jail, key)), origins.of_jail_key(jail, key))
    # Their options may be secrets.
    yield Setting(
        "action", [action.name for action in jail.actions], origins.of_jail_key(jail, JailKey("action", str))
    )


def _jail_value(jail: Jail, key: JailKey) -> Any:  # noqa: ANN401 - the row decides
    group, _, name = key.target.rpartition(".")
    return key.value(jail) if not group else getattr(jail.escalation, name, None)


def _value_of(variable: Variable, settings: Settings) -> Any:  # noqa: ANN401 - the path decides
    if variable.path.startswith(ALERTS):
        value: Any = settings.alerts.get(variable.path.removeprefix(ALERTS), "")
    elif variable.path == REDIS_CA:
        value = settings.fleet.redis.ca if settings.fleet.redis else ""
    else:
        value = settings.value(variable.path)
    if variable.file_holds or variable.path == KEYS:
        return OMITTED if value else None
    if variable.path == LOG_FORMAT:
        return "json" if value else "text"
    return _shown(value)


def _file(
    env: Environment, variable: FileVariable, environ: Mapping[str, str], option: str, given: Path | None
) -> Setting:
    if given:
        return Setting(variable.name, str(given), f"option {option}")
    path = env.path(variable)
    is_set = environ.get(variable.name, "").strip()
    return Setting(
        variable.name, str(path) if path else None, f"environment {variable.name}" if is_set else BY_DEFAULT
    )


def _label_of(key: JailKey) -> str:
    """Return the name of the label that sets the same field of a jail."""
    return next((each.name for each in labels.known_labels().values() if each.jail_field == key.target), "")


# One line for each kind of value.
def _shown(value: Any) -> Any:  # noqa: ANN401, PLR0911 - values of the settings
    """Return a value as JSON has it, without what may be a secret in a URL."""
    match value:
        case Enum():
            return value.value
        case None | bool() | int():
            return value
        case float():
            return None if value == math.inf else value
        case str() | Path():
            return redacted(str(value)) or None
        case AllowlistEntries():
            return [*value.networks, *value.host_names]
        case BanRate():
            return None if value.bans == math.inf else f"{value.bans:g}/{value.seconds:g}s"
        case Cdn():
            return value.name
        case (str() as host, int() as port) if not isinstance(port, bool):
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        case tuple() | list() | frozenset():
            return [_shown(each) for each in value]
        case _:
            return str(value)
