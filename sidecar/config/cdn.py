"""The networks of CDNs and of monitoring services: dated lists in the package, and optional files of the operator.

A ban of an address from which a CDN fetches pages would block everyone who comes through it, so all of them are on the
allowlist by default. Monitoring services are on it where they are named.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

from sidecar.config.errors import CAPLESS, DIRECTORY, ConfigError, ConfigErrors, unknown
from sidecar.config.units import words
from sidecar.core.address import parse_network
from sidecar.core.allowlist_bounds import WIDEST_PREFIX, is_too_wide
from sidecar.core.containers import FALSE_WORDS, TRUE_WORDS

BUNDLED_FILE: Final = Path(__file__).with_name("cdn.conf")
MONITORING_FILE: Final = Path(__file__).with_name("monitoring.conf")
ALL, NONE = "all", "none"
SECTION: Final = re.compile(r"\[([a-z0-9][a-z0-9.-]{0,31})\]")
KEYS: Final = ("as-of", "source", "all")


@dataclass(frozen=True, slots=True)
class Cdn:
    """The networks from which one CDN fetches pages, or one monitoring service."""

    name: str
    # The day of the list.
    as_of: date
    source: str = ""
    # In canonical form.
    networks: tuple[str, ...] = ()
    # Whether `all` includes it.
    in_all: bool = True


def load(file: Path | None = None, bundled_file: Path = BUNDLED_FILE) -> dict[str, Cdn]:
    """Return name -> CDN: the bundled list, and over it what the operator's file has. Raises ConfigErrors."""
    return read(bundled_file) | (read(file) if file else {})


@lru_cache(maxsize=1)
def bundled() -> tuple[Cdn, ...]:
    """Return the CDNs of the bundled list that are allowlisted by default."""
    return select((ALL,), load())


def parse_names(text: str) -> tuple[str, ...]:
    """Return the names in a list, `all` among them; empty for `none`. `select` checks that they exist."""
    names = tuple(dict.fromkeys(word.lower() for word in words(text)))
    if not names or (len(names) > 1 and NONE in names):
        raise ValueError(f'expected all, none or names such as cloudflare, fastly; got "{text}"')
    return () if names == (NONE,) else names


def parse_monitors(text: str) -> tuple[str, ...]:
    """Return the names of monitoring services in a list; empty for `none`."""
    names = tuple(dict.fromkeys(word.lower() for word in words(text)))
    if not names or ALL in names or (len(names) > 1 and NONE in names):
        raise ValueError(f'expected none or names such as uptimerobot, pingdom; got "{text}"')
    return () if names == (NONE,) else names


def select(names: Iterable[str], known: Mapping[str, Cdn]) -> tuple[Cdn, ...]:
    """Return those with these names; `all` are those that a list does not leave out. Raises ValueError."""
    names = tuple(names)
    if missing := [name for name in names if name not in known and name != ALL]:
        sentences = "; ".join(f'"{name}": {unknown(name, known)}' for name in missing)
        raise ValueError(f"{sentences}; there are {', '.join(known)}")
    return tuple(each for each in known.values() if each.name in names or (ALL in names and each.in_all))


def read(file: Path) -> dict[str, Cdn]:
    """Return name -> CDN as this file has them. Raises ConfigErrors with everything that is wrong in it."""
    try:
        text = file.read_text("utf-8")
    except IsADirectoryError:
        raise ConfigErrors([ConfigError(str(file), "", "", DIRECTORY)]) from None
    except UnicodeDecodeError as err:
        sentence = f"is not UTF-8 text (byte {err.start}); save it as UTF-8"
        raise ConfigErrors([ConfigError(str(file), "", "", sentence)]) from None
    except OSError as err:
        why = CAPLESS if isinstance(err, PermissionError) else err.strerror
        raise ConfigErrors([ConfigError(str(file), "", "", f"cannot be read; {why}")]) from None
    return _CdnFile(str(file)).read(text)


@dataclass(slots=True)
class _Section:
    """A section as it stands in the file."""

    line: int
    keys: dict[str, str]
    networks: list[str]


class _CdnFile:
    """One reading of one file; after an error it goes on, to find the next."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._errors: list[ConfigError] = []
        self._sections: dict[str, _Section] = {}

    def read(self, text: str) -> dict[str, Cdn]:
        name = ""
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if not line or line.startswith("#"):
                continue
            if found := SECTION.fullmatch(line):
                name = found[1]
                self._open(number, name)
            elif not name:
                self._error(number, "", "", "expected [name] first, in small letters")
            else:
                self._add(number, name, line)
        cdns = [self._cdn(name, section) for name, section in self._sections.items()]
        if self._errors:
            raise ConfigErrors(self._errors)
        return {cdn.name: cdn for cdn in cdns if cdn}

    def _open(self, number: int, name: str) -> None:
        if name in self._sections or name in (ALL, NONE):
            self._error(number, name, "", "this name is taken")
        self._sections.setdefault(name, _Section(number, {}, []))

    def _add(self, number: int, name: str, line: str) -> None:
        """Add a line, `key = value` or a network, to the section."""
        key, equals, value = (part.strip() for part in line.partition("="))
        if not equals:
            for text in line.split():
                self._add_network(number, name, text)
            return
        if key not in KEYS:
            self._error(number, name, key, unknown(key, KEYS))
        self._sections[name].keys[key] = value

    def _add_network(self, number: int, name: str, line: str) -> None:
        net = parse_network(line)
        if net is None or str(net) not in (line, f"{line}/{net.prefixlen}"):
            self._error(number, name, "", f'expected a network such as 192.0.2.0/24, got "{line}"')
        elif is_too_wide(net.version, net.prefixlen):
            widest = f"the widest is /{WIDEST_PREFIX[net.version]}"
            self._error(number, name, "", f"{line} is too wide: nobody in it could be banned; {widest}")
        else:
            self._sections[name].networks.append(str(net))

    def _cdn(self, name: str, section: _Section) -> Cdn | None:
        day = section.keys.get("as-of", "")
        try:
            as_of = date.fromisoformat(day)
        except ValueError:
            sentence = f'expected the day of the list such as 2026-11-22, got "{day}"'
            self._error(section.line, name, "as-of", sentence)
            return None
        in_all = section.keys.get("all", "yes").lower()
        if in_all not in TRUE_WORDS | FALSE_WORDS:
            self._error(section.line, name, "all", f'expected yes or no, got "{in_all}"')
        networks = tuple(section.networks)
        return Cdn(name, as_of, section.keys.get("source", ""), networks, in_all in TRUE_WORDS)

    def _error(self, number: int, section: str, key: str, sentence: str) -> None:
        self._errors.append(ConfigError(self._file, section, key, sentence, number))
