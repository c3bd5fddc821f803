"""fail2ban's filter files -> a frozen Filter, or every error with its place.

A filter is looked for in the user's folders, then in our own pack. What it includes is looked for beside it, then in
the pack, so a filter that brings no `common.conf` of its own is read with ours.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sidecar.core.text import closest_match
from sidecar.filters import dates, tags
from sidecar.filters.aliases import ours
from sidecar.filters.dates import Dates
from sidecar.filters.ini import FilterError, FilterErrors, Ini
from sidecar.filters.options import OptionLine, Options

# It compiles the expressions of all formats: 0.08 s of each `healthcheck`, which reads the settings.
if TYPE_CHECKING:
    from sidecar.access.reader import Reading

__all__ = ["Filter", "FilterError", "FilterErrors", "Rule", "load", "pack"]

# A failregex has to capture the address in one of these groups; the first that it has counts.
ADDRESS_GROUPS: Final = ("fid", "ip4", "ip6", "dns")
USEDNS: Final = ("no", "warn", "yes", "raw")
# What a filter matches: lines as they are, or the requests of access logs (docs/filters.md).
REQUESTS: Final = "requests"
REQUESTS_WITH_USER: Final = "requests with user"
INPUTS: Final = ("lines", REQUESTS, REQUESTS_WITH_USER)
# An empty group marks a successregex.
_SUCCESS_GROUP: Final = "(?P<success>)"
# Filters that an error message names; fail2ban alone brings 90.
MAX_NAMED_FILTERS: Final = 10

# People write `[[]client` for a bracket, and it is one. Python's warning about it would name our lines, not theirs.
warnings.filterwarnings("ignore", "Possible (?:nested )?set", FutureWarning)


@dataclass(frozen=True, slots=True)
class Rule:
    """One regular expression of a filter: as written, compiled, and with its place."""

    text: str
    regex: re.Pattern[str]
    file: str
    line: int


# What begins an expression that takes the client of a request, and what would look at it again: another tag of an
# address, a reference to a group, or a look back.
_CLIENT: Final = "^<ADDR> "
_ADDRESS_AGAIN: Final = re.compile(
    r"<(?:ADDR|HOST|IP4|IP6|DNS|CIDR|SUBNET|F-ID|F-ALT)|\(\?P=|\(\?\(|\(\?<[=!]|\\[1-9]"
)


def _takes_address_first(expression: str) -> bool:
    return expression.startswith(_CLIENT) and not _ADDRESS_AGAIN.search(expression, len(_CLIENT))


@dataclass(frozen=True, slots=True, eq=False)
class Filter:
    """Which lines are failures, and which address they count against.

    `usedns` is one of USEDNS, `input` one of INPUTS, `maxlines` is how many lines are looked at together, `files` are
    all that were read.
    `unused` are options that had no effect, for people. `zone` is the one of dates that name none (`logtimezone`; None:
    not set).
    """

    name: str
    failregex: tuple[Rule, ...]
    ignoreregex: tuple[Rule, ...] = ()
    prefregex: Rule | None = None
    dates: Dates = field(default_factory=lambda: Dates(dates.templates([])))
    usedns: str = "no"
    maxlines: int = 1
    files: tuple[Path, ...] = ()
    unused: tuple[str, ...] = ()
    input: str = "lines"
    zone: tzinfo | None = None

    @property
    def reads_requests(self) -> bool:
        """Whether it matches the canonical line of a request instead of the log's own line."""
        return self.input in {REQUESTS, REQUESTS_WITH_USER}

    def line_of(self, reading: Reading) -> str:
        """Return the line of a request that this filter matches."""
        return reading.with_user if self.input == REQUESTS_WITH_USER else reading.canonical

    @property
    def ignores_address(self) -> bool:
        """Whether its expressions only take the address at the line's begin, so that it changes no verdict."""
        return all(_takes_address_first(rule.text) for rule in self.failregex)

    @property
    def resolves_names(self) -> bool:
        """Whether names are looked up. With `raw` they only match."""
        return self.usedns in {"yes", "warn"}

    @property
    def needs_earlier_lines(self) -> bool:
        """Whether a verdict depends on the lines before."""
        rules = (*self.failregex, *([self.prefregex] if self.prefregex else []))
        return self.maxlines > 1 or any("mlfid" in rule.regex.groupindex for rule in rules)

    @property
    def reports_success(self) -> bool:
        """Whether logins that worked are found, too. They are only if `success = reset` asks for it."""
        return any("success" in rule.regex.groupindex for rule in self.failregex)

    @property
    def ignores_first(self) -> bool:
        """Whether `ignoreregex` is asked before `failregex`; as in fail2ban, if there are clearly fewer of them."""
        return len(self.ignoreregex) < len(self.failregex) - 2

    def same_as(self, other: Filter) -> bool:
        """Return whether both have the same verdict on every line."""
        return self._key() == other._key()

    def _key(self) -> tuple[object, ...]:
        templates = tuple(template.text for template in self.dates.templates)
        expressions = (self.failregex, self.ignoreregex, self.prefregex, templates)
        return self.name, *expressions, self.usedns, self.maxlines, self.input, self.zone


