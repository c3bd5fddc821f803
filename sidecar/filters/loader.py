"""fail2ban's filter files -> a frozen Filter, or every mistake with its place.

A filter is looked for where the user keeps filters, then in our own pack. What it includes is looked for beside it,
then in the pack, so a filter that brings no `common.conf` of its own is read with ours.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from sidecar.filters import dates, ini, tags
from sidecar.filters.dates import Dates
from sidecar.filters.ini import FilterError, FilterErrors, Ini

__all__ = ["Filter", "FilterError", "FilterErrors", "Rule", "load", "pack"]

ADDRESS_GROUPS: Final = (
    "fid",
    "ip4",
    "ip6",
    "dns",
)  # a failregex has to say who it was in one of these; the first says it best
READ: Final = ("failregex", "ignoreregex", "prefregex", "datepattern", "maxlines", "usedns")
KNOWN: Final = (*READ, "successregex")
ALMOST: Final = 0.9  # how much of a name two words share: `ignoreregexp` is 0.96, `failregex-old` 0.82
MOST_NAMED: Final = 10  # filters of which a message gives the names; fail2ban alone brings 90
USEDNS: Final = ("no", "warn", "yes", "raw")
SUCCESS: Final = "(?P<success>)"  # the empty group that marks a successregex
# People write `[[]client` for a bracket, and it is one. Python's remark on it would name our lines, not theirs.
warnings.filterwarnings("ignore", "Possible (?:nested )?set", FutureWarning)


@dataclass(frozen=True, slots=True)
class Rule:
    """One regular expression of a filter: as written, with its place, and compiled."""

    text: str
    regex: re.Pattern[str]
    file: str
    line: int


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """Which lines are failures, and whose."""

    name: str
    failregex: tuple[Rule, ...]
    ignoreregex: tuple[Rule, ...] = ()
    prefregex: Rule | None = None
    dates: Dates = field(default_factory=lambda: Dates(dates.templates([])))
    usedns: str = "no"  # one of USEDNS
    maxlines: int = 1  # how many lines are looked at together
    files: tuple[Path, ...] = ()  # all that was read for it
    unused: tuple[
        str, ...
    ] = ()  # what it was given in vain, as `mode=unknown`, or says so, as `ignoreregexp`

    @property
    def resolves_names(self) -> bool:
        """Are names looked up? With `raw` they only match."""
        return self.usedns in {"yes", "warn"}

    @property
    def needs_earlier_lines(self) -> bool:
        """Does a verdict depend on the lines before?"""
        rules = (*self.failregex, *([self.prefregex] if self.prefregex else []))
        return self.maxlines > 1 or any("mlfid" in rule.regex.groupindex for rule in rules)

    @property
    def reports_success(self) -> bool:
        """Does it know a login that worked? Only where `success = reset` asks for it."""
        return any("success" in rule.regex.groupindex for rule in self.failregex)

    @property
    def ignores_first(self) -> bool:
        """Is `ignoreregex` asked before `failregex`? fail2ban does so where it has clearly fewer of them."""
        return len(self.ignoreregex) < len(self.failregex) - 2


def equivalent(some: Mapping[str, Filter], others: Mapping[str, Filter]) -> bool:
    """Would these, by jail, find the same in every line as those?"""
    return {name: _key(one) for name, one in some.items()} == {
        name: _key(one) for name, one in others.items()
    }


def _key(one: Filter) -> tuple[object, ...]:
    templates = tuple(each.text for each in one.dates.templates)
    return one.name, one.failregex, one.ignoreregex, one.prefregex, templates, one.usedns, one.maxlines


def pack() -> Path:
    """The folder of our own filters: inside the installed package, or the checkout's `filters/`."""
    package = Path(__file__).parent.parent
    return next(
        (path for path in (package / "pack", package.parent / "filters") if path.is_dir()), package / "pack"
    )


def load(name: str, where: Sequence[Path] = (), options: Mapping[str, str] | None = None) -> Filter:
    """The filter of this name, `name[option=value]` or path to a `.conf`; `options` go over those in brackets.

    Raises FilterMistakes with all that is wrong.
    """
    try:
        wanted, written = tags.reference(name)
    except ValueError as err:
        raise FilterErrors([FilterError(name, 0, "", str(err))]) from err
    read = Ini()
    for path in _files(wanted, [*where, pack()]):
        read.add(path, _beside_or_ours)
    if read.errors:
        raise FilterErrors(read.errors)
    given = {key.lower(): value for key, value in {**written, **(options or {})}.items()}
    return _Reader(Path(wanted).stem if _is_path(wanted) else wanted, read, given).filter()


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".conf", ".local"))


