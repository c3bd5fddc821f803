# ruff: noqa: PTH110 - pathlib's own raise where a folder may not be looked into
"""Environment and jails file -> one frozen Settings, or every mistake at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from os.path import exists
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from sidecar.config import jails as jails_file
from sidecar.config.mistakes import CAPLESS, DIRECTORY, Mistake, Mistakes, unknown
from sidecar.config.units import networks, truth
from sidecar.core.jail import Jail
from sidecar.filters.loader import Filter

T = TypeVar("T")

PREFIX = "WP_SIDECAR_"
JAILS = Path("/etc/wp-sidecar/jails.conf")
FILTERS = Path("/etc/wp-sidecar/filters")
SOCKET = Path("/run/wp-sidecar/control.sock")
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
ENGINES = ("unix", "http+unix", "tcp", "http", "https")  # what docker-py speaks without more packages


@dataclass(frozen=True, slots=True)
class Settings:
    """All that a run needs to know; read once, swapped whole."""

    jails: tuple[Jail, ...]
    filters: dict[str, Filter]  # by jail name
    ignoreip: tuple[str, ...] = ()  # never banned in any jail: networks, canonical
    ban_private: bool = False
    state: Path = Path("/var/lib/wp-sidecar")
    socket: Path = SOCKET
    listen: tuple[str, int] = ("127.0.0.1", 9734)
    docker: str = "unix:///var/run/docker.sock"
    syslog: Path | None = None  # a datagram socket for containers' /dev/log
    slack: str = field(default="", repr=False)  # the webhook's URL: a secret, never logged; "" sends nothing
    flush_on_exit: bool = False
    log_level: str = "INFO"
    log_json: bool = False
    notes: tuple[str, ...] = ()  # remarks for the log: not wrong, and perhaps not what was meant
    mistakes: tuple[Mistake, ...] = ()  # why some jails are left out


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
    where = filters or env.path("FILTERS", FILTERS)
    read = env.collect(lambda: jails_file.read(file, [where] if where else [], look=look))
    if env.mistakes or read is None:
        raise Mistakes(env.mistakes)
    given = {
        "socket": socket,
        "flush_on_exit": flush_on_exit or None,
        "ban_private": read.ban_private or None,
    }
    scalars |= {name: value for name, value in given.items() if value is not None}
    return Settings(
        read.jails, read.filters, notes=(*env.notes, *read.notes), mistakes=read.mistakes, **scalars
    )


def control_socket(environ: Mapping[str, str]) -> Path:
    """Where the daemon of this environment listens; the one thing its command line has to know."""
    return Path(environ.get(f"{PREFIX}SOCKET") or SOCKET)


def filter_folders(environ: Mapping[str, str], filters: Path | None = None) -> list[Path]:
    """Where the user's filters are; our own pack comes after them by itself. Raises Mistakes."""
    env = _Environment(environ)
    where = filters or env.path("FILTERS", FILTERS)
    if env.mistakes:
        raise Mistakes(env.mistakes)
    return [where] if where else []


class _Environment:
    """Variables, checked one by one; an empty one is not set, as compose writes `${X:-}`."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = {name: text.strip() for name, text in environ.items() if text.strip()}
        self.mistakes: list[Mistake] = []
        self.notes: list[str] = []

    def scalars(self) -> dict[str, Any]:
        """All but the files, by the name of the Settings' field."""
        for name in self._environ:
            if name.startswith(PREFIX) and name not in VARIABLES and not KUBERNETES.match(name):
                self._wrong(name, unknown(name, VARIABLES))
        found = {
            field: self._read(name, parse)
            for name, (field, parse) in SCALARS.items()
            if name in self._environ
        }
        return {field: value for field, value in found.items() if value is not None} | {
            "slack": self._slack()
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

    def collect(self, read: Callable[[], T]) -> T | None:
        try:
            return read()
        except Mistakes as err:
            self.mistakes += err.mistakes
            return None

    def _read(self, name: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(self._environ[name])
        except ValueError as err:
            self._wrong(name, str(err))
            return None

    def _slack(self) -> str:
        url, file = self._environ.get(URL), self._environ.get(URL_FILE)
        if url and file:
            self._wrong(URL, f"is set, and so is {URL_FILE}; keep one of the two")
        elif file:
            return self._read(URL_FILE, _secret) or ""
        elif url:
            return self._read(URL, _webhook) or ""
        return ""

    def _wrong(self, name: str, sentence: str) -> None:
        self.mistakes.append(Mistake("environment", "", name, sentence))


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
    if urlsplit(text).scheme not in ENGINES:
        raise ValueError(f'expected unix:///var/run/docker.sock or tcp://host:port, got "{text}"')
    return text


def _level(text: str) -> str:
    if text.upper() not in LEVELS:
        raise ValueError(f'expected one of {", ".join(LEVELS)}, got "{text}"')
    return text.upper()


def _json(text: str) -> bool:
    if text.lower() not in ("text", "json"):
        raise ValueError(f'expected text or json, got "{text}"')
    return text.lower() == "json"


def _secret(text: str) -> str:
    path = Path(text)
    try:
        return _webhook(path.read_text("utf-8").strip())
    except PermissionError:
        raise ValueError(f"{path} cannot be read; {CAPLESS}") from None
    except IsADirectoryError:
        raise ValueError(f"{path} {DIRECTORY}") from None
    except OSError as err:
        raise ValueError(f"{path} cannot be read: {err.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text; it has to hold the webhook's URL and nothing else") from None


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
SCALARS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "DOCKER_HOST": ("docker", _engine),
    f"{PREFIX}BAN_PRIVATE": ("ban_private", truth),
    f"{PREFIX}FLUSH_ON_EXIT": ("flush_on_exit", truth),
    f"{PREFIX}IGNOREIP": ("ignoreip", networks),
    f"{PREFIX}LISTEN": ("listen", _listen),
    f"{PREFIX}LOG_FORMAT": ("log_json", _json),
    f"{PREFIX}LOG_LEVEL": ("log_level", _level),
    f"{PREFIX}SOCKET": ("socket", _absolute),
    f"{PREFIX}STATE": ("state", _absolute),
    f"{PREFIX}SYSLOG": ("syslog", _absolute),
}
VARIABLES = frozenset({*SCALARS, f"{PREFIX}JAILS", f"{PREFIX}FILTERS", URL, URL_FILE})
# Kubernetes sets these in every pod for a Service that is named wp-sidecar.
KUBERNETES = re.compile(rf"{PREFIX}(?:SERVICE_|PORT(?:_|$))")
