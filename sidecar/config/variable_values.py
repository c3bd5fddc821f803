"""Parsers for the values of environment variables, beside those in `units.py` that the jails file uses too.

Each raises ValueError with a sentence that says what was expected and what was found.
"""

from __future__ import annotations

import re
from base64 import b64decode
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from sidecar.config.errors import CAPLESS, DIRECTORY
from sidecar.config.node_name import NODE_NAME
from sidecar.config.units import boolean, one_of, words
from sidecar.core.text import redacted
from sidecar.runtime.known_hosts import ANY_HOST

_LOG_FORMAT: Final = one_of(("text", "json"))
# What docker-py speaks without further packages.
DOCKER_SCHEMES: Final = ("unix", "http+unix", "tcp", "http", "https")
URL: Final = re.compile(r"[a-z+]+://\S*", re.IGNORECASE)
SMTP_SCHEMES: Final = ("smtp", "smtp+starttls", "smtps")
# Sealed messages can be tested against guessed keys offline, so a key must be long.
MIN_FLEET_KEY_LENGTH: Final = 32
# Tries are limited to a few a minute, so this many random characters cannot be guessed.
MIN_WEB_TOKEN_LENGTH: Final = 16
MAX_WEB_TOKEN_LENGTH: Final = 200
# The one that seals, and the one before or after it.
MAX_FLEET_KEYS: Final = 2


