# ruff: noqa: PTH112, PTH113, PTH207 - pathlib's own raise where a folder may not be looked into
"""The reader of the jails file, which has the dialect of fail2ban: text -> jails with their filters, or every error.

`jail_keys.py` has the table of the keys, `jail_values.py` parses one value, `jail_filters.py` loads the
filter of a jail; this module puts the jails together. A jail with an error of its own is left out. An error
in [DEFAULT], or in the syntax of a file, stops everything.
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, Final

from sidecar.config import jail_keys
from sidecar.config.actions import JailActions
from sidecar.config.errors import CAPLESS, DIRECTORY, ConfigError, ConfigErrors, unknown
from sidecar.config.jail_filters import JailFilters
from sidecar.config.jail_keys import BUILTIN_JAILS, ENABLED, IGNORED_KEYS, JailKey
from sidecar.config.jail_values import DEFAULT, JailValues
from sidecar.config.units import boolean, too_wide
from sidecar.core.actions import Action
from sidecar.core.bantime_increment import Escalation
from sidecar.core.jail import MANUAL_JAIL, Jail
from sidecar.filters.ini import Ini
from sidecar.filters.loader import Filter

# `manual` holds the bans by hand; the others are sections with a meaning.
RESERVED_NAMES: Final = ("manual", DEFAULT, "INCLUDES", "Definition", "Init", "KNOWN")
# A jail's name becomes a metric's label and a word in messages.
JAIL_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_. -]{0,62}[A-Za-z0-9_.-])?")
# Docker's own files, as fail2ban has to read them.
_DOCKERS_FILES: Final = re.compile(r".*/containers/[^/]+/[^/]*-json\.log")
# fail2ban's jail for addresses that its own log shows again and again.
RECIDIVE: Final = "recidive"
SUPERSEDED: Final = (
    "is left out, because it reads the log of fail2ban and there is none; instead, `bantime.increment = true` "
    "bans longer each time, and `bantime.overalljails = true` counts the bans of all jails"
)
ESCALATION: Final = "escalation"
# None is a value: all ports.
UNSET: Final = object()


@dataclass(frozen=True, slots=True)
class JailsFile:
    """What a jails file says."""

    jails: tuple[Jail, ...]
    # By the name of the jail.
    filters: dict[str, Filter]
    # What bans by hand are notified by.
    manual_actions: tuple[Action, ...] = ()
    # The settings of all jails, by their paths; only those that are set.
    values: dict[str, Any] = field(default_factory=dict)
    # Remarks about what is valid, but perhaps not what was meant.
    notes: tuple[str, ...] = ()
    # Why some jails are left out.
    errors: tuple[ConfigError, ...] = ()


def read(
    path: Path | None, folders: Sequence[Path], *, look: bool = True, actions: Sequence[Path] = ()
) -> JailsFile:
    """Read the jails file; without one, or where it has no sections, the built-in jails are meant.

    Filters are searched in `folders`, in this order, and then in the package; action files in `actions`, then beside
    the jails file and beside the filters. With `look`, log files have to be readable. Raises ConfigErrors where an
    error concerns all jails, or no jail is left.
    """
    values = parsed(path)
    places = (*actions, *_action_folders(path, folders))
    return _JailsReader(values, JailFilters(values, folders), JailActions(values, places), look=look).read()


def parsed(path: Path | None) -> JailValues:
    """Return the values of the jails file and of the layers over it, as they are written. Raises ConfigErrors."""
    if path and isdir(path):
        raise ConfigErrors([ConfigError(str(path), "", "", DIRECTORY)])
    ini, layers = Ini(), _layers(path) if path else []
    for layer in layers:
        ini.add(layer, _beside)
    values = JailValues(ini, path, layers)
    if path and (main := path.with_suffix(".conf")) not in layers and isfile(main):
        values.note("", "", f"{main} is not read; name that file, and {path.name} is read over it")
    return values


class _JailsReader:
    """One reading of one file."""

    def __init__(self, values: JailValues, filters: JailFilters, actions: JailActions, *, look: bool) -> None:
        self._values, self._filters, self._actions, self._look = values, filters, actions, look

    def read(self) -> JailsFile:
        values = self._values
        names = self._enabled()
        self._check_keys(DEFAULT)
        settings = self._global_settings(DEFAULT)
        errors_of_all = len(values.errors)
        found: dict[Jail, Filter] = {}
        for name in names:
            before = len(values.errors)
            self._check_keys(name)
            jail = self._jail(name)
            for path, value in self._global_settings(name).items():
                settings[path] = tuple(dict.fromkeys((*settings.get(path, ()), *value)))
            rules = self._filters.load(jail)
            if rules and len(values.errors) == before:
                found[replace(jail, reads_requests=rules.reads_requests)] = rules
        errors = tuple(dict.fromkeys((*values.errors, *values.repeated)))
        if errors_of_all or not found:
            raise ConfigErrors(errors)
        filters = {jail.name: rules for jail, rules in found.items()}
        manual = self._actions.read(MANUAL_JAIL.name)
        notes = tuple(dict.fromkeys(values.notes))
        return JailsFile(tuple(found), filters, manual, settings, notes, errors)

    def _enabled(self) -> list[str]:
        """Return the names of the jails that run."""
        values = self._values
        # A file that could not be parsed may have had sections.
        builtin = () if values.errors else BUILTIN_JAILS
        enabled = [
            name for name in values.jails or builtin if values.get(name, ENABLED, boolean, default=True)
        ]
        names = [name for name in enabled if not self._is_superseded(name)]
        if not names and not values.errors:
            values.error("", "", "no jail is enabled; enable one, or remove the file to get the defaults")
            for name in enabled:
                values.error(name, "", SUPERSEDED)
        return names

    def _is_superseded(self, name: str) -> bool:
        """Return whether this is fail2ban's [recidive], without the log of fail2ban that it reads."""
        wanted = self._values.get(name, "filter", jail_keys.filter_reference, name)
        if wanted.partition("[")[0] != RECIDIVE:
            return False
        logs = self._values.get(name, "logpath", jail_keys.log_paths, ())
        if any(glob.glob(path) for path in logs):
            return False
        self._values.note(name, "", SUPERSEDED)
        return True

    def _global_settings(self, section: str) -> dict[str, Any]:
        """Return the settings that the keys of this section make for all jails, by their paths."""
        found: dict[str, Any] = {}
        for key in jail_keys.GLOBAL_KEYS:
            if section == DEFAULT or key.in_jails:
                value = self._values.get(section, key.name, key.parse, None)
                if value is not None:
                    found[key.path] = value
        return found

    def _jail(self, name: str) -> Jail:
        self._check_name(name)
        jail = jail_keys.default_jail(name)
        given: dict[str, Any] = {}
        own_limits = jail_keys.OWN_LIMITS.get(name, frozenset())
        for key in jail_keys.JAIL_KEYS:
            if key.name in own_limits and not self._values.ini.own(name, key.name):
                continue
            value = self._values.get(name, key.name, key.parse, UNSET)
            if value is not UNSET:
                given |= key.fields(value)
                self._note_value(name, key, value)
        if "ignoreip" in given and not self._values.ini.own(name, "ignoreip"):
            # The list of [DEFAULT] applies to all jails, beside the built-in one of this jail.
            given["ignoreip"] = (*given["ignoreip"], *jail.ignoreip)
        for net in too_wide(given.get("ignoreip", ())):
            self._values.note(name, "ignoreip", f"nobody in {net} is ever banned")
        # Built-in growing bans stand for the built-in ban time: with another one they would be something else.
        if {"bantime", *(path for path in given if path.startswith(ESCALATION))} & given.keys():
            given[ESCALATION] = self._escalation(name, given)
        given["actions"] = self._actions.read(name)
        return replace(jail, **given, absent=self._is_absent(name, given.get("logpath", ())))

    def _note_value(self, name: str, key: JailKey, value: Any) -> None:  # noqa: ANN401 - the row decides
        """Add the note that the key's row has about this value, at the section where it is written."""
        if key.note and (sentence := key.note(self._values.text(name, key.name) or "", value)):
            self._values.note(name if self._values.ini.own(name, key.name) else DEFAULT, key.name, sentence)

    def _check_name(self, name: str) -> None:
        if name.lower() == "default":
            self._values.error(name, "", "the settings of all jails stand in [DEFAULT], in capitals")
        if not JAIL_NAME.fullmatch(name) or name in RESERVED_NAMES:
            sentence = (
                "is not allowed as a jail's name; use letters, digits, blanks, `-`, `_`, and no reserved word"
            )
            self._values.error(name, "", sentence)

    def _escalation(self, name: str, given: dict[str, Any]) -> Escalation | None:
        """Take the values of `bantime.increment` and its family out of `given`, and return what they make."""
        prefix = f"{ESCALATION}."
        family = {
            path.removeprefix(prefix): given.pop(path) for path in list(given) if path.startswith(prefix)
        }
        # An empty value, as fail2ban's own jail.conf has it, sets nothing.
        family = {field: value for field, value in family.items() if value is not None}
        if not given.get(ESCALATION):
            return None
        if family.get("multipliers") and family.get("formula"):
            sentence = "is not used: bantime.multipliers take precedence, as in fail2ban"
            self._values.note(name, "bantime.formula", sentence)
        return Escalation(**family)

    def _is_absent(self, name: str, logpath: Sequence[str]) -> bool:
        """Return whether none of the log files exists. One that exists and cannot be read is an error."""
        if not self._look or not logpath:
            return False
        values = self._values
        found = {path: glob.glob(path) for path in logpath}
        for path in filter(_DOCKERS_FILES.fullmatch, found):
            sentence = "leave logpath out: the logs of containers are read from Docker, each with its container's name"
            values.note(name, "logpath", f"{path} has containers' logs; {sentence}")
        for path in (path for paths in found.values() for path in paths):
            if isdir(path):
                values.error(name, "logpath", f"{path} is a directory; name the file")
            elif not os.access(path, os.R_OK):
                values.error(name, "logpath", f"{path} cannot be read; {CAPLESS}")
        absent = not any(found.values())
        in_containers = absent and not values.ini.get(name, "containers")
        instead = "; this jail looks at the discovered containers too" if in_containers else ""
        for path in (path for path, paths in found.items() if not paths):
            values.note(name, "logpath", f"{path} does not exist yet; it is followed once it does{instead}")
        return absent

    def _check_keys(self, section: str) -> None:
        """Add an error for each key that is unknown, unless other values are made of it.

        In [DEFAULT] it is a note. People define names for actions of fail2ban there, such as `blocklist_de_apikey`.
        """
        values, known = self._values, jail_keys.known_keys()
        names = values.names_in_use()
        keys = values.own_keys(section)
        for key in keys:
            if section != DEFAULT and jail_keys.is_global_only(key):
                values.error(section, key, "applies to all jails; move it to [DEFAULT]")
            elif key not in known | names and not key.startswith("action_"):
                sentence = unknown(key, known)
                if section == DEFAULT:
                    values.note(section, key, f"is ignored: {sentence}")
                else:
                    values.error(section, key, sentence)
        if ignored := sorted(key for key in values.ini.sections.get(section, {}) if key in IGNORED_KEYS):
            values.note(section, "", f"has no meaning here and is ignored: {', '.join(ignored)}")


def _layers(path: Path) -> list[Path]:
    """Return the files that go over one another, in fail2ban's order: later ones win."""
    folder = path.with_suffix(".d")
    main = [] if path.suffix == ".local" else [path]
    local = [path.with_suffix(".local")] if not main or isfile(path.with_suffix(".local")) else []
    return [*main, *sorted(folder.glob("*.conf")), *local, *sorted(folder.glob("*.local"))]


def _action_folders(path: Path | None, filters: Sequence[Path]) -> list[Path]:
    """Return where action files may be: `action.d` as in fail2ban, or the folder that holds everything."""
    bases = [*([path.parent] if path else []), *(each.parent for each in filters), *filters]
    return list(dict.fromkeys([*(base / "action.d" for base in bases), *bases]))


def _beside(including: Path, name: str) -> Path | None:
    path = including.parent / name
    return path if isfile(path) else None
