"""Parsers for single values that people write: durations, ports, networks, numbers, yes and no.

Each parser is a small grammar; nothing is ever evaluated. Each raises ValueError with a sentence that says
what was expected and what was found. The tables in `environment.py`, `jail_keys.py` and `labels.py` name
these parsers.
"""

from __future__ import annotations

import contextlib
import math
import re
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from sidecar.core import bantime_formula
from sidecar.core.address import parse_network
from sidecar.core.allowlist import IGNOREIP
from sidecar.core.allowlist_bounds import bound, is_too_wide
from sidecar.core.containers import FALSE_WORDS, TRUE_WORDS

T = TypeVar("T")
W = TypeVar("W", bound=str)

DAY_S: Final = 86_400
# The units of fail2ban, and some more: a month is 30.4375 days, a year 365.25.
UNIT_SECONDS: Final = {
    "s": 1, "ss": 1, "se": 1, "sec": 1, "secs": 1, "second": 1, "seconds": 1,
    "m": 60, "mm": 60, "mi": 60, "min": 60, "mins": 60, "minute": 60, "minutes": 60,
    "h": 3_600, "hh": 3_600, "ho": 3_600, "hou": 3_600, "hr": 3_600, "hrs": 3_600, "hour": 3_600, "hours": 3_600,
    "d": DAY_S, "dd": DAY_S, "da": DAY_S, "day": DAY_S, "days": DAY_S,
    "w": 7 * DAY_S, "ww": 7 * DAY_S, "we": 7 * DAY_S, "wee": 7 * DAY_S, "week": 7 * DAY_S, "weeks": 7 * DAY_S,
    "mo": 2_629_800, "mon": 2_629_800, "month": 2_629_800, "months": 2_629_800,
    "y": 31_557_600, "yy": 31_557_600, "ye": 31_557_600, "yea": 31_557_600,
    "year": 31_557_600, "years": 31_557_600,
}  # fmt: skip
NUMBER: Final = r"\d{1,15}(?:\.\d{1,6})?"
DURATION_PART: Final = re.compile(rf"({NUMBER})\s*([a-z]+)\s*", re.ASCII)
UNIT: Final = re.compile(r"(?<=[\d\s])([a-z]+)\b", re.ASCII)
ARITHMETIC: Final = re.compile(r"(?:\d{1,15}(?!\d)|[\s.()+*/%-])+", re.ASCII)

# A slim image may have no /etc/services.
PORT_NUMBERS: Final = {
    "ftp": 21, "ssh": 22, "smtp": 25, "http": 80, "pop3": 110, "imap": 143, "imap2": 143, "https": 443,
    "smtps": 465, "submissions": 465, "submission": 587, "ftps": 990, "imaps": 993, "pop3s": 995,
    "http-alt": 8080,
}  # fmt: skip
PROTOCOL_SUFFIX: Final = re.compile(r"/(?:tcp|udp)$", re.IGNORECASE)
QUOTED: Final = re.compile(r"""(["'])(.*?)\1""", re.DOTALL)
# A range and not a set: as a set it would weigh 4 MB.
ALL_PORTS: Final = range(1, 65_536)

# The allowlist is built again whenever networks change; with this many entries that takes 0.3 s of the loop's
# time.
MAX_FILE_ENTRIES: Final = 10_000
# Many times what that many entries take, comments included.
MAX_FILE_BYTES: Final = 4 * 1024 * 1024
# Each failure is compared with those before it.
MAX_RETRIES: Final = 10_000
DNS_LABEL: Final = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
# The last label consists of letters, so that a mistyped IPv4 address is never taken for a name.
HOST_NAME: Final = re.compile(rf"(?:{DNS_LABEL}\.)+(?:[a-z]{{2,63}}|xn--[a-z0-9-]{{1,59}})", re.ASCII)
MAX_HOST_NAME_LENGTH: Final = 253


class AllowlistEntries(NamedTuple):
    """What an `ignoreip` names."""

    # In canonical form.
    networks: tuple[str, ...] = ()
    # In small letters; what they stand for is looked up while the daemon runs.
    host_names: tuple[str, ...] = ()


class BanRate(NamedTuple):
    """A number of bans within a number of seconds; `math.inf` bans: no limit."""

    bans: float
    seconds: float


def one_of(known: Iterable[W], expected: str = "") -> Callable[[str], W]:
    """Return a parser for one of these words, such as those of a StrEnum, in capitals or not.

    `expected` names the words in its errors where they need an explanation.
    """
    by_word = {word.lower(): word for word in known}
    if not expected:
        expected = (
            " or ".join(by_word.values()) if len(by_word) == 2 else f"one of {', '.join(by_word.values())}"
        )

    def parse_word(text: str) -> W:
        if (word := by_word.get(text.strip().lower())) is None:
            raise ValueError(f'expected {expected}, got "{text}"')
        return word

    return parse_word


