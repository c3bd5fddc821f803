# ruff: noqa: PLC0415 - most commands need no database
"""Who an address belongs to: its name in DNS, and its network and country by a database that is mounted.

Both are asked by the command line, never by the daemon. Their text is the owner's own, so it is printed as any text of
a stranger is.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from sidecar.core.address import parse_host
from sidecar.core.text import printable

T = TypeVar("T")

# For the name, and for the addresses of that name. A resolver that does not answer takes some ten seconds.
DNS_TIMEOUT_S: Final = 3.0
# A name has 253 characters at most.
MAX_TEXT_CHARS: Final = 253


class HostName(NamedTuple):
    """A name in DNS. `confirmed`: the name leads back to the address, so it is not only the owner's claim."""

    name: str
    confirmed: bool


def host_of(text: str) -> str | None:
    """Return the one address that a person asked about; None for a network."""
    address = parse_host(text.removesuffix("/32").removesuffix("/128"))
    return None if address is None else str(address)


def host_name(address: str, timeout_s: float = DNS_TIMEOUT_S) -> HostName | None:
    """Return the address's name; None: it has none, or DNS does not answer in time."""
    return _within(timeout_s, lambda: _host_name(address))


def _host_name(address: str) -> HostName | None:
    try:
        name = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
    except (OSError, UnicodeError):
        return None
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        found = set()
    same = {str(parse_host(each)) for each in found}
    return HostName(printable(name, MAX_TEXT_CHARS), str(parse_host(address)) in same)


def _within(timeout_s: float, ask: Callable[[], T]) -> T | None:
    """Return the answer if it comes in time. Nothing can end the resolver, so it is left behind."""
    found: list[T] = []
    thread = threading.Thread(target=lambda: found.append(ask()), daemon=True)
    thread.start()
    thread.join(timeout_s)
    return found[0] if found else None


class NetworkFacts(NamedTuple):
    """What the databases say of an address: `owner`, `place`, and a sentence for each that cannot be used."""

    owner: str
    place: str
    problems: tuple[str, ...]


def network_facts(address: str, databases: Iterable[Path]) -> NetworkFacts:
    """Look an address up in these databases, which may be of countries, cities or network owners."""
    owner, place, problems = "", "", list[str]()
    for path in databases:
        try:
            record = _record(path, address)
        except (OSError, ValueError, KeyError, TypeError) as err:
            reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
            problems.append(
                f"the database {path} cannot be used ({printable(reason)}): "
                "correct WP_SIDECAR_GEOIP, or mount the file"
            )
            continue
        owner, place = owner or _owner(record), place or _place(record)
    return NetworkFacts(owner, place, tuple(problems))


def _record(path: Path, address: str) -> Mapping[str, Any]:
    """Return the record of an address; an empty one if there is none. Raises OSError and ValueError."""
    import maxminddb

    try:
        with maxminddb.open_database(path) as database:
            record = database.get(address)
    except maxminddb.InvalidDatabaseError as err:
        raise ValueError(str(err)) from err
    return record if isinstance(record, Mapping) else {}


def _owner(record: Mapping[str, Any]) -> str:
    """Return `AS64500 Example Net`, by the fields of GeoLite2, DB-IP and IPinfo."""
    number = record.get("autonomous_system_number") or record.get("asn") or ""
    name = record.get("autonomous_system_organization") or record.get("as_name") or ""
    number = str(number).removeprefix("AS")
    return _text(" ".join(filter(None, (f"AS{number}" if number else "", str(name)))))


def _place(record: Mapping[str, Any]) -> str:
    """Return `Haarlem, Netherlands (NL)`, by the fields of GeoLite2, DB-IP and IPinfo."""
    country = record.get("country") or record.get("registered_country") or {}
    if isinstance(country, Mapping):
        code, name = country.get("iso_code", ""), _english(country)
    else:
        code, name = record.get("country_code", ""), country
    city = record.get("city", "")
    city = _english(city) if isinstance(city, Mapping) else city
    land = f"{name} ({code})" if name and code and name != code else name or code
    return _text(", ".join(str(each) for each in (city, land) if each))


def _english(place: Mapping[str, Any]) -> str:
    names = place.get("names")
    return str(names.get("en", "")) if isinstance(names, Mapping) else ""


def _text(text: str) -> str:
    return printable(text, MAX_TEXT_CHARS)
