"""What people write -> numbers: durations, ports, networks, yes and no. Grammars, never an `eval`.

Each raises ValueError with a sentence that says what was expected and what was found.
"""

from __future__ import annotations

import math
import re
import socket
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from sidecar.core.address import parse_network
from sidecar.core.containers import NO, YES

T = TypeVar("T")

DAY = 86_400
SECONDS = {
    "s": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3_600, "hr": 3_600, "hrs": 3_600, "hour": 3_600, "hours": 3_600,
    "d": DAY, "day": DAY, "days": DAY,
    "w": 7 * DAY, "week": 7 * DAY, "weeks": 7 * DAY,
    "mo": 2_629_800, "mon": 2_629_800, "month": 2_629_800, "months": 2_629_800,  # 30.4375 days, as fail2ban
    "y": 31_557_600, "year": 31_557_600, "years": 31_557_600,  # 365.25 days
}  # fmt: skip
NUMBER = r"\d{1,15}(?:\.\d{1,6})?"
PART = re.compile(rf"({NUMBER})\s*([a-z]+)\s*", re.ASCII)

# What a slim image may lack an /etc/services for.
PORTS = {
    "ftp": 21, "ssh": 22, "smtp": 25, "http": 80, "pop3": 110, "imap": 143, "imap2": 143, "https": 443,
    "smtps": 465, "submissions": 465, "submission": 587, "ftps": 990, "imaps": 993, "pop3s": 995,
    "http-alt": 8080,
}  # fmt: skip
PROTOCOL = re.compile(r"/(?:tcp|udp)$", re.IGNORECASE)
QUOTED = re.compile(r"""(["'])(.*?)\1""", re.DOTALL)
ALL = range(1, 65_536)  # a range: as a set it would weigh 4 MB

WIDEST = {
    4: 8,
    6: 16,
}  # IP version -> the shortest prefix of a network that is never banned on someone's word
LISTED = 10_000  # in a file of those who are never banned: whenever networks change, 0.3 s of the loop's time
RETRIES = 10_000  # failures: each more that somebody makes walks over those before, and 20,000 take 0.1 ms
LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last part is letters: so it is never an address that was mistyped.
HOST = re.compile(rf"(?:{LABEL}\.)+(?:[a-z]{{2,63}}|xn--[a-z0-9-]{{1,59}})", re.ASCII)


def duration(text: str, *, for_good: bool = False) -> float:
    """Seconds, more than none: `600`, `10m`, `1d12h`, `1.5 hours`; with `for_good`, `-1` is `math.inf`."""
    text = text.strip().lower()
    if for_good and text == "-1":
        return math.inf
    wanted = "expected a duration such as 600, 10m, 1d12h" + (" or -1 (for good)" if for_good else "")
    written = f"{text}s" if re.fullmatch(NUMBER, text, re.ASCII) else text
    if not re.fullmatch(f"(?:{PART.pattern})+", written, re.ASCII):
        raise ValueError(f'{wanted}, got "{text}"')
    seconds = Decimal(0)
    for number, unit in PART.findall(written):
        if unit not in SECONDS:
            raise ValueError(f'{wanted}; "{unit}" is no unit (s, m, h, d, w, mo, y are)')
        seconds += Decimal(number) * SECONDS[unit]
    if not seconds:
        raise ValueError(f'{wanted}; "{text}" is no time at all')
    return float(seconds)


def ports(text: str) -> frozenset[int] | None:
    """The ports of a list of names, numbers and ranges (`8000:8010`); None for `all` and `0:65535`.

    A protocol (`443/udp`) changes nothing, as a ban closes a port for both TCP and UDP; nor do quotes (`"80,443"`).
    """
    found = frozenset(port for some in _each(QUOTED.sub(r"\2", text), _ports) for port in some)
    if not found:
        raise ValueError("expected ports such as http,https or 8000:8010, got nothing; all ports are: all")
    return None if len(found) == len(ALL) else found


def networks(text: str) -> tuple[str, ...]:
    """The networks of a list, canonical: host bits masked, a lone address as it is."""
    return tuple(_each(text, _network))