def duration(text: str) -> float:
    """Return seconds, more than 0: `600`, `10m`, `1d12h`, `1.5 hours`, `60*60*24`."""
    return _duration(text, "expected a duration such as 600, 10m, 1d12h")


def ban_duration(text: str) -> float:
    """Return seconds as `duration` does; `-1` means for good, which is `math.inf`."""
    if text.strip() == "-1":
        return math.inf
    return _duration(text, "expected a duration such as 600, 10m, 1d12h or -1 (for good)")


def _duration(text: str, expected: str) -> float:
    text = text.strip().lower()
    written = f"{text}s" if re.fullmatch(NUMBER, text, re.ASCII) else text
    if not re.fullmatch(f"(?:{DURATION_PART.pattern})+", written, re.ASCII):
        return _calculated_duration(text, expected)
    parts = [(count, _unit_seconds(unit, expected)) for count, unit in DURATION_PART.findall(written)]
    if "." in written:
        # Most durations are whole numbers, and this weighs half a MB.
        from decimal import Decimal  # noqa: PLC0415

        seconds = float(sum(Decimal(count) * each for count, each in parts))
    else:
        seconds = float(sum(int(count) * each for count, each in parts))
    if not seconds:
        raise ValueError(f'{expected}; "{text}" is no time at all')
    return seconds


def _calculated_duration(text: str, expected: str) -> float:
    """Return the seconds of arithmetic on numbers and durations: `60*60*24`, `1d + 12h`, `2 * (1h 30m)`.

    fail2ban evaluates such values (`MyTime.str2seconds`): a unit multiplies the number before it, and a blank between
    two numbers adds them.
    """
    separated = re.sub(r"(?<=[a-z])(?=\d)", " ", text)
    without_units = UNIT.sub(lambda found: f"*{_unit_seconds(found[1], expected)}", separated)
    expression = re.sub(r"(?<=\d)\s+(?=\d)", "+", without_units)
    seconds = math.nan
    if ARITHMETIC.fullmatch(expression):
        with contextlib.suppress(ValueError, ArithmeticError, TypeError):
            seconds = bantime_formula.parse(expression).value(0.0, 0, 0.0)
    if not 0 < seconds < math.inf:
        raise ValueError(f'{expected}, got "{text}"')
    return seconds


def is_calculated(text: str) -> bool:
    """Return whether a duration is arithmetic, so that people may want to see its result."""
    return any(sign in text for sign in "+-*/%(") and text.strip() != "-1"


def _unit_seconds(unit: str, expected: str) -> int:
    if unit not in UNIT_SECONDS:
        raise ValueError(f'{expected}; "{unit}" is not a unit (use s, m, h, d, w, mo, y)')
    return UNIT_SECONDS[unit]


def ports(text: str) -> frozenset[int] | None:
    """Return the ports of a list of names, numbers and ranges (`8000:8010`); None for `all` and `0:65535`.

    A protocol (`443/udp`) is accepted and ignored, because a ban covers TCP and UDP. Quotes (`"80,443"`) are
    too.
    """
    found = frozenset(port for some in _parse_words(QUOTED.sub(r"\2", text), _ports) for port in some)
    if not found:
        raise ValueError(
            "expected ports such as http,https or 8000:8010, got nothing; for all ports write: all"
        )
    return None if len(found) == len(ALL_PORTS) else found


def networks(text: str) -> tuple[str, ...]:
    """Return the networks of a list in canonical form: host bits masked, a single address as it is."""
    return tuple(_parse_words(text, _network))


def allowlist_entries(text: str) -> AllowlistEntries:
    """Return the networks and host names of an `ignoreip`; `file:PATH` stands for the content of that file.

    Error messages quote such a file, so the text must come from the operator of this host.
    """
    return _joined(_parse_words(text, _entry_or_file))


def allowlist_entries_without_files(text: str) -> AllowlistEntries:
    """Return what `allowlist_entries` does, and take `file:PATH` for an error."""
    return _joined(_parse_words(text, _entry))


def proxy_networks(text: str) -> tuple[str, ...]:
    """Return the networks of proxies in canonical form. A very wide network is an error."""
    found = networks(text)
    for net in too_wide(found):
        raise ValueError(
            f"{net} is too wide for proxies: nobody in it could be banned; use narrower networks"
        )
    return found


def ban_rate(text: str) -> BanRate:
    """Return a number of bans and a duration: `30000/1m`; `off` means no limit."""
    if text.strip().lower() == "off":
        return BanRate(math.inf, 60.0)
    count, slash, period = text.partition("/")
    if not slash or "/" in period:
        raise ValueError(f'expected a number and a duration such as 30000/1m, or off, got "{text}"')
    return BanRate(float(whole_number(count)), duration(period))


def share(text: str) -> float:
    """Return a part of 1: `0.5`, or `50%`; `off` is `math.inf`."""
    text = text.strip()
    if text.lower() == "off":
        return math.inf
    figure, percent = text.removesuffix("%").rstrip(), text.endswith("%")
    part = float(figure) / (100 if percent else 1) if re.fullmatch(NUMBER, figure, re.ASCII) else 0
    if not 0 < part <= 1:
        raise ValueError(f'expected a share such as 0.5 or 50%, or off, got "{text}"')
    return part


