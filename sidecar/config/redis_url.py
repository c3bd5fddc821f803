"""Where the fleet's engine is: one URL, taken apart. It may hold a password, so no message here repeats it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote

Kind: TypeAlias = Literal["one", "sentinel", "cluster"]
Host: TypeAlias = tuple[str, int]

SCHEMES: Final[dict[str, tuple[Kind, bool]]] = {  # scheme -> how many servers, and whether by TLS
    "redis": ("one", False),
    "rediss": ("one", True),
    "unix": ("one", False),
    "redis+sentinel": ("sentinel", False),
    "rediss+sentinel": ("sentinel", True),
    "redis+cluster": ("cluster", False),
    "rediss+cluster": ("cluster", True),
}
# not urllib's: it refuses `a,[::1]`, and its errors repeat what they refuse
URL = re.compile(r"(?P<scheme>[a-z+]+)://(?P<hosts>[^/?#]*)(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?")
OPTIONS = ("ca", "sentinel_user", "sentinel_password")
PORT, SENTINEL_PORT = 6379, 26_379
EXAMPLES = (
    "redis://host:6379, rediss://user:password@host, unix:///run/redis.sock, "
    "redis+sentinel://host1,host2/master or redis+cluster://host1,host2"
)


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """Redis or Valkey: one server, a master that sentinels know, or a cluster."""

    kind: Kind
    hosts: tuple[Host, ...] = ()
    path: str = ""  # of a unix socket, instead of hosts
    user: str = ""
    password: str = field(default="", repr=False)
    database: int = 0
    master: str = ""  # what the sentinels call it
    tls: bool = False
    ca: str = ""  # a file; "": the system's authorities
    sentinel_user: str = ""
    sentinel_password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """As it may be shown."""
        where = self.path or ",".join(f"{_bracketed(host)}:{port}" for host, port in self.hosts)
        return f"{where} (master {self.master})" if self.master else where


def parse_redis_url(url: str, ca: str = "") -> RedisUrl:
    """What this URL means. Raises ValueError with a sentence that does not repeat it."""
    parts = URL.fullmatch(url)
    if parts is None or parts["scheme"] not in SCHEMES:
        raise ValueError(f"expected {EXAMPLES} (in a password `#` is written %23, `/` %2F and `?` %3F)")
    scheme, path = parts["scheme"], parts["path"] or ""
    kind, tls = SCHEMES[scheme]
    options = dict(parse_qsl(parts["query"] or "", keep_blank_values=True))
    if wrong := sorted(set(options) - {*OPTIONS, *(("db",) if scheme == "unix" else ())}):
        raise ValueError(f"{', '.join(wrong)}: unknown after the `?`; there are {', '.join(OPTIONS)}")
    credentials, _, where = parts["hosts"].rpartition("@")
    user, _, password = credentials.partition(":")
    common = {
        "kind": kind,
        "user": unquote(user),
        "password": unquote(password),
        "tls": tls,
        "ca": options.get("ca", ca),
        "sentinel_user": options.get("sentinel_user", ""),
        "sentinel_password": options.get("sentinel_password", ""),
    }
    if scheme == "unix":
        return RedisUrl(path=_path(path, where), database=_database(options.get("db", "")), **common)
    hosts = tuple(_host(text, SENTINEL_PORT if kind == "sentinel" else PORT) for text in where.split(","))
    if kind == "one" and len(hosts) > 1:
        raise ValueError("names several hosts; write redis+cluster:// or redis+sentinel:// for these")
    names = [unquote(name) for name in path.split("/") if name]
    master = names.pop(0) if kind == "sentinel" and names else ""
    if kind == "sentinel" and not re.fullmatch(r"[\w.-]+", master, re.ASCII):
        raise ValueError(
            "says no master; sentinels are asked for one by its name: redis+sentinel://host1,host2/mymaster"
        )
    if kind == "cluster" and names:
        raise ValueError("names a database, and a cluster has only one; leave out what follows the hosts")
    if len(names) > 1:
        raise ValueError(f"has too much after the hosts; expected {EXAMPLES}")
    return RedisUrl(hosts=hosts, master=master, database=_database("".join(names)), **common)


def _path(path: str, where: str) -> str:
    path = unquote(path)
    if where or not path.startswith("/"):
        raise ValueError("expected the path of a socket, with three slashes: unix:///run/redis.sock")
    return path


def _host(text: str, default: int) -> Host:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", text)
    if not found or not 0 < int(found[2] or default) < 65_536:
        raise ValueError("expected host:port, several with commas between; IPv6 is written [::1]:6379")
    return found[1].strip("[]"), int(found[2] or default)


def _database(text: str) -> int:
    if text and not re.fullmatch(r"\d{1,4}", text, re.ASCII):
        raise ValueError("names a database that is no number; expected one such as redis://host:6379/3")
    return int(text or 0)


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
