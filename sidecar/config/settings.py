# ruff: noqa: PTH110, PTH112 - pathlib's own raise where a folder may not be looked into
"""Environment and jails file -> one frozen Settings, or every mistake at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from os.path import exists, isdir
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sidecar.config import cdn
from sidecar.config import jails as jails_file
from sidecar.config.cdn import Cdn
from sidecar.config.errors import CAPLESS, DIRECTORY, ConfigError, ConfigErrors, unknown
from sidecar.config.node_name import NODE_NAME
from sidecar.config.redis_url import RedisUrl, parse_redis_url
from sidecar.config.units import proxied, rate, share, spared, truth, wide, words
from sidecar.core import ban_budget
from sidecar.core.allowlist import IGNOREIP, PROXY, of_cdn
from sidecar.core.ban_history import AGE
from sidecar.core.jail import Jail
from sidecar.filters.loader import Filter

T = TypeVar("T")

PREFIX = "WP_SIDECAR_"
JAILS = Path("/etc/wp-sidecar/jails.conf")
FILTERS = Path("/etc/wp-sidecar/filters")
CDN_FILE = Path("/etc/wp-sidecar/cdn.conf")
SOCKET = Path("/run/wp-sidecar/control.sock")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SOURCES = ("docker", "cri", "docker-files")
ENGINES = ("unix", "http+unix", "tcp", "http", "https")  # what docker-py speaks without more packages


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run needs to know; read once, swapped whole."""

    jails: tuple[Jail, ...]
    filters: dict[str, Filter]  # by jail name
    ignoreip: tuple[str, ...] = ()  # never banned in any jail: networks, canonical
    ignore_names: tuple[str, ...] = ()  # likewise: host names
    trusted_proxies: tuple[str, ...] = ()  # never banned either: networks, canonical
    cdns: tuple[Cdn, ...] = field(default_factory=cdn.everyone)  # nor are these
    ban_private: bool = False
    banbudget: tuple[float, float] = (
        ban_budget.MOST,
        ban_budget.PER,
    )  # bans, seconds; `math.inf`: any number
    banshare: float = math.inf  # at most this part (0 to 1) of the clients seen is banned
    dbpurgeage: float = AGE  # seconds after its end that a ban is remembered
    state: Path = Path("/var/lib/wp-sidecar")
    socket: Path = SOCKET
    listen: tuple[str, int] = ("127.0.0.1", 9734)
    docker: str = "unix:///var/run/docker.sock"
    source: str = "docker"  # one of SOURCES: how containers' logs are read
    pods: tuple[str, ...] = ()  # `namespace/pod/container` globs; none: what looks like a WordPress
    logs: Path | None = None  # where kubelet's or Docker's log files are; None: the usual place
    kubernetes_api: bool = False  # may the API be asked about pods and nodes?
    syslog: Path | None = None  # a datagram socket for containers' /dev/log
    slack: str = field(default="", repr=False)  # the webhook's URL: a secret, never logged; "" sends nothing
    redis: RedisUrl | None = None  # where the fleet meets; None: this host is alone
    redis_prefix: str = "wp-sidecar"  # how the fleet's keys begin
    node: str = ""  # our name in the fleet; "": the host's
    fleet_key: bytes = field(
        default=b"", repr=False
    )  # with which the fleet seals what it says; b"": it does not
    flush_on_exit: bool = False
    log_level: str = "INFO"
    log_json: bool = False
    notes: tuple[str, ...] = ()  # remarks for the log: not wrong, and perhaps not what was meant
    errors: tuple[ConfigError, ...] = ()  # why some jails are left out

    def spared(self) -> dict[str, tuple[str, ...]]:
        """Why -> whom nobody may ban by these settings: networks. What names stand for is not in it."""
        cdns = {of_cdn(cdn.name): cdn.networks for cdn in self.cdns}
        return {PROXY: self.trusted_proxies, IGNOREIP: self.ignoreip, **cdns}