def _files(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """The files that make up a filter, in the order in which later ones win."""
    wanted = name
    if _is_path(name):
        beside = "/" in name or Path(name).is_file()
        folders, name = [Path(name).parent] if beside else folders, Path(name).stem
    kinds = (_main(wanted, name), f"{name}.d/*.conf", f"{name}.local", f"{name}.d/*.local")
    found = [sorted(path for folder in reversed(folders) for path in folder.glob(kind)) for kind in kinds]
    main = next((folder / kinds[0] for folder in folders if (folder / kinds[0]).is_file()), None)
    if main is None and not found[2]:
        stems = {path.stem for folder in folders for path in folder.glob("*.conf")}
        known = sorted(stem for stem in stems if not stem.endswith("common"))  # those are only included
        close = get_close_matches(name, known, 1)
        hint = f"did you mean `{close[0]}`?" if close else f"there are: {_some(known)}"
        places = ", ".join(str(folder) for folder in folders)
        raise FilterErrors([FilterError(name, 0, "", f"there is no filter `{name}` in {places}; {hint}")])
    yield from [main] if main else []
    for paths in found[1:]:
        yield from paths


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return (", ".join(names[:MOST_NAMED]) or "none") + more


def _main(wanted: str, stem: str) -> str:
    """The name of a filter's own file: a path may call it anything."""
    return Path(wanted).name if _is_path(wanted) and Path(wanted).is_file() else f"{stem}.conf"


def _beside_or_ours(including: Path, name: str) -> Path | None:
    return next((path for path in (including.parent / name, pack() / name) if path.is_file()), None)


@dataclass(slots=True)
class _Reader:
    """Resolves one filter's options; mistakes are gathered, not thrown one by one."""

    name: str
    ini: Ini
    given: Mapping[str, str]
    errors: list[FilterError] = field(default_factory=list)
    flags: re.RegexFlag = re.NOFLAG

    def filter(self) -> Filter:
        usedns = self.one("usedns", "no").lower()
        if usedns not in USEDNS:
            self.wrong("usedns", f"`usedns` is one of {', '.join(USEDNS)}")
        maxlines = self.one("maxlines", "1")
        if not maxlines.isdecimal() or int(maxlines) < 1:
            self.wrong("maxlines", "`maxlines` is how many lines to look at together, a whole number from 1")
            maxlines = "1"
        self.flags = re.MULTILINE if int(maxlines) > 1 else re.NOFLAG
        names = usedns != "no"
        prefregex = next(iter(self.rules("prefregex", names=names)), None)
        inherited = prefregex.regex.groupindex.keys() if prefregex else set()
        failregex = tuple(self.rules("failregex", names=names))
        if self.given.get("success") == "reset":  # last, as the first that matches wins
            failregex += tuple(self.rules("successregex", names=names, mark=SUCCESS))
        for rule in failregex:
            if not {*rule.regex.groupindex, *inherited}.intersection({*ADDRESS_GROUPS, "mlfid"}):
                message = (
                    "this says nobody to ban: put <HOST> (or <ADDR>, <F-ID>) where the line has the address"
                )
                self.errors.append(FilterError(rule.file, rule.line, rule.text, message))
        if not failregex and not self.errors:
            self.errors.append(self.missing())
        ignoreregex = tuple(self.rules("ignoreregex", names=names))
        found = self.dates()
        if self.errors:
            raise FilterErrors(self.errors)
        return Filter(
            self.name, failregex, ignoreregex, prefregex, found, usedns, int(maxlines), tuple(self.ini.read),
            unused=(
                *(f"{key}={value}" for key, value in self.given.items() if not self.uses(key)),
                *self.misspelt(),
            ),
        )  # fmt: skip

    def misspelt(self) -> Iterator[str]:
        """Options that nothing asks for, and that only a slip tells from one that is read."""
        for name in self.ini.sections.get("Definition", {}):
            meant = () if name in KNOWN else get_close_matches(name, KNOWN, 1, ALMOST)
            if meant and not self.asked(name):
                yield f"{name} (did you mean {meant[0]}?)"

    def missing(self) -> FilterError:
        """There is no `failregex`: is one misspelt?"""
        written = {
            name: value
            for section in ("Init", "Definition")
            for name, value in self.ini.sections.get(section, {}).items()
            if name not in KNOWN
        }
        for name in get_close_matches("failregex", written, 1):
            return written[name].error(f"unknown option `{name}`; did you mean `failregex`?")
        place = str(self.ini.read[0]) if self.ini.read else self.name
        message = "this filter has no `failregex` in [Definition], so nothing could ever match it"
        return FilterError(place, 0, "", message)

    def uses(self, option: str) -> bool:
        """Does its value matter: is it read here, or is one that is there made of it (`<mode>`, `<lines-<mode>>`)?"""
        value, nested = self.given[option], _nested(option)
        tags_made = {
            f"{found[1]}{value}{found[2]}" for text in self.texts() for found in nested.finditer(text)
        }
        return option in READ or any(self.meaning(tag) is not None for tag in tags_made) or self.asked(option)

    def asked(self, option: str) -> bool:
        """Does a text put it in by its name, as `<mode>` or `%(mode)s`, not only to make another name of it?"""
        name, nested = re.escape(option), _nested(option)
        plain = re.compile(rf"<(?:[^<>]*/)?{name}(?:\?[^<>]*)?>|%\((?:[^()]*/)?{name}\)s", re.IGNORECASE)
        return any(plain.search(nested.sub("", text)) for text in (*self.texts(), *self.given.values()))

    def texts(self) -> list[str]:
        return [each.text for section in self.ini.sections.values() for each in section.values()]

    def rules(self, option: str, *, names: bool, mark: str = "") -> Iterator[Rule]:
        """The option's regular expressions; `mark` is put behind each."""
        for file, line, text in self.lines(option):
            try:
                yield Rule(text, re.compile(tags.regex(text, names=names) + mark, self.flags), file, line)
            except re.error as err:
                message = f"`{option}` is no regular expression: {err.msg}"
                self.errors.append(FilterError(file, line, text, message))
            except (OverflowError, RecursionError):
                self.errors.append(
                    FilterError(file, line, text, f"`{option}` is too large a regular expression")
                )

    def dates(self) -> Dates:
        made: list[dates.Template] = []
        written = list(self.lines("datepattern"))
        for file, line, text in written:
            try:
                made += dates.templates([text])
            except ValueError as err:
                self.errors.append(FilterError(file, line, text, str(err)))
        return Dates(made or dates.templates([]))

    def one(self, option: str, default: str) -> str:
        return next((text for _, _, text in self.lines(option)), default)

    def wrong(self, option: str, message: str) -> None:
        self.errors += [FilterError(file, line, text, message) for file, line, text in self.lines(option)]

    def lines(self, option: str) -> Iterable[tuple[str, int, str]]:
        """An option's lines as they come out in the end: (file, line number, text), empty ones left out."""
        try:
            found = list(self._lines(option))
        except FilterErrors as err:
            self.errors += err.errors
            return []
        return found

    def _lines(self, option: str) -> Iterator[tuple[str, int, str]]:
        if option in self.given:
            written = [("", 0, self.given[option])]
        else:
            section = "Init" if self.ini.own("Init", option) else "Definition"
            value = self.ini.get(section, option)
            raw = ini.interpolated(self.ini, section, option, self.given)
            if value is None or raw is None:
                return
            written = [(value.file, number, text) for number, text in raw]
        for file, number, text in written:
            try:
                whole = tags.substituted(text, self.meaning)
            except ValueError as err:
                raise FilterErrors([FilterError(file, number, text, str(err))]) from err
            yield from ((file, number, line.strip()) for line in whole.split("\n") if line.strip())

    def meaning(self, tag: str) -> str | None:
        """What `<tag>` stands for: the jail's option, [Init]'s, [Definition]'s, [DEFAULT]'s, `section/option`."""
        tag = tag.lower() if tag.lower() in self.given else tag
        if tag in self.given:
            return self.given[tag]
        section, slash, option = tag.rpartition("/")
        option = option.lower()
        if slash and section == "known":
            section = "Init" if self.ini.own("Init", option) else "Definition"
        elif slash:
            section = next(
                (title for title in self.ini.sections if title.lower() == section.lower()), section
            )
        else:
            section = "Init" if self.ini.own("Init", option) else "Definition"
        if (
            option == "logtype"
            and not self.ini.own("Definition", option)
            and not self.ini.own("Init", option)
        ):
            return "file"  # a container's messages are written as to a file, whatever a common.conf prefers
        lines = ini.interpolated(self.ini, section, option, self.given)
        return None if lines is None else "\n".join(text for _, text in lines)


def _nested(option: str) -> re.Pattern[str]:
    return re.compile(rf"<([^<>]*)<{re.escape(option)}>([^<>]*)>", re.IGNORECASE)