def spared(text: str, *, files: bool = True) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Whom an `ignoreip` means: networks, canonical, and host names, in small letters.

    With `files`, `file:PATH` is what that file holds. Not for what others than the owner wrote: mistakes quote it.
    """
    found = _each(text, _spared if files else _named)
    names = {name for _, some in found for name in some}
    return tuple(net for nets, _ in found for net in nets), tuple(sorted(names))


def proxied(text: str) -> tuple[str, ...]:
    """Networks of proxies, canonical; none so wide that it must be a slip, for nobody in it is ever banned."""
    found = networks(text)
    for net in wide(found):
        raise ValueError(
            f"{net} is too wide for proxies: nobody in it could be banned; name them more closely"
        )
    return found


def rate(text: str) -> tuple[float, float]:
    """So many in so many seconds: `30000/1m`; `off` is `math.inf` of them."""
    if text.strip().lower() == "off":
        return math.inf, 60.0
    most, slash, per = text.partition("/")
    if not slash:
        raise ValueError(f'expected a number and a duration such as 30000/1m, or off, got "{text}"')
    return float(whole(most)), duration(per)


def share(text: str) -> float:
    """A part of one: `0.5`, or `50%`; `off` is `math.inf`."""
    text = text.strip()
    if text.lower() == "off":
        return math.inf
    number, percent = text.removesuffix("%").rstrip(), text.endswith("%")
    part = float(number) / (100 if percent else 1) if re.fullmatch(NUMBER, number, re.ASCII) else 0
    if not 0 < part <= 1:
        raise ValueError(f'expected a share such as 0.5 or 50%, or off, got "{text}"')
    return part


def _each(text: str, read: Callable[[str], T]) -> list[T]:
    """What each word of a list means. Raises ValueError with all that is wrong in it."""
    found, wrong = [], []
    for word in words(text):
        try:
            found.append(read(word))
        except ValueError as err:
            wrong.append(str(err))
    if wrong:
        raise ValueError("; ".join(wrong))
    return found


def whole(text: str, least: int = 1) -> int:
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII) or int(text) < least:
        raise ValueError(f'expected a whole number from {least} up, got "{text}"')
    return int(text)


def retries(text: str) -> int:
    """After how many failures a ban is due."""
    count = whole(text)
    if count > RETRIES:
        raise ValueError(f"{count} is too many; the most is {RETRIES}, and mode = observe bans nobody")
    return count


def wide(nets: Iterable[str]) -> list[str]:
    """Those networks in which it would be odd that nobody is ever banned."""
    return [net for net in nets if (found := parse_network(net)) and found.prefixlen < WIDEST[found.version]]


def number(text: str) -> float:
    """A number above none, as `2` or `1.33`."""
    if not re.fullmatch(NUMBER, text.strip(), re.ASCII) or not float(text):
        raise ValueError(f'expected a number such as 2 or 1.5, got "{text}"')
    return float(text)


def truth(text: str) -> bool:
    word = text.strip().lower()
    if word not in YES | NO:
        raise ValueError(f'expected true or false, got "{text}"')
    return word in YES


def words(text: str) -> list[str]:
    """What stands between commas, spaces and line ends."""
    return re.split(r"[\s,]+", text.strip(", \t\r\n")) if text.strip(", \t\r\n") else []


def _ports(word: str) -> frozenset[int] | range:
    word = PROTOCOL.sub("", word)
    if word.lower() in ("all", "any", "0:65535", "0-65535"):
        return ALL
    # A name may hold a dash (http-alt), so only what starts with a digit is a range.
    first, *last = re.split("[:-]", word, maxsplit=1) if word[:1].isdecimal() else [word]
    low, high = _port(first), _port(*last or [first])
    if low > high:
        raise ValueError(f'the range "{word}" runs backwards; write {high}:{low}')
    return range(low, high + 1)


def _port(word: str) -> int:
    if word.isascii() and word.isdecimal():
        if not 1 <= int(word[:6]) <= 65_535:
            raise ValueError(f'port "{word}" is not in 1..65535')
        return int(word)
    try:
        return PORTS.get(word.lower()) or socket.getservbyname(word)
    except (OSError, ValueError):
        raise ValueError(f'"{word}" is no port: write its number, a name such as http, or all') from None


def _network(word: str) -> str:
    if (found := _canonical(word)) is None:
        raise ValueError(
            f'"{word}" is no address or network; names are not looked up, write what they stand for'
        )
    return found


def _canonical(word: str) -> str | None:
    net = parse_network(word)
    if net is None:
        return None
    return str(net.network_address) if net.num_addresses == 1 else str(net)


def _spared(word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return spared(_listed(word.removeprefix("file:"))) if word.startswith("file:") else _named(word)


def _named(word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if found := _canonical(word):
        return (found,), ()
    name = word.lower().removesuffix(".")
    if name == "localhost":
        return ("127.0.0.0/8", "::1"), ()
    if len(name) > 253 or not HOST.fullmatch(name):
        raise ValueError(f'"{word}" is no address, no network and no host name such as office.example.org')
    return (), (name,)


def _listed(path: str) -> str:
    """The words of a file, without what stands behind a `#`; no other files."""
    try:
        text = re.sub(r"#.*", "", Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as err:
        raise ValueError(
            f'"file:{path}" cannot be read: {getattr(err, "strerror", None) or "it is no text"}'
        ) from None
    if len(words(text)) > LISTED:
        raise ValueError(f'"file:{path}" names {len(words(text)):,}; at most {LISTED:,} can be kept at hand')
    if nested := [word for word in words(text) if word.startswith("file:")]:
        raise ValueError(f'"file:{path}" names another file, {nested[0]}; write what it holds')
    return text