def read(
    environ: Mapping[str, str],
    *,
    jails: Path | None = None,
    filters: Path | None = None,
    socket: Path | None = None,
    flush_on_exit: bool = False,
    look: bool = True,
) -> Settings:
    """The settings of this environment, and of the files it names. Raises Mistakes, all of them, where no jail can run.

    What is given here goes before the environment. With `look`, log files are looked for, as a run needs;
    a replay does not.
    """
    env = _Environment(environ)
    scalars = env.scalars()
    file = jails or env.path("JAILS", JAILS)
    where = env.filters(filters)
    read = env.collect(lambda: jails_file.read(file, [where] if where else [], look=look))
    known = env.collect(lambda: cdn.load(env.path("CDN_FILE", CDN_FILE)))
    if read is not None and known is not None:
        scalars |= env.beside(read, scalars, known, str(file))
    if env.errors or read is None:
        raise ConfigErrors(env.errors)
    given = {
        "socket": socket,
        "flush_on_exit": flush_on_exit or None,
        "ban_private": read.ban_private or None,
    }
    scalars |= {name: value for name, value in given.items() if value is not None}
    return Settings(read.jails, read.filters, notes=(*env.notes, *read.notes), errors=read.errors, **scalars)


def control_socket(environ: Mapping[str, str]) -> Path:
    """Where the daemon of this environment listens; the one thing its command line has to know."""
    return Path(environ.get(f"{PREFIX}SOCKET") or SOCKET)


def filter_folders(environ: Mapping[str, str], filters: Path | None = None) -> list[Path]:
    """Where the user's filters are; our own pack comes after them by itself. Raises Mistakes."""
    env = _Environment(environ)
    where = env.filters(filters)
    if env.errors:
        raise ConfigErrors(env.errors)
    return [where] if where else []