def whole_number(text: str, at_least: int = 1) -> int:
    """Return a whole number of at most nine digits."""
    if not re.fullmatch(r"\d{1,9}", text.strip(), re.ASCII) or int(text) < at_least:
        raise ValueError(f'expected a whole number from {at_least} up, got "{text}"')
    return int(text)


def max_retries(text: str) -> int:
    """Return the number of failures that is a ban. As in fail2ban, 0 means the first failure."""
    count = 1 if text.strip() == "0" else whole_number(text)
    if count > MAX_RETRIES:
        raise ValueError(f"{count} is too many; the most is {MAX_RETRIES}, and mode = observe bans nobody")
    return count


def number(text: str) -> float:
    """Return a number above 0, such as `2` or `1.33`."""
    if not re.fullmatch(NUMBER, text.strip(), re.ASCII) or not float(text):
        raise ValueError(f'expected a number such as 2 or 1.5, got "{text}"')
    return float(text)


def boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise ValueError(f'expected true or false, got "{text}"')
    return word in TRUE_WORDS


def words(text: str) -> list[str]:
    """Return what stands between commas, spaces and line ends."""
    return re.split(r"[\s,]+", text.strip(", \t\r\n")) if text.strip(", \t\r\n") else []


def too_wide(nets: Iterable[str]) -> list[str]:
    """Return the networks that are so wide that allowlisting them is probably a slip."""
    return [
        net for net in nets if (found := parse_network(net)) and is_too_wide(found.version, found.prefixlen)
    ]


def _parse_words(text: str, read: Callable[[str], T]) -> list[T]:
    """Return what each word of a list means. Raises ValueError with every error in it."""
    found, errors = [], []
    for word in words(text):
        try:
            found.append(read(word))
        except ValueError as err:
            errors.append(str(err))
    if errors:
        raise ValueError("; ".join(errors))
    return found


def _ports(word: str) -> frozenset[int] | range:
    word = PROTOCOL_SUFFIX.sub("", word)
    if word.lower() in ("all", "any", "0:65535", "0-65535"):
        return ALL_PORTS
    # A name may contain a dash (http-alt), so only what starts with a digit is a range.
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
        return PORT_NUMBERS.get(word.lower()) or socket.getservbyname(word)
    except (OSError, ValueError):
        raise ValueError(f'"{word}" is not a port: write its number, a name such as http, or all') from None


def _network(word: str) -> str:
    if (found := _canonical(word)) is None:
        raise ValueError(f'"{word}" is not an address or network; host names are not allowed here')
    return found


def _canonical(word: str) -> str | None:
    net = parse_network(word)
    if net is None:
        return None
    return str(net.network_address) if net.num_addresses == 1 else str(net)


def _joined(entries: Iterable[AllowlistEntries]) -> AllowlistEntries:
    entries = list(entries)
    names = {name for each in entries for name in each.host_names}
    return AllowlistEntries(tuple(net for each in entries for net in each.networks), tuple(sorted(names)))


def _entry_or_file(word: str) -> AllowlistEntries:
    if word.startswith("file:"):
        return allowlist_entries(_listed(word.removeprefix("file:")))
    return _entry(word)


def _entry(word: str) -> AllowlistEntries:
    if found := _canonical(word):
        return AllowlistEntries((found,))
    name = word.lower().removesuffix(".")
    if name == "localhost":
        return AllowlistEntries(("127.0.0.0/8", "::1"))
    if len(name) > MAX_HOST_NAME_LENGTH or not HOST_NAME.fullmatch(name):
        raise ValueError(f'"{word}" is not an address, a network or a host name such as office.example.org')
    return AllowlistEntries(host_names=(name,))


def _listed(path: str) -> str:
    """Return the content of a file without the comments, which begin with `#`. It may not name further files."""
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        text = re.sub(r"#.*", "", data.decode())
    except (OSError, UnicodeDecodeError) as err:
        reason = getattr(err, "strerror", None) or "it is not text"
        raise ValueError(f'"file:{path}" cannot be read: {reason}') from None
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(
            f'"file:{path}" is longer than {MAX_FILE_BYTES:,} bytes; is this a list of addresses?'
        )
    entries = words(text)
    if len(entries) > MAX_FILE_ENTRIES:
        raise ValueError(f'"file:{path}" has {len(entries):,} entries; the most is {MAX_FILE_ENTRIES:,}')
    if nested := [word for word in entries if word.startswith("file:")]:
        raise ValueError(f'"file:{path}" names another file, {nested[0]}; write its entries instead')
    # Such a file is often another program's: it must not end all bans.
    if wide := bound({IGNOREIP: too_wide(entries)}).refused:
        sentence = "which is too wide: nobody in it could be banned"
        raise ValueError(f'"file:{path}" has {wide[0].network}, {sentence}')
    return text
