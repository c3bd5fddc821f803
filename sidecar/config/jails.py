# ruff: noqa: PTH112, PTH113, PTH207 - pathlib's own raise where a folder may not be looked into
"""The jails file, in fail2ban's dialect -> jails and their filters, or every mistake at once."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from os.path import isdir, isfile
from pathlib import Path
from typing import Any, Literal, TypeVar

from sidecar.config.cdn import chosen
from sidecar.config.errors import CAPLESS, DIRECTORY, ConfigError, ConfigErrors, unknown
from sidecar.config.units import (
    duration,
    number,
    ports,
    proxied,
    rate,
    retries,
    share,
    spared,
    truth,
    whole,
    wide,
    words,
)  # fmt: skip
from sidecar.core import bantime_formula
from sidecar.core.ban_history import AGE
from sidecar.core.escalation import Escalation
from sidecar.core.jail import WEB, Jail
from sidecar.filters.ini import FilterError, FilterErrors, Ini, Value, interpolated
from sidecar.filters.loader import Filter, load
from sidecar.filters.redos import redos_prone, redos_prone_dates

T = TypeVar("T")
D = TypeVar("D")

UNWRITTEN = ("wordpress", "wordpress-access", "wordpress-auth")  # the jails of a machine without a jails file
MAXRETRY = {"wordpress": 3, "wordpress-auth": 3}  # plugins are exact; an access log also shows other things
RESERVED = ("manual", "DEFAULT", "INCLUDES", "Definition", "Init", "KNOWN")  # `manual` holds the bans by hand
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # it becomes a metric's label and a word in messages

ESCALATION: dict[str, Callable[[str], Any]] = {  # `bantime.` and this -> how it is read
    "factor": number,
    "multipliers": lambda text: tuple(number(word) for word in words(text)),
    "formula": bantime_formula.parse,
    "maxtime": duration,
    "rndtime": lambda text: 0.0 if text.strip() == "0" else duration(text),
    "overalljails": truth,
}
OURS = (
    "enabled",
    "filter",
    "logpath",
    "containers",
    "port",
    "maxretry",
    "findtime",
    "bantime",
    "ignoreip",
    "trusted_proxies",
    "mode",
    "window",
    "bangroup",
    "success",
    *(f"bantime.{key}" for key in ("increment", *ESCALATION)),
)
FILTERS = (
    "failregex",
    "ignoreregex",
    "prefregex",
    "datepattern",
    "maxlines",
    "logtype",
    "usedns",
)  # over the filter's own
GLOBAL = ("ban_private", "allow_cdn", "banbudget", "banshare", "dbpurgeage")
IGNORED = (
    "action", "backend", "banaction", "banaction_allports", "blocktype", "chain", "destemail",
    "fail2ban_agent", "ignorecache", "ignorecommand", "ignoreself", "journalmatch", "logencoding",
    "logtimezone", "maxmatches", "mta", "protocol", "sender", "sendername", "skip_if_nologs",
    "systemd_if_nologs",
    # fail2ban.conf's own, which people also write into their jails
    "allowipv6", "dbfile", "dbmaxmatches", "loglevel", "logtarget", "pidfile", "socket", "stacksize", "syslogsocket",
)  # fmt: skip
KNOWN = frozenset((*OURS, *FILTERS, *GLOBAL, *IGNORED))
OBSERVE, ENFORCE = "observe", "enforce"
ALMOST = (
    0.7  # how alike a word is to one of these that was meant: `observed` is 0.93, of fail2ban's own none 0.6
)
# A pasted jail.conf gives `mode = normal` to every filter, and few have modes.
NO_MATTER = ("mode=normal", "logtype=", "success=")
VARIABLE = re.compile(r"%\(([^)/]+)\)s")
# `bantime = 1h  # an hour`: fail2ban takes that in durations, and in the others nobody means it. An expression may.
EXPRESSIONS = ("failregex", "ignoreregex", "prefregex", "datepattern")
NAMELESS = (
    "; fail2ban has such names in its paths-*.conf: include that, or leave logpath out to look at containers"
)
REMARK = re.compile(r"(?:^|[ \t]+)#.*", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Jails:
    """What a jails file says."""

    jails: tuple[Jail, ...]
    filters: dict[str, Filter]  # by jail name
    ban_private: bool = False
    notes: tuple[str, ...] = ()  # not wrong, and perhaps not what was meant
    errors: tuple[ConfigError, ...] = ()  # of jails that are left out for them
    trusted_proxies: tuple[str, ...] = ()  # networks, canonical: of [DEFAULT] and of every jail
    allow_cdn: tuple[str, ...] | None = None  # names of CDNs; None, here and below: not written
    banbudget: tuple[float, float] | None = None  # bans, seconds
    banshare: float | None = None  # of the clients seen
    dbpurgeage: float = AGE  # seconds after its end that a ban is remembered


def read(path: Path | None, where: Sequence[Path], *, look: bool = True) -> Jails:
    """The enabled jails of this file; with None, or a file without stanzas, those that need none.

    Filters are looked for in `where`, in its order; with `look`, log files where they are said to be. A jail with a
    mistake of its own is left out. Raises Mistakes where one concerns all, or no jail is sound.
    """
    if path and isdir(path):
        raise ConfigErrors([ConfigError(str(path), "", "", DIRECTORY)])
    ini, files = Ini(), _layers(path) if path else []
    for file in files:
        ini.add(file, _beside)
    return _Reader(ini, path, files, where, look=look).read()


class _Reader:
    """One reading of one file; it goes on after a mistake to find the next."""

    def __init__(
        self, ini: Ini, path: Path | None, files: Iterable[Path], where: Sequence[Path], *, look: bool
    ) -> None:
        self._ini, self._file, self._where, self._look = ini, str(path or "no jails file"), where, look
        self._files = frozenset(map(str, files))  # without what they include
        self._mistakes = [ConfigError(m.file, "", "", _quoted(m.message, m.text), m.line) for m in ini.errors]
        self._notes: list[str] = []
        self._loaded: dict[tuple[str, ...], Filter] = {}

    def read(self) -> Jails:
        stanzas = [name for name in self._ini.sections if name != "DEFAULT"]
        unwritten = () if self._mistakes else UNWRITTEN  # a file that cannot be read may have had stanzas
        names = [name for name in stanzas or unwritten if self._read(name, "enabled", truth, default=True)]
        if not names and not self._mistakes:
            self._wrong("", "", "no jail is enabled; enable one, or remove the file to get the defaults")
        self._keys("DEFAULT")
        everywhere: dict[str, Any] = {
            "ban_private": self._read("DEFAULT", "ban_private", truth, default=False),
            "allow_cdn": self._read("DEFAULT", "allow_cdn", chosen, None),
            "banbudget": self._read("DEFAULT", "banbudget", rate, None),
            "banshare": self._read("DEFAULT", "banshare", share, None),
            "dbpurgeage": self._read("DEFAULT", "dbpurgeage", duration, AGE),
        }
        proxies = self._read("DEFAULT", "trusted_proxies", proxied, ())
        common = len(self._mistakes)  # of all jails, not of one
        sound: dict[Jail, Filter] = {}
        for name in names:
            before = len(self._mistakes)
            self._keys(name)
            jail = self._jail(name)
            proxies += self._read(name, "trusted_proxies", proxied, ())
            rules = self._filter(jail)
            if rules and len(self._mistakes) == before:
                sound[jail] = rules
        errors = tuple(dict.fromkeys(self._mistakes))
        if common or not sound:
            raise ConfigErrors(errors)
        filters = {jail.name: rules for jail, rules in sound.items()}
        return Jails(
            tuple(sound), filters, notes=tuple(dict.fromkeys(self._notes)), errors=errors,
            trusted_proxies=tuple(dict.fromkeys(proxies)), **everywhere,
        )  # fmt: skip

    def _jail(self, name: str) -> Jail:
        if name.lower() == "default":
            self._wrong(name, "", "what holds for all jails stands in [DEFAULT], in capitals")
        if not NAME.fullmatch(name) or name in RESERVED:
            self._wrong(name, "", "no name for a jail; use letters, digits, `-`, `_`, and no word of ours")
        logpath = self._read(name, "logpath", _paths, ())
        spares, names = self._read(name, "ignoreip", spared, ((), ()))
        for net in wide(spares):
            self._note(name, "ignoreip", f"nobody in {net} is ever banned")
        return Jail(
            name,
            filter=self._read(name, "filter", _one, name),
            maxretry=self._read(name, "maxretry", retries, MAXRETRY.get(name, 5)),
            findtime=self._read(name, "findtime", duration, 10_800.0),
            bantime=self._read(name, "bantime", lambda text: duration(text, for_good=True), 86_400.0),
            ports=self._read(name, "port", ports, WEB),
            logpath=logpath,
            absent=self._absent(name, logpath),
            containers=self._read(name, "containers", lambda text: tuple(words(text)), ()),
            ignoreip=spares,
            ignore_names=names,
            window=self._read(name, "window", _window, "sliding"),
            observe=self._observes(name),
            escalation=self._escalation(name),
            bangroup=self._read(name, "bangroup", lambda text: whole(text, least=0), 0),
            resets=self._read(name, "success", _success, default=False),
        )

    def _observes(self, name: str) -> bool:
        """`mode` is the filter's word as well; ours are `observe` and `enforce`."""
        word = self._read(name, "mode", str.strip, "").lower()
        if word not in (OBSERVE, ENFORCE) and get_close_matches(word, (OBSERVE, ENFORCE), cutoff=ALMOST):
            self._wrong(name, "mode", f'"{word}": {unknown(word, (OBSERVE, ENFORCE))}')
        return word == OBSERVE

    def _escalation(self, name: str) -> Escalation | None:
        """`bantime.increment` and what belongs to it."""
        given = {
            key: self._read(name, f"bantime.{key}", _if_any(parse), None) for key, parse in ESCALATION.items()
        }
        if not self._read(name, "bantime.increment", truth, default=False):
            return None
        if given["multipliers"] and given["formula"]:
            self._note(
                name, "bantime.formula", "is not used: bantime.multipliers go before it, as in fail2ban"
            )
        return Escalation(**{key: value for key, value in given.items() if value is not None})

    def _filter(self, jail: Jail) -> Filter | None:
        written = {key: self._read(jail.name, key, str.strip, "") for key in FILTERS}
        options = self._mode(jail.name, jail.filter) | {key: text for key, text in written.items() if text}
        if jail.resets:
            options["success"] = "reset"
        key = (jail.filter, *options, *options.values())
        try:
            rules = self._loaded.get(key) or self._loaded.setdefault(
                key, load(jail.filter, self._where, options)
            )
        except FilterErrors as err:
            for error in err.errors:
                self._bad_filter(jail, error, written)
            return None
        for option in rules.unused:
            if not option.startswith(NO_MATTER):
                self._note(jail.name, "filter", f"{rules.name} knows no `{option}`, so that changes nothing")
        if jail.resets and not rules.reports_success:
            self._note(jail.name, "success", f"has no effect: filter {rules.name} has no successregex")
        for text in redos_prone_dates(rules):
            self._wrong(
                jail.name,
                "datepattern",
                f"may take for ever on some lines: {text}; say more exactly where a date is",
            )
        for rule, slow in redos_prone(rules):
            when = f"lines over {slow.safe_length} characters" if slow.safe_length else "some lines"
            self._notes.append(
                f"{rule.file}:{rule.line}: may take for ever on {when}, so those are tried in a process of their own"
                f" first: {rule.text}"
            )
        return rules

    def _mode(self, name: str, wanted: str) -> dict[str, str]:
        """The filter's `mode`, unless the word is one of ours, or `name[mode=...]` says it more closely."""
        mode = self._read(name, "mode", str.strip, "")
        return (
            {"mode": mode}
            if mode and mode.lower() not in (OBSERVE, ENFORCE) and "mode=" not in wanted
            else {}
        )

    def _bad_filter(self, jail: Jail, error: FilterError, written: Mapping[str, str]) -> None:
        sentence = _quoted(error.message, error.text)
        if isfile(error.file):
            sentence = f"{sentence}, for jail {jail.name}"
            self._mistakes.append(ConfigError(error.file, "", "", sentence, error.line))
        else:  # it is about the jail's own words: the name, or an option that goes over the filter's
            said = (key for key, text in written.items() if error.text and error.text in text)
            self._wrong(jail.name, next(said, "filter"), sentence)

    def _absent(self, name: str, logpath: Sequence[str]) -> bool:
        """Is none of them there? What is there and cannot be read is a mistake: it would protect nobody."""
        if not self._look or not logpath:
            return False
        found = {path: glob.glob(path) for path in logpath}
        for path in (path for paths in found.values() for path in paths):
            if isdir(path):
                self._wrong(name, "logpath", f"{path} is a directory; name the file")
            elif not os.access(path, os.R_OK):
                self._wrong(name, "logpath", f"{path} cannot be read; {CAPLESS}")
        absent = not any(found.values())
        too = absent and not self._ini.get(name, "containers")
        instead = "; this jail looks at the discovered containers too" if too else ""
        for path in (path for path, paths in found.items() if not paths):
            self._note(name, "logpath", f"{path} is not here (yet), and is followed once it is{instead}")
        return absent

    def _keys(self, name: str) -> None:
        """Every key that stands in a section is known, or something that other values are made of."""
        section = self._ini.sections.get(name, {})
        made_of = {word.lower() for value in self._values() for word in VARIABLE.findall(value.text)}
        for key, value in section.items():
            if name == "DEFAULT" and value.file not in self._files:
                continue  # as in fail2ban's paths-*.conf: for whoever makes something of it
            if key in GLOBAL and name != "DEFAULT":
                self._wrong(name, key, "holds for all jails; move it to [DEFAULT]")
            elif key not in KNOWN | made_of and not key.startswith("action_"):
                self._wrong(name, key, unknown(key, KNOWN))
        if ignored := sorted(key for key in section if key in IGNORED):
            self._note(name, "", f"has no meaning here and is ignored: {', '.join(ignored)}")

    def _values(self) -> Iterable[Value]:
        return (value for section in self._ini.sections.values() for value in section.values())

    def _read(self, section: str, key: str, parse: Callable[[str], T], default: D) -> T | D:
        """The value of a key in this section or [DEFAULT]; the default where it is not written, or wrong."""
        try:
            lines = interpolated(self._ini, section, key, self._known(section, key))
            if lines is None:
                return default
            text = "\n".join(text for _, text in lines)
            return parse(text if key in EXPRESSIONS else REMARK.sub("", text))
        except FilterErrors as err:
            also = NAMELESS if key == "logpath" else ""
            self._wrong(section, key, "; ".join(_quoted(m.message, m.text) for m in err.errors) + also)
        except ValueError as err:
            self._wrong(section, key, str(err))
        return default

    def _known(self, name: str, key: str) -> dict[str, str]:
        """What `%(known/failregex)s` stands for in a jail: what its filter says. Raises FilterMistakes."""
        value = self._ini.own(name, key)
        below = value and value.before  # a file that this one goes over has it, and that is what is meant
        if key not in EXPRESSIONS[:2] or not value or below or f"%(known/{key})s" not in value.text.lower():
            return {}
        wanted = self._read(name, "filter", _one, name)
        rules = load(wanted, self._where, self._mode(name, wanted))
        told = rules.failregex if key == "failregex" else rules.ignoreregex
        return {f"known/{key}": "\n".join(rule.text for rule in told)}

    def _wrong(self, section: str, key: str, sentence: str) -> None:
        value = self._ini.get(section, key)
        written = "DEFAULT" if value and not self._ini.own(section, key) else section
        if not value:  # it is about the section, and that is where this is
            value = next(iter(self._ini.sections.get(section, {}).values()), None)
        file, line = (value.file, value.lines[0][0]) if value else (self._file, 0)
        self._mistakes.append(ConfigError(file, written, key, sentence, line))

    def _note(self, section: str, key: str, sentence: str) -> None:
        place = f"{section}.{key}" if key else f"[{section}]"
        self._notes.append(f"{self._file}: {place}: {sentence}")


