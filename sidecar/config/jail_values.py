"""Values of the jails file, parsed; every error and note with the place that it is about.

The reader asks for one key after another. A key that is wrong gives its default and leaves an error, so that
one reading finds every error of the file.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from sidecar.config.errors import ConfigError
from sidecar.config.jail_keys import EXPRESSION_KEYS, PASTED_KEYS
from sidecar.filters.ini import FilterErrors, Ini, Value, interpolated

T = TypeVar("T")
D = TypeVar("D")

DEFAULT: Final = "DEFAULT"
# `bantime = 1h  # an hour`: fail2ban accepts the remark in a duration. In an expression it belongs to the
# expression.
REMARK: Final = re.compile(r"(?:^|[ \t]+)#.*", re.MULTILINE)
# fail2ban defines the names of log files for each distribution in a file of its own.
UNDEFINED_LOG_NAME: Final = (
    "; fail2ban has such names in its paths-*.conf: include that, or leave logpath out to look at containers"
)
VARIABLE: Final = re.compile(r"%\(([^)/]+)\)s")


class JailValues:
    """One reading of a jails file with its layers. `errors` and `notes` grow as values are read."""

    def __init__(self, ini: Ini, path: Path | None, layers: Sequence[Path]) -> None:
        """Take what was parsed of `path` and of the layers over it; None: there is no jails file."""
        self.ini = ini
        self.errors = [
            ConfigError(each.file, "", "", quoted(each.message, each.text), each.line) for each in ini.errors
        ]
        # What stands in a section twice. It is reported, and the last one counts: without the jail, its containers
        # would have no protection, and fail2ban, which refuses such a file, would not start.
        self.repeated = [
            ConfigError(
                each.file, section, "", f"{quoted(each.message, each.text)}; the last one counts", each.line
            )
            for section, each in ini.repeated
        ]
        self.notes: list[str] = []
        self._file = str(path or "no jails file")
        self._layers = frozenset(map(str, layers))

    @property
    def jails(self) -> list[str]:
        """The names of all jails that have a section."""
        return [name for name in self.ini.sections if name != DEFAULT]

    def get(self, section: str, key: str, parse: Callable[[str], T], default: D) -> T | D:
        """Return the value in this section or in [DEFAULT]; the default where it is not set, or wrong."""
        with self.recording(section, key):
            if (text := self.text(section, key)) is not None:
                return parse(text)
        return default

    def text(self, section: str, key: str, names: Mapping[str, str] | None = None) -> str | None:
        """Return the value with all `%(name)s` replaced; None where it is not set. Raises FilterErrors.

        `names` are names that are known beside those of the file.
        """
        if key in PASTED_KEYS:
            value = self.ini.get(section, key)
            return None if value is None else value.text
        lines = interpolated(self.ini, section, key, names or {})
        if lines is None:
            return None
        text = "\n".join(line for _, line in lines)
        return text if key in EXPRESSION_KEYS else REMARK.sub("", text)

    @contextmanager
    def recording(self, section: str, key: str) -> Iterator[None]:
        """Record a ValueError or FilterErrors as an error of this key, and go on."""
        try:
            yield
        except FilterErrors as err:
            sentence = "; ".join(quoted(each.message, each.text) for each in err.errors)
            self.error(section, key, sentence + (UNDEFINED_LOG_NAME if key == "logpath" else ""))
        except ValueError as err:
            self.error(section, key, str(err))

    def error(self, section: str, key: str, sentence: str) -> None:
        """Add an error at the line of the key, or of the section where the key is not set."""
        value = self.ini.get(section, key)
        written_in = DEFAULT if value and not self.ini.own(section, key) else section
        if not value:
            value = next(iter(self.ini.sections.get(section, {}).values()), None)
        file, line = (value.file, value.lines[0][0]) if value else (self._file, 0)
        self.errors.append(ConfigError(file, written_in, key, sentence, line))

    def note(self, section: str, key: str, sentence: str) -> None:
        place = f"{section}.{key}: " if key else f"[{section}]: " if section else ""
        self.notes.append(f"{self._file}: {place}{sentence}")

    def own_keys(self, section: str) -> list[str]:
        """Return the keys of a section. [DEFAULT] has those of included files too, and these are left out.

        An included file such as fail2ban's paths-*.conf defines names in [DEFAULT] that need not be used.
        """
        found = self.ini.sections.get(section, {})
        return [key for key, value in found.items() if section != DEFAULT or value.file in self._layers]

    def names_in_use(self) -> set[str]:
        """Return the names that stand as `%(name)s` in some value."""
        return {name.lower() for value in self._all() for name in VARIABLE.findall(value.text)}

    def _all(self) -> Iterator[Value]:
        return (value for section in self.ini.sections.values() for value in section.values())


def quoted(message: str, text: str) -> str:
    """Return the message with the text that it is about."""
    return f"{message} ({text})" if text else message