def equivalent(some: Mapping[str, Filter], others: Mapping[str, Filter]) -> bool:
    """Return whether both, by jail, have the same verdicts on every line."""
    return some.keys() == others.keys() and all(one.same_as(others[name]) for name, one in some.items())


def pack() -> Path:
    """Return the folder of our own filters: inside the installed package, or the checkout's `filters/`."""
    package = Path(__file__).parent.parent
    installed, checkout = package / "pack", package.parent / "filters"
    return next((path for path in (installed, checkout) if path.is_dir()), installed)


def load(name: str, where: Sequence[Path] = (), options: Mapping[str, str] | None = None) -> Filter:
    """Return the filter of this name, of `name[option=value]`, or at the path of a `.conf`.

    `options` go over those in brackets. Raises FilterErrors with all that is wrong.
    """
    try:
        wanted, written = tags.reference(name)
    except ValueError as err:
        raise FilterErrors([FilterError(name, 0, "", str(err))]) from err
    ini = Ini()
    for path in _files(wanted, [*where, pack()]):
        ini.add(path, _beside_or_ours)
    # As in fail2ban, a filter that says something twice is wrong.
    if errors := [*ini.errors, *(error for _, error in ini.repeated)]:
        raise FilterErrors(errors)
    given = {key.lower(): value for key, value in {**written, **(options or {})}.items()}
    return _Builder(Path(wanted).stem if _is_path(wanted) else wanted, Options(ini, given)).filter()


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith((".conf", ".local"))


def _files(name: str, folders: Sequence[Path]) -> Iterator[Path]:
    """Yield the files that make up a filter; later ones win."""
    wanted = name
    if _is_path(name):
        beside = "/" in name or Path(name).is_file()
        folders, name = [Path(name).parent] if beside else folders, Path(name).stem
    # A path may call a filter's own file anything.
    main = Path(wanted).name if _is_path(wanted) and Path(wanted).is_file() else f"{name}.conf"
    own = next((folder / main for folder in folders if (folder / main).is_file()), None)
    others = [
        sorted(path for folder in reversed(folders) for path in folder.glob(kind))
        for kind in (f"{name}.d/*.conf", f"{name}.local", f"{name}.d/*.local")
    ]
    local = others[1]
    if own is None and not local:
        raise FilterErrors([_unknown(name, folders)])
    if own:
        yield own
    for paths in others:
        yield from paths


def _unknown(name: str, folders: Sequence[Path]) -> FilterError:
    """Return the error for a filter that is in none of the folders."""
    stems = {path.stem for folder in folders for path in folder.glob("*.conf")}
    # Files of such a name are only included.
    known = sorted(stem for stem in stems if not stem.endswith("common"))
    close = closest_match(name, known)
    more = f" and {len(known) - MAX_NAMED_FILTERS} more" if len(known) > MAX_NAMED_FILTERS else ""
    there_are = (", ".join(known[:MAX_NAMED_FILTERS]) or "none") + more
    if mine := ours(name):
        hint = f"`{mine}` of ours counts such failures"
    elif close:
        hint = f"did you mean `{close}`?"
    else:
        hint = f"there are: {there_are}"
    if not close and len(folders) > 1:
        hint = f"{hint}; or copy its file into {folders[0]}"
    places = ", ".join(str(folder) for folder in folders)
    return FilterError(name, 0, "", f"there is no filter `{name}` in {places}; {hint}")