def _layers(path: Path) -> list[Path]:
    """fail2ban's order: the file, `X.d/*.conf`, `X.local`, `X.d/*.local`; later ones win."""
    beside = path.with_suffix(".d")
    local = [path.with_suffix(".local")] if isfile(path.with_suffix(".local")) else []
    return [path, *sorted(beside.glob("*.conf")), *local, *sorted(beside.glob("*.local"))]


def _beside(including: Path, name: str) -> Path | None:
    path = including.parent / name
    return path if isfile(path) else None


def _quoted(message: str, text: str) -> str:
    return f"{message} ({text})" if text else message


def _one(text: str) -> str:
    if not text.strip() or "\n" in text.strip():
        raise ValueError("expected one filter: its name, a path, or name[option=value]")
    return text.strip()


def _window(text: str) -> Literal["sliding", "fail2ban"]:
    match text.strip().lower():
        case "sliding":
            return "sliding"
        case "fail2ban":
            return "fail2ban"
    raise ValueError(f'expected sliding (a true window) or fail2ban (its estimate), got "{text}"')


def _success(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("reset", "ignore"):
        raise ValueError(f'expected reset (a login that works forgives failures) or ignore, got "{text}"')
    return word == "reset"


def _if_any(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """Where nothing stands behind the `=`, as in fail2ban's own jail.conf, nothing was said."""
    return lambda text: parse(text) if text.strip() else None


def _paths(text: str) -> tuple[str, ...]:
    """One path a line, each perhaps followed by fail2ban's `head` or `tail`."""
    paths = tuple(
        re.sub(r"\s+(?:head|tail)$", "", line.strip()) for line in text.splitlines() if line.strip()
    )
    for path in paths:
        if not path.startswith("/"):
            raise ValueError(f"expected a path that starts with /, got {path}")
        if re.search(r"[\s,]/", path):
            raise ValueError(f"expected one path a line, got {path}")
    return paths
