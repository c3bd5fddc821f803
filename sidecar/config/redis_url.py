"""The URL of the Redis or Valkey that a fleet shares, taken apart.

It may contain a password, so no message repeats it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

RedisKind: TypeAlias = Literal["one", "sentinel", "cluster"]
Host: TypeAlias = tuple[str, int]

# Scheme -> how the servers are arranged, and whether they are spoken to by TLS.
SCHEMES: Final[dict[str, tuple[RedisKind, bool]]] = {
    "redis": ("one", False),
    "rediss": ("one", True),
    "unix": ("one", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
# urllib refuses `a,[::1]`, and its errors repeat what they refuse.
URL: Final = re.compile(r"(?P<scheme>[a-z+]+)://(?P<hosts>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?")
OPTIONS: Final = ("ca", "sentinel_user", "sentinel_password")
DEFAULT_PORT, DEFAULT_SENTINEL_PORT = 6379, 26_379
EXAMPLES: Final = (
    "redis://host:6379, rediss://user:password@host, unix:///run/redis.sock, "
    "redis+sentinel://host1,host2/master or redis+cluster://host1,host2"
)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Redis or Valkey: one server, a master that sentinels know, or a cluster."""

    kind: RedisKind
    hosts: tuple[Host, ...] = ()
    # Of a unix socket, instead of hosts.
    path: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    # The name that the sentinels know the master by.
    master: str = ""
    tls: bool = False
    # A file with certificates; "": the authorities of the system.
    ca: str = ""
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no message may contain."""
        return self.password, self.sentinel_password

    def __str__(self) -> str:
        """Return the servers without any password."""
        where = self.path or ",".join(f"{_bracketed(host)}:{port}" for host, port in self.hosts)
        return f"{where} (master {self.master})" if self.master else where


def parse_redis_url(url: str, ca: str = "") -> RedisUrl:
    """Return what this URL means; `ca` is the file with certificates, unless the URL names one.

    Raises ValueError with a sentence that does not repeat the URL.
    """
    parts = URL.fullmatch(url)
    if parts is None or parts["scheme"] not in SCHEMES:
        raise ValueError(f"expected {EXAMPLES} (in a password `#` is written %23, `/` %2F and `?` %3F)")
    scheme, path = parts["scheme"], parts["path"] or ""
    kind, tls = SCHEMES[scheme]
    options = _options(parts["query"] or "", scheme)
    credentials, _, servers = parts["hosts"].rpartition("@")
    user, _, password = credentials.partition(":")
    common: dict[str, Any] = {"kind": kind, "user": unquote(user), "password": unquote(password), "tls": tls}
    common |= {"ca": ca, **{name: options[name] for name in OPTIONS if name in options}}
    if scheme == "unix":
        return RedisUrl(path=_path(path, servers), database=_database(options.get("db", "")), **common)
    port = DEFAULT_SENTINEL_PORT if kind == "sentinel" else DEFAULT_PORT
    hosts = tuple(_host(text, port) for text in servers.split(","))
    if kind == "one" and len(hosts) > 1:
        raise ValueError("names several hosts; write redis+cluster:// or redis+sentinel:// for these")
    master, database = _names(kind, path)
    return RedisUrl(hosts=hosts, master=master, database=_database(database), **common)


def _options(query: str, scheme: str) -> dict[str, str]:
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = (*OPTIONS, "db") if scheme == "unix" else OPTIONS
    # What is unknown may be the rest of a password that contains a `?`, so it is not repeated.
    if not set(options) <= {*known}:
        raise ValueError(
            f"has an unknown option after the `?`; there are {', '.join(known)}, and in a password `?` is written %3F"
        )
    return options


def _names(kind: RedisKind, path: str) -> tuple[str, str]:
    """Return the names of the master and of the database that follow the hosts; "" where there is none."""
    names = [unquote(name) for name in path.split("/") if name]
    master = names.pop(0) if kind == "sentinel" and names else ""
    if kind == "sentinel" and not re.fullmatch(r"[\w.-]+", master, re.ASCII):
        raise ValueError(
            "has no master; sentinels are asked for one by its name: redis+sentinel://host1,host2/mymaster"
        )
    if kind == "cluster" and names:
        raise ValueError("names a database, and a cluster has only one; leave out what follows the hosts")
    if len(names) > 1:
        raise ValueError(f"has too much after the hosts; expected {EXAMPLES}")
    return master, "".join(names)


def _path(path: str, servers: str) -> str:
    path = unquote(path)
    if servers or not path.startswith("/"):
        raise ValueError("expected the path of a socket, with three slashes: unix:///run/redis.sock")
    return path


def _host(text: str, default: int) -> Host:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", text)
    if not found or not 0 < int(found[2] or default) < 65_536:
        raise ValueError("expected host:port, several with commas between; IPv6 is written [::1]:6379")
    return found[1].strip("[]"), int(found[2] or default)


def _database(text: str) -> int:
    if text and not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        raise ValueError("names a database that is not a number; expected one such as redis://host:6379/3")
    return int(text or 0)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