class _Environment:
    """Variables, checked one by one; an empty one is not set, as compose writes `${X:-}`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: text.strip() for name, text in environ.items() if text.strip()}
        self.errors: list[ConfigError] = []
        self.notes: list[str] = []

    def scalars(self) -> dict[str, Any]:
        """All but the files, by the name of the Settings' field."""
        for name in self._environ:
            if name.startswith(PREFIX) and name not in VARIABLES and not KUBERNETES.match(name):
                self._wrong(name, _stranger(name))
        found = {
            field: self._read(name, parse)
            for name, (field, parse) in SCALARS.items()
            if name in self._environ
        }
        self.notes += idle(found.get("source") or SOURCES[0], self._environ)
        for net in wide((found.get("ignoreip") or ((), ()))[0]):
            self.notes.append(f"environment: {PREFIX}IGNOREIP: nobody in {net} is ever banned")
        return {field: value for field, value in found.items() if value is not None} | {
            "slack": self._slack(),
            "redis": self._redis(),
        }

    def path(self, name: str, default: Path) -> Path | None:
        """What the variable names, there or not; the default, or None where even that is not there."""
        if text := self._environ.get(PREFIX + name):
            if not exists(text):
                self._wrong(
                    PREFIX + name, f"{text} is not there; correct the path, or mount it into the container"
                )
                return None
            return Path(text)
        try:
            default.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:  # something is there; whoever reads it says what is wrong
            return default
        return default

    def filters(self, given: Path | None) -> Path | None:
        """Where the user's filters are, by this or by the environment; None: nowhere."""
        where = given or self.path("FILTERS", FILTERS)
        if where and exists(where) and not isdir(where):
            self._wrong(
                PREFIX + "FILTERS", f"{where} is no directory; name the one in which your filters' files are"
            )
        return where

    def beside(
        self, read: jails_file.Jails, scalars: Mapping[str, Any], known: Mapping[str, Cdn], file: str
    ) -> dict[str, Any]:
        """What both the environment and the jails file may say: lists join, of the others the environment's counts."""
        found: dict[str, Any] = {}
        found["dbpurgeage"] = read.dbpurgeage
        found["ignoreip"], found["ignore_names"] = scalars.get("ignoreip", ((), ()))
        found["trusted_proxies"] = (*scalars.get("trusted_proxies", ()), *read.trusted_proxies)
        found["banbudget"] = scalars.get("banbudget") or read.banbudget or (ban_budget.MOST, ban_budget.PER)
        found["banshare"] = scalars.get("banshare") or read.banshare or math.inf
        names = scalars.get("cdns", read.allow_cdn)
        try:
            found["cdns"] = cdn.select((cdn.ALL,) if names is None else names, known)
        except ValueError as err:
            if "cdns" in scalars:
                self._wrong(f"{PREFIX}ALLOW_CDN", str(err))
            else:
                self.errors.append(ConfigError(file, "DEFAULT", "allow_cdn", str(err)))
        return found

    def collect(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ConfigErrors as err:
            self.errors += err.errors
            return None

    def _read(self, name: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(self._environ[name])
        except ValueError as err:
            self._wrong(name, str(err))
            return None

    def _slack(self) -> str:
        return self._here_or_file(URL, URL_FILE, _webhook, "the webhook's URL") or ""

    def _redis(self) -> RedisUrl | None:
        ca = self._read(REDIS_CA, _there) if REDIS_CA in self._environ else None
        return self._here_or_file(
            REDIS_URL, REDIS_URL_FILE, lambda url: parse_redis_url(url, str(ca or "")), "Redis's URL"
        )

    def _here_or_file(self, here: str, file: str, parse: Callable[[str], T], what: str) -> T | None:
        """A secret that is in a variable, or in the file that another one names."""
        if here in self._environ and file in self._environ:
            self._wrong(here, f"is set, and so is {file}; keep one of the two")
        elif file in self._environ:
            return self._read(file, lambda path: parse(_content(path, what)))
        elif here in self._environ:
            return self._read(here, parse)
        return None

    def _wrong(self, name: str, sentence: str) -> None:
        self.errors.append(ConfigError("environment", "", name, sentence))


def _absolute(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f'expected a path that starts with /, got "{text}"')
    return path


def _listen(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65_535:
        raise ValueError(f'expected an address and a port such as 127.0.0.1:9734 or [::1]:9734, got "{text}"')
    try:
        return str(ip_address(host)), int(port)
    except ValueError:
        raise ValueError(
            f'"{host}" is no address; 127.0.0.1 is this host, 0.0.0.0 all that reach it'
        ) from None


def _engine(text: str) -> str:
    try:
        parts = urlsplit(text)
        where = parts.hostname if "unix" not in parts.scheme else parts.path if not parts.netloc else ""
        sound = parts.scheme in ENGINES and bool(where) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number
        sound = False
    if not sound:
        raise ValueError(f'expected unix:///var/run/docker.sock or tcp://host:port, got "{text}"')
    return text


def _stranger(name: str) -> str:
    """A sentence about a variable that nobody knows; that all begin alike makes no two of them alike."""
    word = name.removeprefix(PREFIX).upper()
    if (key := word.lower()) in jails_file.OURS:
        return f"is said in the jails file: {key} = …, in a jail or in [DEFAULT]"
    return unknown(word, [each.removeprefix(PREFIX) for each in VARIABLES if PREFIX in each], PREFIX)


def idle(source: str, environ: Iterable[str]) -> list[str]:
    """What is set and does nothing with this source."""
    of = {"LOGS": ("cri", "docker-files"), "PODS": ("cri",), "KUBERNETES_API": ("cri",)}
    return [
        f"environment: {PREFIX}{name}: counts only with {PREFIX}SOURCE={' or '.join(sources)}"
        for name, sources in of.items()
        if PREFIX + name in environ and source not in sources
    ]


def _source(text: str) -> str:
    if text.lower() not in SOURCES:
        raise ValueError(f'expected one of {", ".join(SOURCES)}, got "{text}"')
    return text.lower()


def _pods(text: str) -> tuple[str, ...]:
    globs = tuple(words(text))
    for glob in globs:
        if not re.fullmatch(r"!?[^/]+/[^/]+/[^/]+", glob):
            raise ValueError(f'expected namespace/pod/container, as in blog/*/wordpress, got "{glob}"')
    return globs


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise ValueError(f'expected one of {", ".join(LEVELS)}, got "{text}"')
    return text.upper()


def _json(text: str) -> bool:
    if text.lower() not in ("text", "json"):
        raise ValueError(f'expected text or json, got "{text}"')
    return text.lower() == "json"


def _content(text: str, what: str) -> str:
    """What a file holds that has this and nothing else in it."""
    path = Path(text)
    try:
        return path.read_text("utf-8").strip()
    except PermissionError:
        raise ValueError(f"{path} cannot be read; {CAPLESS}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} {DIRECTORY}") from None
    except OSError as err:
        raise ValueError(f"{path} cannot be read: {err.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text; it has to hold {what} and nothing else") from None


def _there(text: str) -> Path:
    _content(text, "certificates")
    return _absolute(text)


def _fleet_key(text: str) -> bytes:
    secret = _content(text, "the fleet's key").encode()
    if len(secret) < KEY:
        raise ValueError(
            f"{text} holds {len(secret)} characters; a key has {KEY} or more: openssl rand -hex 32 > {text}"
        )
    return secret


def _node(text: str) -> str:
    if not NODE_NAME.fullmatch(text):
        raise ValueError(f'expected a name of letters, digits, `.`, `-` and `_`, 253 at most, got "{text}"')
    return text


def _prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text):
        raise ValueError(f'expected letters, digits, `:`, `.`, `-` and `_`, 64 at most, got "{text}"')
    return text


def _webhook(url: str) -> str:
    """The URL; what is wrong with it is said without it, for it is a secret."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        sound = False
    if not sound or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("expected one http(s) URL, as Slack shows it for an incoming webhook")
    return url


URL, URL_FILE = "SLACK_WEBHOOK_URL", "SLACK_WEBHOOK_URL_FILE"
REDIS_URL, REDIS_URL_FILE = f"{PREFIX}REDIS_URL", f"{PREFIX}REDIS_URL_FILE"
REDIS_CA = f"{PREFIX}REDIS_CA"
KEY = 32  # characters of the fleet's key: whoever hears what it seals may try keys at leisure
SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "DOCKER_HOST": ("docker", _engine),
    f"{PREFIX}ALLOW_CDN": ("cdns", cdn.chosen),
    f"{PREFIX}BANBUDGET": ("banbudget", rate),
    f"{PREFIX}BANSHARE": ("banshare", share),
    f"{PREFIX}BAN_PRIVATE": ("ban_private", truth),
    f"{PREFIX}FLEET_KEY_FILE": ("fleet_key", _fleet_key),
    f"{PREFIX}FLUSH_ON_EXIT": ("flush_on_exit", truth),
    f"{PREFIX}IGNOREIP": ("ignoreip", spared),
    f"{PREFIX}KUBERNETES_API": ("kubernetes_api", truth),
    f"{PREFIX}LISTEN": ("listen", _listen),
    f"{PREFIX}LOGS": ("logs", _absolute),
    f"{PREFIX}LOG_FORMAT": ("log_json", _json),
    f"{PREFIX}LOG_LEVEL": ("log_level", _level),
    f"{PREFIX}NODE": ("node", _node),
    f"{PREFIX}PODS": ("pods", _pods),
    f"{PREFIX}REDIS_PREFIX": ("redis_prefix", _prefix),
    f"{PREFIX}SOCKET": ("socket", _absolute),
    f"{PREFIX}SOURCE": ("source", _source),
    f"{PREFIX}STATE": ("state", _absolute),
    f"{PREFIX}SYSLOG": ("syslog", _absolute),
    f"{PREFIX}TRUSTED_PROXIES": ("trusted_proxies", proxied),
}
VARIABLES = frozenset(
    {
        *SCALARS,
        f"{PREFIX}JAILS",
        f"{PREFIX}FILTERS",
        f"{PREFIX}CDN_FILE",
        URL,
        URL_FILE,
        REDIS_URL,
        REDIS_URL_FILE,
        REDIS_CA,
    }
)
# Kubernetes sets these in every pod for a Service that is named wp-sidecar.
KUBERNETES = re.compile(rf"{PREFIX}(?:SERVICE_|PORT(?:_|$))")
