"""The filter of each jail: which file it is, with which options, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from sidecar.config.errors import ConfigError
from sidecar.config.jail_keys import ENFORCE, FILTER_KEYS, OBSERVE, filter_reference
from sidecar.config.jail_values import JailValues, quoted
from sidecar.core.jail import Jail, Success
from sidecar.filters.ini import FilterError, FilterErrors
from sidecar.filters.loader import Filter, load
from sidecar.filters.redos import redos_prone, redos_prone_dates

# A pasted jail.conf gives `mode = normal` to every filter, while few filters have modes.
HARMLESS_OPTIONS: Final = ("mode=normal", "logtype=", "success=")


class JailFilters:
    """Loads filters, each once. Errors and notes go to the values of the jails file."""

    def __init__(self, values: JailValues, folders: Sequence[Path]) -> None:
        """`folders`: where the operator's filters are, in the order in which they are searched."""
        self._values, self._folders = values, folders
        self._loaded: dict[tuple[object, ...], Filter] = {}

    def load(self, jail: Jail) -> Filter | None:
        """Return the filter of the jail; None where it cannot be used."""
        written = {key: self._written(jail.name, key) for key in FILTER_KEYS}
        options = self._mode(jail.name, jail.filter) | {key: text for key, text in written.items() if text}
        if jail.success is Success.RESET:
            options["success"] = "reset"
        key = (jail.filter, jail.log_zone, *options, *options.values())
        try:
            rules = self._loaded.get(key) or self._loaded.setdefault(
                key, replace(load(jail.filter, self._folders, options), zone=jail.log_zone)
            )
        except FilterErrors as err:
            for error in err.errors:
                self._add_error(jail, error, written)
            return None
        self._check(jail, rules)
        return rules

    def _written(self, name: str, key: str) -> str:
        """Return what the jail has instead of the filter's own value; "" where it has none."""
        text: str | None = None
        with self._values.recording(name, key):
            text = self._values.text(name, key, self._known(name, key))
        return (text or "").strip()

    def _known(self, name: str, key: str) -> dict[str, str]:
        """Return what `%(known/failregex)s` stands for in this jail: the filter's own. Raises FilterErrors."""
        value = self._values.ini.own(name, key)
        # Where a file defines it over another, `known` means the value of that other file.
        overridden = value and value.before
        if key not in ("failregex", "ignoreregex") or not value or overridden:
            return {}
        if f"%(known/{key})s" not in value.text.lower():
            return {}
        wanted = self._values.get(name, "filter", filter_reference, name)
        rules = load(wanted, self._folders, self._mode(name, wanted))
        own = rules.failregex if key == "failregex" else rules.ignoreregex
        return {f"known/{key}": "\n".join(rule.text for rule in own)}

    def _mode(self, name: str, wanted: str) -> dict[str, str]:
        """Return the filter's `mode`: the jail's, unless it is `observe` or `enforce`, or `name[mode=...]` has one."""
        mode = self._values.get(name, "mode", str.strip, "")
        if not mode or mode.lower() in (OBSERVE, ENFORCE) or "mode=" in wanted:
            return {}
        return {"mode": mode}

    def _check(self, jail: Jail, rules: Filter) -> None:
        """Add what is wrong or odd about a filter that could be loaded."""
        # It brings the formats of access logs, and each `healthcheck` imports this module but checks no filter.
        from sidecar.filters.lint import JSON_FILE_WRAPPING, expects_json_file, raw_lines  # noqa: PLC0415

        for option in rules.unused:
            if not option.startswith(HARMLESS_OPTIONS):
                self._values.note(
                    jail.name, "filter", f"{rules.name} has no option `{option}`, so it has no effect"
                )
        # A built-in jail may have another filter; then nobody asked for `success = reset`.
        asked_for = jail.success is Success.RESET and self._values.text(jail.name, "success")
        if asked_for and not rules.reports_success:
            self._values.note(jail.name, "success", f"has no effect: filter {rules.name} has no successregex")
        if jail.log_format and not rules.reads_requests and self._values.ini.own(jail.name, "logformat"):
            sentence = f"has no effect: filter {rules.name} does not read requests (`input = requests`)"
            self._values.note(jail.name, "logformat", sentence)
        if expects_json_file(rules) and (jail.containers or not jail.logpath):
            sentence = (
                f"{rules.name} expects lines as Docker's json-file driver stores them ({JSON_FILE_WRAPPING}...), but "
                "lines of containers are read without that; remove it from the failregex"
            )
            self._values.note(jail.name, "filter", sentence)
        for rule in raw_lines(rules):
            sentence = (
                f"{rule.text} is for lines as a server writes them, but {rules.name} reads requests "
                r"(`input = requests`), so it matches nothing: write it like ^<ADDR> POST /wp-login\.php 200 \?, or "
                "set a filter that reads lines"
            )
            self._values.note(jail.name, "filter", sentence)
        for text in redos_prone_dates(rules):
            sentence = f"may take for ever on some lines: {text}; say more exactly where a date is"
            self._values.error(jail.name, "datepattern", sentence)
        for rule, slow in redos_prone(rules):
            lines = f"lines over {slow.safe_length} characters" if slow.safe_length else "some lines"
            self._values.notes.append(
                f"{rule.file}:{rule.line}: may take for ever on {lines}, so those are tried in a separate process"
                f" first: {rule.text}"
            )

    def _add_error(self, jail: Jail, error: FilterError, written: Mapping[str, str]) -> None:
        """Add an error at its place in the filter's file, or at the jail's key that it is about."""
        sentence = quoted(error.message, error.text)
        if Path(error.file).is_file():
            sentence = f"{sentence}, for jail {jail.name}"
            self._values.errors.append(ConfigError(error.file, "", "", sentence, error.line))
        else:
            keys = (key for key, text in written.items() if error.text and error.text in text)
            self._values.error(jail.name, next(keys, "filter"), sentence)