def _beside_or_ours(including: Path, name: str) -> Path | None:
    return next((path for path in (including.parent / name, pack() / name) if path.is_file()), None)


@dataclass(slots=True)
class _Builder:
    """Builds a filter from its options. Errors are collected, so that all are reported at once."""

    name: str
    options: Options
    errors: list[FilterError] = field(default_factory=list)
    flags: re.RegexFlag = re.NOFLAG

    def filter(self) -> Filter:
        usedns = self._single("usedns", "no").lower()
        if usedns not in USEDNS:
            self._wrong("usedns", f"`usedns` is one of {', '.join(USEDNS)}")
        reads = self._single("input", "lines").lower()
        if reads not in INPUTS:
            self._wrong("input", f"`input` is one of {', '.join(INPUTS)}")
        names = usedns != "no"
        maxlines = self._maxlines()
        self.flags = re.MULTILINE if maxlines > 1 else re.NOFLAG
        prefregex = next(iter(self._rules("prefregex", names=names)), None)
        failregex = self._failregex(prefregex, names=names)
        ignoreregex = tuple(self._rules("ignoreregex", names=names))
        found = self._dates()
        if self.errors:
            raise FilterErrors(self.errors)
        return Filter(
            self.name, failregex, ignoreregex, prefregex, found, usedns, maxlines, self.options.files,
            tuple(self.options.unused()), reads,
        )  # fmt: skip

    def _maxlines(self) -> int:
        text = self._single("maxlines", "1")
        if text.isdecimal() and int(text) >= 1:
            return int(text)
        self._wrong("maxlines", "`maxlines` is how many lines to look at together, a whole number from 1")
        return 1

    def _failregex(self, prefregex: Rule | None, *, names: bool) -> tuple[Rule, ...]:
        inherited = prefregex.regex.groupindex.keys() if prefregex else set()
        failregex = tuple(self._rules("failregex", names=names))
        # Behind the failregexes, as the first that matches wins.
        if self.options.given.get("success") == "reset":
            failregex += tuple(self._rules("successregex", names=names, suffix=_SUCCESS_GROUP))
        for rule in failregex:
            if not {*rule.regex.groupindex, *inherited}.intersection({*ADDRESS_GROUPS, "mlfid"}):
                message = "this names no address to ban: put <HOST> (or <ADDR>, <F-ID>) where the line has the address"
                self.errors.append(FilterError(rule.file, rule.line, rule.text, message))
        if not failregex and not self.errors:
            self.errors.append(self.options.missing_failregex(self.name))
        return failregex

    def _rules(self, option: str, *, names: bool, suffix: str = "") -> Iterator[Rule]:
        """Yield the option's regular expressions, the suffix put behind each."""
        for each in self._lines(option):
            try:
                regex = re.compile(tags.regex(each.text, names=names) + suffix, self.flags)
            except re.error as err:
                self.errors.append(each.error(f"`{option}` is not a valid regular expression: {err.msg}"))
            except (OverflowError, RecursionError):
                self.errors.append(each.error(f"`{option}` is too large a regular expression"))
            else:
                yield Rule(each.text, regex, each.file, each.line)

    def _dates(self) -> Dates:
        found: list[dates.Template] = []
        for each in self._lines("datepattern"):
            try:
                found += dates.templates([each.text])
            except ValueError as err:
                self.errors.append(each.error(str(err)))
        return Dates(found or dates.templates([]))

    def _single(self, option: str, default: str) -> str:
        return next((each.text for each in self._lines(option)), default)

    def _wrong(self, option: str, message: str) -> None:
        self.errors += [each.error(message) for each in self._lines(option)]

    def _lines(self, option: str) -> list[OptionLine]:
        try:
            return self.options.lines(option)
        except FilterErrors as err:
            self.errors += err.errors
            return []