def absolute_path(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute():
        raise ValueError(f'expected a path that starts with /, got "{text}"')
    return path


def absolute_paths(text: str) -> tuple[Path, ...]:
    """Return the paths of a list with commas. Whether they exist is seen when they are opened."""
    return tuple(absolute_path(path.strip()) for path in text.split(",") if path.strip())


def listen_address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not re.fullmatch(r"\d{1,5}", port, re.ASCII) or int(port) > 65_535:
        raise ValueError(f'expected an address and a port such as 127.0.0.1:9734 or [::1]:9734, got "{text}"')
    try:
        return str(ip_address(host)), int(port)
    except ValueError:
        sentence = f'"{host}" is not an address; 127.0.0.1 is this host, 0.0.0.0 all that reach it'
        raise ValueError(sentence) from None


def host_names(text: str) -> tuple[str, ...]:
    """Return the names of hosts, in lower case; `*` is every name."""
    names = tuple(name.lower().rstrip(".") for name in words(text))
    for name in names:
        if name != ANY_HOST and not NODE_NAME.fullmatch(name):
            raise ValueError(f'expected names of hosts without a port, or {ANY_HOST}, got "{name}"')
    return names


def docker_host(text: str) -> str:
    try:
        parts = urlsplit(text)
        where = parts.hostname if "unix" not in parts.scheme else parts.path if not parts.netloc else ""
        valid = parts.scheme in DOCKER_SCHEMES and bool(where) and (parts.port or 1) > 0
        valid = valid and URL.fullmatch(text) is not None
    except ValueError:
        # The port is not a number.
        valid = False
    if not valid:
        # What is not a URL may still contain a password.
        got = f', got "{redacted(text)}"' if URL.fullmatch(text) else ""
        raise ValueError(f"expected unix:///var/run/docker.sock or tcp://host:port{got}")
    return text


def image_globs(text: str) -> tuple[str, ...]:
    return tuple(words(text))


def pod_globs(text: str) -> tuple[str, ...]:
    globs = tuple(words(text))
    for glob in globs:
        if not re.fullmatch(r"!?[^/]+/[^/]+/[^/]+", glob):
            raise ValueError(f'expected namespace/pod/container, as in blog/*/wordpress, got "{glob}"')
    return globs


def log_as_json(text: str) -> bool:
    return _LOG_FORMAT(text) == "json"


def event_target(text: str) -> str:
    """Return `stdout`, `syslog`, `syslog://host:port` or an absolute path; "" for `off`."""
    if text.lower() in ("off", "stdout", "syslog"):
        return "" if text.lower() == "off" else text.lower()
    if text.startswith("syslog://"):
        host, colon, port = text.removeprefix("syslog://").rpartition(":")
        if host and colon and port.isascii() and port.isdecimal() and 0 < int(port) < 65_536:
            return text
    elif text.startswith("/") and not text.endswith("/"):
        return text
    raise ValueError(f'expected off, stdout, syslog, syslog://host:514 or the path of a file, got "{text}"')


def node_name(text: str) -> str:
    if not NODE_NAME.fullmatch(text):
        raise ValueError(f'expected a name of letters, digits, `.`, `-` and `_`, 253 at most, got "{text}"')
    return text


def key_prefix(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.:-]{1,64}", text):
        raise ValueError(f'expected letters, digits, `:`, `.`, `-` and `_`, 64 at most, got "{text}"')
    return text


def fleet_keys(path: str) -> tuple[bytes, ...]:
    """Return the key that seals, and the one that is accepted as well while the fleet changes its key."""
    keys = tuple(line.strip().encode() for line in content_of(path, "the fleet's key").splitlines())
    keys = tuple(filter(None, keys)) or (b"",)
    for key in keys:
        if len(key) < MIN_FLEET_KEY_LENGTH:
            raise ValueError(
                f"{path} holds {len(key)} characters; a key has {MIN_FLEET_KEY_LENGTH} or more:"
                f" openssl rand -hex 32 > {path}"
            )
    if len(keys) > MAX_FLEET_KEYS:
        raise ValueError(
            f"{path} holds {len(keys)} lines; a key is one line, and a second one is the key that is changed"
        )
    return keys


def certificates_file(path: str) -> str:
    content_of(path, "certificates")
    return str(absolute_path(path))


def webhook(url: str) -> str:
    """Return the URL. It is a secret, so an error does not quote it."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid or not re.fullmatch(r"[!-~]+", url):
        raise ValueError("expected one http(s) URL, as Slack shows it for an incoming webhook")
    return url


def webhook_secret(text: str) -> str:
    """Return the secret that signs messages: any text, or base64 behind `whsec_`."""
    if text.startswith("whsec_"):
        try:
            b64decode(text.removeprefix("whsec_"), validate=True)
        except ValueError:
            raise ValueError("expected base64 behind whsec_") from None
    return text


def web_token(text: str) -> str:
    """Return the token of the status page. An error does not quote it."""
    if text.startswith("/"):
        raise ValueError(
            "expected a token, got what looks like a path; name a file with WP_SIDECAR_WEB_TOKEN_FILE"
        )
    if len(text) < MIN_WEB_TOKEN_LENGTH or not text.isprintable():
        raise ValueError(
            f"expected {MIN_WEB_TOKEN_LENGTH} or more printable characters, got {len(text)}: openssl rand -hex 16"
        )
    if len(text) > MAX_WEB_TOKEN_LENGTH:
        raise ValueError(f"expected {MAX_WEB_TOKEN_LENGTH} characters at most, got {len(text)}")
    return text


def smtp_url(url: str) -> str:
    """Return the URL of a mail server. It has a password, so an error does not quote it."""
    try:
        parts = urlsplit(url)
        valid = parts.scheme in SMTP_SCHEMES and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        valid = False
    if not valid:
        raise ValueError("expected smtp://host:25, smtp+starttls://user:password@host:587 or smtps://…:465")
    return url


def mail_addresses(text: str) -> str:
    for address in words(text):
        if not re.fullmatch(r"[^@\s<>]+@[^@\s<>]+", address):
            raise ValueError(f'expected mail addresses, got "{address}"')
    return text


def exec_allowed(text: str) -> str:
    """Return "1" where `exec[...]` may run commands, else ""."""
    return "1" if boolean(text) else ""


def content_of(path: str, what: str) -> str:
    """Return the content of a file that holds `what` and nothing else, without the white space around it."""
    # Without a slash it may be the secret itself, written where its file belongs; no error may quote that.
    if not path.startswith("/"):
        raise ValueError(f"expected the path of a file that holds {what}, and a path starts with /")
    file = Path(path)
    try:
        return file.read_text("utf-8").strip()
    except PermissionError:
        raise ValueError(f"{file} cannot be read; {CAPLESS}") from None
    except IsADirectoryError:
        raise ValueError(f"{file} {DIRECTORY}") from None
    except OSError as err:
        raise ValueError(f"{file} cannot be read: {err.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not text; it has to hold {what} and nothing else") from None
