"""fail2ban's configuration dialect: files, includes and `%(names)s`, each value with its place.

Filters and jails files are written in it. The syntax is ConfigParser's: `;` opens a comment anywhere behind a blank,
`#` only at the beginning of a line, and a value continues in lines that are indented deeper. It is parsed by hand,
because an error is worth little without its line, and a file may have several.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

# How deep names may stand for names; ConfigParser's own limit (`configparser.MAX_INTERPOLATION_DEPTH`).
MAX_DEPTH: Final = 10
_SECTION: Final = re.compile(r"\[(.+)\]")
_OPTION: Final = re.compile(r"(.*?)\s*[=:]\s*(.*)$")
# Not `str.splitlines()`, as a form feed may stand in a regular expression.
_NEWLINE: Final = re.compile(r"\r\n|\r|\n")
_PERCENT: Final = re.compile(r"%(?:(%)|\(([^)]+)\)s|)")


@dataclass(frozen=True, slots=True, order=True)
class FilterError:
    """What is wrong in a filter or jails file, and where.

    `line` counts from 1; 0 is the file as a whole. `text` is the wrong text as written, `message` says what to change.
    """

    file: str
    line: int
    text: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place}: {self.message}" + (f" ({self.text})" if self.text else "")


class FilterErrors(Exception):  # noqa: N818  it carries errors
    """A filter that cannot be used, and all that is wrong with it."""

    def __init__(self, errors: Iterable[FilterError]) -> None:
        self.errors = tuple(sorted(set(errors)))
        super().__init__("\n".join(map(str, self.errors)))


@dataclass(frozen=True, slots=True)
class Value:
    """An option as written: its lines with their numbers. `before`: the same option before this file."""

    file: str
    lines: tuple[tuple[int, str], ...]
    before: Value | None = None

    @property
    def text(self) -> str:
        return "\n".join(line for _, line in self.lines)

    def error(self, message: str, text: str = "") -> FilterError:
        return FilterError(self.file, self.lines[0][0], text or self.lines[0][1], message)


Section = dict[str, Value]


@dataclass(slots=True)
class Ini:
    """Several files, read one over the other: later files win option by option."""

    sections: dict[str, Section] = field(default_factory=dict)
    read: list[Path] = field(default_factory=list)
    errors: list[FilterError] = field(default_factory=list)
    # Section -> what stands in it twice. The last one counts; what is made of that is the reader's to say.
    repeated: list[tuple[str, FilterError]] = field(default_factory=list)

    def get(self, section: str, option: str) -> Value | None:
        """Return the option of this section, else of [DEFAULT]; None if neither has it."""
        return self.own(section, option) or self.own("DEFAULT", option)

    def own(self, section: str, option: str) -> Value | None:
        """Return the option if the section itself has it."""
        return self.sections.get(section, {}).get(option)

    def add(self, path: Path, find: Callable[[Path, str], Path | None]) -> None:
        """Read a file over what is there, with what it includes.

        `find(including, name)` returns where an included file is. Files that include each other are read once. A
        missing include is an error, except a `.local`, which is optional.
        """
        if path in self.read:
            return
        self.read.append(path)
        sections = self._parse(path)
        includes = sections.pop("INCLUDES", {})
        for include in self._included(path, includes.get("before"), find):
            self._add_with_local(include, find)
        for name, options in sections.items():
            mine = self.sections.setdefault(name, {})
            for option, value in options.items():
                mine[option] = replace(value, before=mine.get(option))
        for include in self._included(path, includes.get("after"), find):
            self._add_with_local(include, find)

    def _add_with_local(self, path: Path, find: Callable[[Path, str], Path | None]) -> None:
        self.add(path, find)
        if path.suffix == ".conf" and (local := path.with_suffix(".local")).is_file():
            self.add(local, find)

    def _included(
        self, path: Path, names: Value | None, find: Callable[[Path, str], Path | None]
    ) -> Iterator[Path]:
        for number, name in names.lines if names else ():
            if not name:
                continue
            if found := find(path, name):
                yield found
            elif not name.endswith(".local"):
                message = "the included file does not exist; correct the name or put the file beside this one"
                self.errors.append(FilterError(str(path), number, name, message))

    def _parse(self, path: Path) -> dict[str, Section]:
        try:
            text = path.read_bytes().decode("utf-8-sig")
        except OSError as err:
            self.errors.append(FilterError(str(path), 0, "", f"cannot be read: {err.strerror}"))
            return {}
        except UnicodeDecodeError as err:
            self.errors.append(
                FilterError(str(path), 0, "", f"is not UTF-8 text (byte {err.start}); save it as UTF-8")
            )
            return {}
        parser = _parsed(str(path), text, self.errors)
        self.repeated += parser.repeated
        return parser.values()


def parse(file: str, text: str, errors: list[FilterError]) -> dict[str, Section]:
    """Return the sections of one file; what is wrong is added to `errors` and left out."""
    parser = _parsed(file, text, errors)
    errors += [error for _, error in parser.repeated]
    errors.sort()
    return parser.values()


def _parsed(file: str, text: str, errors: list[FilterError]) -> _Parser:
    parser = _Parser(file, errors)
    for number, line in enumerate(_NEWLINE.split(text), 1):
        content, commented = _uncommented(line)
        if content:
            parser.line(number, content, len(line) - len(line.lstrip()))
        elif not commented:
            parser.blank(number)
    return parser


Lines = list[tuple[int, str]]


@dataclass(slots=True)
class _Parser:
    """What has been parsed of a file so far: its sections, and the option that may continue."""

    file: str
    errors: list[FilterError]
    sections: dict[str, dict[str, Lines]] = field(default_factory=dict)
    # Section -> what stands in it twice.
    repeated: list[tuple[str, FilterError]] = field(default_factory=list)
    name: str = ""
    section: dict[str, Lines] | None = None
    value: Lines | None = None
    indent: int = 0

    def blank(self, number: int) -> None:
        if self.value is not None:
            self.value.append((number, ""))

    def line(self, number: int, content: str, depth: int) -> None:
        if self.value is not None and depth > self.indent:
            self.value.append((number, content))
            return
        self.indent, self.value = depth, None
        if header := _SECTION.match(content):
            self.name = header[1]
            if header[1] in self.sections:
                self.repeat(number, content, "this section is there twice; make it one")
            self.section = self.sections.setdefault(header[1], {})
        elif self.section is None:
            self.wrong(number, content, "this stands before the first [section]; move it into one")
        elif option := _OPTION.match(content):
            self.option(self.section, number, content, option)
        else:
            self.wrong(number, content, "this is neither `[section]` nor `option = value`")

    def option(self, section: dict[str, Lines], number: int, content: str, found: re.Match[str]) -> None:
        name = found[1].lower()
        if not name:
            self.wrong(number, content, "an option needs a name before `=`")
        elif name in section:
            self.repeat(number, content, f"`{name}` is set twice in this section; keep one")
        self.value = section[name] = [(number, found[2])]

    def repeat(self, number: int, content: str, message: str) -> None:
        self.repeated.append((self.name, FilterError(self.file, number, content, message)))

    def values(self) -> dict[str, Section]:
        """Return what was parsed."""
        return {name: _values(self.file, options) for name, options in self.sections.items()}

    def wrong(self, number: int, content: str, message: str) -> None:
        self.errors.append(FilterError(self.file, number, content, message))


def _values(file: str, options: Mapping[str, Sequence[tuple[int, str]]]) -> Section:
    return {name: Value(file, _trimmed(lines)) for name, lines in options.items()}


def _trimmed(lines: Sequence[tuple[int, str]]) -> tuple[tuple[int, str], ...]:
    end = len(lines)
    while end > 1 and not lines[end - 1][1]:
        end -= 1
    return tuple(lines[:end])


def _uncommented(line: str) -> tuple[str, bool]:
    """Return the line without its comment and outer blanks, and whether there was a comment."""
    bare = line.strip()
    if bare.startswith(("#", ";")):
        return "", True
    at = line.find(";")
    while at > 0 and not line[at - 1].isspace():
        at = line.find(";", at + 1)
    return (line[:at].strip(), True) if at >= 0 else (bare, False)


def interpolated(
    ini: Ini, section: str, option: str, given: Mapping[str, str]
) -> list[tuple[int, str]] | None:
    """Return the option's lines with every `%(name)s` replaced, each with its line number; None if it is not there.

    A name is looked for in `given`, then in the section, then in [DEFAULT]. `%(other/name)s` is another section's
    option, `%(known/name)s` is what the name stood for before the file that redefined it. Raises FilterErrors.
    """
    value = ini.get(section, option)
    if value is None:
        return None
    names = _Names(ini, section, given)
    return [(number, names.replace(value, number, line, option)) for number, line in value.lines]


@dataclass(frozen=True, slots=True)
class _Names:
    ini: Ini
    section: str
    given: Mapping[str, str]

    def replace(self, value: Value, number: int, text: str, option: str, depth: int = 1) -> str:
        if "%" not in text:
            return text
        if depth > MAX_DEPTH:
            message = f"names stand for names more than {MAX_DEPTH} deep; does `{option}` mean itself?"
            raise FilterErrors([FilterError(value.file, number, text, message)])

        def one(found: re.Match[str]) -> str:
            if found[1]:
                return "%"
            if not found[2]:
                message = (
                    "a lone `%` means nothing here; write `%%` for a percent sign, `%(name)s` for a name"
                )
                raise FilterErrors([FilterError(value.file, number, text, message)])
            return self._meaning(value, number, found[2].lower(), depth)

        return _PERCENT.sub(one, text)

    def _meaning(self, value: Value, number: int, name: str, depth: int) -> str:
        if name in self.given:
            return self.given[name]
        if name == "__name__":
            return self.section
        meant = self._value(value, name)
        if meant is None:
            message = f"`%({name})s` is defined nowhere; define `{name}` or correct the name"
            raise FilterErrors([FilterError(value.file, number, dict(value.lines).get(number, ""), message)])
        lines = (self.replace(meant, at, line, name, depth + 1) for at, line in meant.lines)
        return "\n".join(lines)

    def _value(self, value: Value, name: str) -> Value | None:
        section, slash, option = name.rpartition("/")
        if not slash:
            return self.ini.get(self.section, name)
        if section != "known":
            return next(
                (found for title in self.ini.sections if title.lower() == section
                 if (found := self.ini.get(title, option))),
                None,
            )  # fmt: skip
        mine = self.ini.own(self.section, option)
        chain = value if mine and _within(value, mine) else mine
        return (chain and chain.before) or self.ini.own("DEFAULT", option)


def _within(value: Value, newest: Value) -> bool:
    """Return whether this is `newest`, or what that was before."""
    step: Value | None = newest
    while step is not None:
        if step is value:
            return True
        step = step.before
    return False
