"""`check-config`: every error of a configuration, and the jails that it makes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sidecar.cli.stdio import write_json, write_line
from sidecar.config import reader
from sidecar.config.errors import ConfigErrors
from sidecar.config.jail_keys import Shown, shown
from sidecar.config.settings import Settings
from sidecar.control.exit_codes import ExitCode
from sidecar.core.jail import Jail
from sidecar.core.text import printable
from sidecar.filters.loader import Filter


def check(environ: Mapping[str, str], jails: Path | None, filters: Path | None, *, as_json: bool) -> ExitCode:
    """Show what this configuration makes, and return the exit code. Raises ConfigErrors, except as JSON."""
    try:
        settings = reader.read(environ, jails=jails, filters=filters)
    except ConfigErrors as err:
        if not as_json:
            raise
        errors = [error.as_dict() for error in err.errors]
        write_json({"ok": False, "jails": [], "notes": [], "mistakes": errors})
        return ExitCode.CONFIG
    if as_json:
        return _show_as_json(settings)
    for note in settings.notes:
        write_line(f"note: {printable(note)}")
    for jail in settings.jails:
        rules = settings.filters[jail.name]
        actions = "".join(f", action {action.name}" for action in jail.actions)
        write_line(f"jail {jail.name}: filter {jail.filter}, {len(rules.failregex)} expressions{actions}")
    if settings.errors:
        raise ConfigErrors(settings.errors)
    write_line("ok")
    return ExitCode.OK


def _show_as_json(settings: Settings) -> ExitCode:
    errors = [error.as_dict() for error in settings.errors]
    jails = [_jail(jail, settings.filters[jail.name]) for jail in settings.jails]
    write_json({"ok": not errors, "jails": jails, "notes": settings.notes, "mistakes": errors})
    return ExitCode.CONFIG if errors else ExitCode.OK


def _jail(jail: Jail, rules: Filter) -> dict[str, Any]:
    # Their options may be secrets.
    actions = [action.name for action in jail.actions]
    known = shown(jail, Shown.CHECK_CONFIG)
    return {"name": jail.name, "failregex": len(rules.failregex), **known, "actions": actions}
