"""The CDNs' address ranges: a dated list that travels with the package, and the user's own beside it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path

from sidecar.config.errors import CAPLESS, DIRECTORY, ConfigError, ConfigErrors, unknown
from sidecar.config.units import WIDEST, words
from sidecar.core.address import parse_network

OURS = Path(__file__).with_name("cdn.conf")
ALL, NONE = "all", "none"


@dataclass(frozen=True, slots=True)
class Cdn:
    """From where one CDN fetches pages."""

    name: str
    as_of: date  # of the list
    source: str = ""
    networks: tuple[str, ...] = ()  # canonical


def load(file: Path | None = None) -> dict[str, Cdn]:
    """Name -> CDN: ours, and those of the user's file, which replace ours of the same name. Raises Mistakes."""
    return read(OURS) | (read(file) if file else {})


@lru_cache(maxsize=1)
def everyone() -> tuple[Cdn, ...]:
    """All of ours."""
    return tuple(load().values())


def chosen(text: str) -> tuple[str, ...]:
    """The names of a list; `all` alone, and nobody for `none`. Which there are, `select` knows."""
    names = tuple(dict.fromkeys(word.lower() for word in words(text)))
    if not names or (len(names) > 1 and {ALL, NONE} & set(names)):
        raise ValueError(f'expected all, none or names such as cloudflare, fastly; got "{text}"')
    return () if names == (NONE,) else names


def select(names: Iterable[str], known: Mapping[str, Cdn]) -> tuple[Cdn, ...]:
    """Those that are meant. Raises ValueError for a name that nobody has."""
    names = tuple(names)
    if names == (ALL,):
        return tuple(known.values())
    if strangers := [name for name in names if name not in known]:
        there = ", ".join(known)
        raise ValueError(
            "; ".join(f'"{name}": {unknown(name, known)}' for name in strangers) + f"; there are {there}"
        )
    return tuple(known[name] for name in names)


def read(file: Path) -> dict[str, Cdn]:
    """What this file says. Raises Mistakes, all of them."""
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
    return _Reader(str(file)).read(text)


class _Reader:
    """One reading of one file; it goes on after a mistake to find the next."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._mistakes: list[ConfigError] = []
        self._found: dict[str, tuple[int, dict[str, str], list[str]]] = {}  # name -> line, keys, networks

    def read(self, text: str) -> dict[str, Cdn]:
        name = ""
        for number, line in enumerate(map(str.strip, text.splitlines()), 1):
            if not line or line.startswith("#"):
                continue
            if found := re.fullmatch(r"\[([a-z0-9][a-z0-9.-]{0,31})\]", line):
                name = found[1]
                if name in self._found or name in (ALL, NONE):
                    self._wrong(number, name, "", "this name is taken")
                self._found.setdefault(name, (number, {}, []))
            elif not name:
                self._wrong(number, "", "", "expected [name] first, in small letters")
            else:
                self._within(number, name, line)
        cdns = [self._cdn(name, *found) for name, found in self._found.items()]
        if self._mistakes:
            raise ConfigErrors(self._mistakes)
        return {cdn.name: cdn for cdn in cdns if cdn}

    def _within(self, number: int, name: str, line: str) -> None:
        _, keys, networks = self._found[name]
        key, equals, value = (part.strip() for part in line.partition("="))
        if equals:
            if key not in ("as-of", "source"):
                self._wrong(number, name, key, unknown(key, ("as-of", "source")))
            keys[key] = value
            return
        net = parse_network(line)
        if net is None or str(net) not in (line, f"{line}/{net.prefixlen}"):
            self._wrong(number, name, "", f'expected a network such as 192.0.2.0/24, got "{line}"')
        elif net.prefixlen < WIDEST[net.version]:
            widest = f"/{WIDEST[net.version]}"
            self._wrong(
                number, name, "", f"{line} is too wide: nobody in it could be banned; the widest is {widest}"
            )
        else:
            networks.append(str(net))

    def _cdn(self, name: str, number: int, keys: Mapping[str, str], networks: list[str]) -> Cdn | None:
        try:
            as_of = date.fromisoformat(keys.get("as-of", ""))
        except ValueError:
            wanted = f'expected the day of the list such as 2026-11-22, got "{keys.get("as-of", "")}"'
            self._wrong(number, name, "as-of", wanted)
            return None
        return Cdn(name, as_of, keys.get("source", ""), tuple(networks))

    def _wrong(self, number: int, section: str, key: str, sentence: str) -> None:
        self._mistakes.append(ConfigError(self._file, section, key, sentence, number))
