# ruff: noqa: PTH110, PTH112 - pathlib's own raise where a folder may not be looked into
"""Reads the configuration: environment, jails file and lists of CDNs -> one `Settings`, or every error together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from os.path import exists, isdir
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from sidecar.config import cdn
from sidecar.config import jails as jails_file
from sidecar.config.actions import lacking_notes
from sidecar.config.environment import (
    ACTIONS_FOLDER,
    CDN_FILE,
    FILTERS_FOLDER,
    JAILS_FILE,
    MONITORING_FILE,
    REDIS_CA,
    Environment,
    FileVariable,
    variable_for,
)
from sidecar.config.errors import ConfigError, ConfigErrors
from sidecar.config.jail_keys import GLOBAL_KEYS
from sidecar.config.settings import PathSettings, Settings

T = TypeVar("T")

REDIS: Final = "fleet.redis"


class Published(NamedTuple):
    """Networks that a setting names by the word of their owner."""

    setting: str
    # Where nothing is set.
    default: tuple[str, ...]
    # The file of the operator, and that of the package.
    file: FileVariable
    bundled: Path


PUBLISHED: Final = (
    Published("allowlist.cdns", (cdn.ALL,), CDN_FILE, cdn.BUNDLED_FILE),
    Published("allowlist.monitors", (), MONITORING_FILE, cdn.MONITORING_FILE),
)


def read(
    environ: Mapping[str, str],
    *,
    jails: Path | None = None,
    filters: Path | None = None,
    socket: Path | None = None,
    flush_on_exit: bool = False,
    look: bool = True,
) -> Settings:
    """Return the settings of this environment and of the files that it names.

    The other arguments take precedence over the environment. With `look`, log files have to be readable, as a
    run needs it and a replay does not. A jail with an error of its own is left out; the error is in
    `Settings.errors`. Raises ConfigErrors where an error concerns all jails, or no jail is left.
    """
    env = Environment(environ)
    values = env.values()
    path = jails or env.path(JAILS_FILE)
    folders = _folders(env, filters)
    actions = env.path(ACTIONS_FOLDER)
    file = _collected(
        env, lambda: jails_file.read(path, folders, look=look, actions=[actions] if actions else [])
    )
    if file is not None:
        for each in PUBLISHED:
            _add_published(env, each, values, file.values, str(path))
        values = _combined(values, file.values)
    if env.errors or file is None:
        raise ConfigErrors(env.errors)
    settings = {
        path.rpartition(".")[2]: value for path, value in values.items() if path.startswith("alerts.")
    }
    lacking = lacking_notes(file.jails, settings)
    values["manual_actions"] = file.manual_actions
    values["notes"], values["errors"] = (*env.notes, *file.notes, *lacking), file.errors
    if socket:
        values["paths.socket"] = socket
    if flush_on_exit:
        values["flush_on_exit"] = True
    return Settings.of(file.jails, file.filters, _with_certificates(values))


def control_socket(environ: Mapping[str, str]) -> Path:
    """Return the path of the daemon's control socket, without reading anything else."""
    return Path(environ.get(variable_for("paths.socket").name) or PathSettings().socket)


def geoip_databases(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the paths of databases of networks, without reading anything else. Raises ValueError."""
    variable = variable_for("paths.geoip")
    return tuple(variable.parse(environ.get(variable.name, "")))


def filter_folders(environ: Mapping[str, str], filters: Path | None = None) -> list[Path]:
    """Return where the operator's filters are; those of the package come after them. Raises ConfigErrors."""
    env = Environment(environ)
    folders = _folders(env, filters)
    if env.errors:
        raise ConfigErrors(env.errors)
    return folders


def _folders(env: Environment, given: Path | None) -> list[Path]:
    folder = given or env.path(FILTERS_FOLDER)
    if folder and exists(folder) and not isdir(folder):
        env.error(FILTERS_FOLDER.name, f"{folder} is not a directory; name the one with your filter files")
    return [folder] if folder else []


def _collected(env: Environment, read_file: Callable[[], T]) -> T | None:
    """Return what a file says; None, and its errors beside those of the environment, where it cannot be used."""
    try:
        return read_file()
    except ConfigErrors as err:
        env.errors += err.errors
        return None


def _combined(environment: Mapping[str, Any], file: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of both, by path. Where both have one, the table of jail keys says which counts."""
    combine = {key.path: key.combine for key in GLOBAL_KEYS}
    both = {path: combine[path](environment[path], file[path]) for path in environment.keys() & file.keys()}
    return {**file, **environment, **both}


def _add_published(
    env: Environment, published: Published, values: dict[str, Any], file: Mapping[str, Any], path: str
) -> None:
    """Replace the names in a setting by what the lists say of them. What is wrong goes to the environment's errors."""
    setting = published.setting
    names = values.get(setting, file.get(setting, published.default))
    path_of_list = env.path(published.file)
    if not names and not path_of_list:
        values[setting] = ()
        return
    known = _collected(env, lambda: cdn.load(path_of_list, published.bundled))
    if known is None:
        return
    try:
        values[setting] = cdn.select(names, known)
    except ValueError as err:
        if setting in values:
            env.error(variable_for(setting).name, str(err))
        else:
            key = next(key.name for key in GLOBAL_KEYS if key.path == setting)
            env.errors.append(ConfigError(path, "DEFAULT", key, str(err)))


def _with_certificates(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the file of certificates in Redis's URL, unless the URL names one itself."""
    rest = dict(values)
    certificates = rest.pop(REDIS_CA, "")
    if (redis := rest.get(REDIS)) and not redis.ca:
        rest[REDIS] = replace(redis, ca=certificates)
    return rest
