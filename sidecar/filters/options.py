"""The options of one filter, with everything put in: `%(names)s`, `<tags>`, and what the jail gave.

fail2ban's filters are made of other options: a `failregex` may be `^<prefix>fail<lines-<mode>>`. This module says what
an option's text is in the end, and which of the given options had no effect.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from sidecar.core.text import closest_match
from sidecar.filters import tags
from sidecar.filters.ini import FilterError, FilterErrors, Ini, interpolated

# Options that a filter is read from.
READ: Final = ("failregex", "ignoreregex", "prefregex", "datepattern", "maxlines", "usedns", "input")
KNOWN: Final = (*READ, "successregex")
# How similar two names are if one is a slip of the other: `ignoreregexp` is 0.96, `failregex-old` 0.82.
SLIP_SIMILARITY: Final = 0.9


class OptionLine(NamedTuple):
    """A line of an option's text in the end, and the place where it was written ("", 0: in the jail)."""

    file: str
    line: int
    text: str

    def error(self, message: str) -> FilterError:
        return FilterError(self.file, self.line, self.text, message)


@dataclass(frozen=True, slots=True)
class Options:
    """The options in a filter's files, under those that were given (names in lower case)."""

    ini: Ini
    given: Mapping[str, str]

    def lines(self, option: str) -> list[OptionLine]:
        """Return an option's lines in the end, without empty ones. Raises FilterErrors."""
        if option in self.given:
            written = [OptionLine("", 0, self.given[option])]
        else:
            section = self._section_of(option)
            value = self.ini.get(section, option)
            raw = interpolated(self.ini, section, option, self.given)
            if value is None or raw is None:
                return []
            written = [OptionLine(value.file, number, text) for number, text in raw]
        found: list[OptionLine] = []
        for each in written:
            try:
                whole = tags.substituted(each.text, self.meaning)
            except ValueError as err:
                raise FilterErrors([each.error(str(err))]) from err
            found += [each._replace(text=line.strip()) for line in whole.split("\n") if line.strip()]
        return found

    def meaning(self, tag: str) -> str | None:
        """Return what `<tag>` stands for; None if nothing has that name.

        That is a given option, or one of [Init], [Definition] or [DEFAULT]; `section/option` names another section's.
        """
        if tag.lower() in self.given:
            return self.given[tag.lower()]
        section, slash, option = tag.rpartition("/")
        option = option.lower()
        if slash and section != "known":
            titles = (title for title in self.ini.sections if title.lower() == section.lower())
            section = next(titles, section)
        else:
            section = self._section_of(option)
        is_own = self.ini.own("Definition", option) or self.ini.own("Init", option)
        if option == "logtype" and not is_own:
            # A container's messages are written as to a file, whatever a common.conf prefers.
            return "file"
        lines = interpolated(self.ini, section, option, self.given)
        return None if lines is None else "\n".join(text for _, text in lines)

    def missing_failregex(self, name: str) -> FilterError:
        """Return the error for a filter without `failregex`: is one misspelt?"""
        written = {
            option: value
            for section in ("Init", "Definition")
            for option, value in self.ini.sections.get(section, {}).items()
            if option not in KNOWN
        }
        if option := closest_match("failregex", written):
            return written[option].error(f"unknown option `{option}`; did you mean `failregex`?")
        place = str(self.ini.read[0]) if self.ini.read else name
        message = "this filter has no `failregex` in [Definition], so nothing could ever match it"
        misspelt = [
            each for each in self.ini.sections if each.lower() == "definition" and each != "Definition"
        ]
        if misspelt and "Definition" not in self.ini.sections:
            message = f"rename [{misspelt[0]}] to [Definition]: the names of sections are case-sensitive"
        return FilterError(place, 0, "", message)

    def unused(self) -> Iterator[str]:
        """Yield what had no effect: given options as `mode=unknown`, and misspelt ones as `ignoreregexp (did ...?)`."""
        for option, value in self.given.items():
            if not self._is_used(option):
                yield f"{option}={value}"
        for option in self.ini.sections.get("Definition", {}):
            meant = None if option in KNOWN else closest_match(option, KNOWN, SLIP_SIMILARITY)
            if meant and not self._is_named(option):
                yield f"{option} (did you mean {meant}?)"

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that were read."""
        return tuple(self.ini.read)

    def _section_of(self, option: str) -> str:
        return "Init" if self.ini.own("Init", option) else "Definition"

    def _is_used(self, option: str) -> bool:
        """Return whether a given option matters: it is read, or named, or the name of an option is made of it.

        With `mode = hard`, `<lines-<mode>>` names the option `lines-hard`.
        """
        value, nested = self.given[option], _nested(option)
        made = {f"{found[1]}{value}{found[2]}" for text in self._texts() for found in nested.finditer(text)}
        return option in READ or any(self.meaning(tag) is not None for tag in made) or self._is_named(option)

    def _is_named(self, option: str) -> bool:
        """Return whether a text puts the option in, as `<mode>` or `%(mode)s`, and not only into another name."""
        name, nested = re.escape(option), _nested(option)
        plain = re.compile(rf"<(?:[^<>]*/)?{name}(?:\?[^<>]*)?>|%\((?:[^()]*/)?{name}\)s", re.IGNORECASE)
        return any(plain.search(nested.sub("", text)) for text in (*self._texts(), *self.given.values()))

    def _texts(self) -> list[str]:
        return [each.text for section in self.ini.sections.values() for each in section.values()]


def _nested(option: str) -> re.Pattern[str]:
    return re.compile(rf"<([^<>]*)<{re.escape(option)}>([^<>]*)>", re.IGNORECASE)
