# ruff: noqa: PTH110 - pathlib's own raises where a folder may not be looked into
"""The environment variables: one table that says how each is read and where its value goes.

A new variable is a row in `VARIABLES` and a field of the settings. The row says the rest: how it is read,
whether a reload can change it, whether a file may hold it, and with which sources it has an effect.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from os.path import exists
from pathlib import Path
from typing import Any, Final, TypeVar

from sidecar.config import cdn
from sidecar.config.errors import ConfigError, unknown
from sidecar.config.jail_keys import is_jail_key
from sidecar.config.redis_url import parse_redis_url
from sidecar.config.settings import SourceKind
from sidecar.config.state import STATE_VARIABLE
from sidecar.config.units import (
    allowlist_entries,
    ban_rate,
    boolean,
    one_of,
    proxy_networks,
    share,
    too_wide,
)
from sidecar.config.variable_values import (
    absolute_path,
    absolute_paths,
    certificates_file,
    content_of,
    docker_host,
    event_target,
    exec_allowed,
    fleet_keys,
    host_names,
    image_globs,
    key_prefix,
    listen_address,
    log_as_json,
    mail_addresses,
    node_name,
    pod_globs,
    smtp_url,
    web_token,
    webhook,
    webhook_secret,
)
from sidecar.core.containers import LabelTrust
from sidecar.core.text import redacted

T = TypeVar("T")

PREFIX: Final = "WP_SIDECAR_"
# Kubernetes sets these in every pod for a Service that is named wp-sidecar.
KUBERNETES: Final = re.compile(rf"{PREFIX}(?:SERVICE_|PORT(?:_|$))")
# The path of a setting that has no field: it goes into `fleet.redis`.
REDIS_CA: Final = "fleet.redis.ca"


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable."""

    name: str
    # The path of the setting; its default is the variable's.
    path: str
    # Raises ValueError with a sentence.
    parse: Callable[[str], Any]
    # False: a reload keeps the value of the start, and says that a restart is needed.
    reloadable: bool = True
    # What a file holds that the variable `<name>_FILE` names, in words; "": there is no such variable.
    file_holds: str = ""
    # The sources with which the variable has an effect; empty: all.
    sources: tuple[SourceKind, ...] = ()

    @property
    def file_variable(self) -> str:
        """The variable that names a file with the value; "" where there is none."""
        return f"{self.name}_FILE" if self.file_holds else ""


@dataclass(frozen=True, slots=True)
class FileVariable:
    """A variable that names a configuration file or folder."""

    name: str
    # May be missing, while a path that is set may not.
    default: Path


JAILS_FILE: Final = FileVariable(f"{PREFIX}JAILS", Path("/etc/wp-sidecar/jails.conf"))
FILTERS_FOLDER: Final = FileVariable(f"{PREFIX}FILTERS", Path("/etc/wp-sidecar/filters"))
CDN_FILE: Final = FileVariable(f"{PREFIX}CDN_FILE", Path("/etc/wp-sidecar/cdn.conf"))
MONITORING_FILE: Final = FileVariable(f"{PREFIX}MONITORING_FILE", Path("/etc/wp-sidecar/monitoring.conf"))
ACTIONS_FOLDER: Final = FileVariable(f"{PREFIX}ACTIONS", Path("/etc/wp-sidecar/action.d"))
FILE_VARIABLES: Final = (JAILS_FILE, FILTERS_FOLDER, ACTIONS_FOLDER, CDN_FILE, MONITORING_FILE)

LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
EVENT_FORMATS: Final = ("fail2ban", "json")
FILE_SOURCES: Final = (SourceKind.CRI, SourceKind.DOCKER_FILES)
VARIABLES: tuple[Variable, ...] = (
    Variable(STATE_VARIABLE, "paths.state", absolute_path, reloadable=False),
    Variable(f"{PREFIX}SOCKET", "paths.socket", absolute_path, reloadable=False),
    Variable(f"{PREFIX}GEOIP", "paths.geoip", absolute_paths),
    Variable(f"{PREFIX}LISTEN", "listen", listen_address, reloadable=False),
    Variable(f"{PREFIX}LISTEN_NAMES", "listen_names", host_names, reloadable=False),
    Variable(f"{PREFIX}WEB_TOKEN", "web_token", web_token, file_holds="the status page's token"),
    Variable("DOCKER_HOST", "sources.docker_host", docker_host, reloadable=False),
    Variable(f"{PREFIX}SOURCE", "sources.kind", one_of(SourceKind), reloadable=False),
    Variable(f"{PREFIX}LOGS", "sources.logs", absolute_path, reloadable=False, sources=FILE_SOURCES),
    Variable(f"{PREFIX}PODS", "sources.pods", pod_globs, reloadable=False, sources=(SourceKind.CRI,)),
    Variable(
        f"{PREFIX}KUBERNETES_API", "sources.kubernetes_api", boolean,
        reloadable=False, sources=(SourceKind.CRI,),
    ),
    Variable(f"{PREFIX}LABELS", "sources.labels", one_of(LabelTrust)),
    Variable(
        f"{PREFIX}IMAGE_LABELS", "sources.image_labels", image_globs,
        reloadable=False, sources=(SourceKind.DOCKER, SourceKind.DOCKER_FILES),
    ),
    Variable(f"{PREFIX}SYSLOG", "sources.syslog", absolute_path, reloadable=False),
    Variable(f"{PREFIX}REDIS_CA", REDIS_CA, certificates_file, reloadable=False),
    Variable(
        f"{PREFIX}REDIS_URL", "fleet.redis", parse_redis_url, reloadable=False, file_holds="Redis's URL"
    ),
    Variable(f"{PREFIX}REDIS_PREFIX", "fleet.prefix", key_prefix, reloadable=False),
    Variable(f"{PREFIX}NODE", "node", node_name, reloadable=False),
    Variable(f"{PREFIX}FLEET_KEY_FILE", "fleet.keys", fleet_keys),
    Variable(f"{PREFIX}LOG_LEVEL", "log.level", one_of(LOG_LEVELS), reloadable=False),
    Variable(f"{PREFIX}LOG_FORMAT", "log.as_json", log_as_json, reloadable=False),
    Variable(f"{PREFIX}EVENT_LOG", "log.events", event_target, reloadable=False),
    Variable(f"{PREFIX}EVENT_FORMAT", "log.event_format", one_of(EVENT_FORMATS), reloadable=False),
    Variable(f"{PREFIX}IGNOREIP", "allowlist.ignoreip", allowlist_entries),
    Variable(f"{PREFIX}TRUSTED_PROXIES", "allowlist.trusted_proxies", proxy_networks),
    Variable(f"{PREFIX}ALLOW_CDN", "allowlist.cdns", cdn.parse_names),
    Variable(f"{PREFIX}ALLOW_MONITORING", "allowlist.monitors", cdn.parse_monitors),
    Variable(f"{PREFIX}CLOUD_METADATA", "cloud_metadata", boolean, reloadable=False),
    Variable(f"{PREFIX}BAN_PRIVATE", "allowlist.ban_private", boolean),
    Variable(f"{PREFIX}BANBUDGET", "budget.rate", ban_rate),
    Variable(f"{PREFIX}BANSHARE", "budget.share", share),
    Variable(f"{PREFIX}SITESHARE", "budget.site_share", share),
    Variable(f"{PREFIX}FLUSH_ON_EXIT", "flush_on_exit", boolean),
    Variable("SLACK_WEBHOOK_URL", "alerts.slack", webhook, file_holds="the webhook's URL"),
    Variable(f"{PREFIX}WEBHOOK_URL", "alerts.webhook", webhook, file_holds="the webhook's URL"),
    Variable(
        f"{PREFIX}WEBHOOK_SECRET", "alerts.webhook_secret", webhook_secret, file_holds="the secret of signatures"
    ),
    Variable(f"{PREFIX}APPRISE_URL", "alerts.apprise", str, file_holds="Apprise's URLs"),
    Variable(f"{PREFIX}SMTP_URL", "alerts.smtp", smtp_url, file_holds="the mail server's URL"),
    Variable(f"{PREFIX}MAIL_TO", "alerts.mail", mail_addresses),
    Variable(f"{PREFIX}MAIL_FROM", "alerts.mail_from", mail_addresses),
    Variable(f"{PREFIX}EXEC", "alerts.exec", exec_allowed),
)  # fmt: skip


def known_names() -> list[str]:
    """Return the names of all variables that are read."""
    names = [each.name for each in FILE_VARIABLES]
    for variable in VARIABLES:
        names += filter(None, (variable.name, variable.file_variable))
    return names


def variable_for(path: str) -> Variable:
    """Return the variable that sets the setting with this path."""
    return next(each for each in VARIABLES if each.path == path)


class Environment:
    """The variables of one environment. An empty one counts as not set, because compose writes `${X:-}`.

    `errors` and `notes` grow as values are read.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._texts = {name: text.strip() for name, text in environ.items() if text.strip()}
        self.errors: list[ConfigError] = []
        self.notes: list[str] = []

    def values(self) -> dict[str, Any]:
        """Return the values that are set, by the paths of the settings. What is wrong goes to `errors`."""
        self._check_names()
        found = {}
        for variable in VARIABLES:
            if (value := self._value(variable)) is not None:
                found[variable.path] = value
        self._note_without_effect(found.get("sources.kind", SourceKind.DOCKER))
        ignoreip = found.get("allowlist.ignoreip")
        for net in too_wide(ignoreip.networks if ignoreip else ()):
            self.note(f"{PREFIX}IGNOREIP", f"nobody in {net} is ever banned")
        return found

    def path(self, variable: FileVariable) -> Path | None:
        """Return the file that the variable names, or else its default; None where the default does not exist."""
        if text := self._texts.get(variable.name):
            if not exists(text):
                sentence = f"{text} does not exist; correct the path, or mount it into the container"
                self.error(variable.name, sentence)
                return None
            return Path(text)
        try:
            variable.default.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            # It exists; reading it will say what is wrong.
            pass
        return variable.default

    def error(self, name: str, sentence: str) -> None:
        self.errors.append(ConfigError("environment", "", name, sentence))

    def note(self, name: str, sentence: str) -> None:
        self.notes.append(f"environment: {name}: {sentence}")

    def _value(self, variable: Variable) -> Any | None:  # noqa: ANN401 - the variable decides
        """Return the value, from the variable or from the file that its other variable names."""
        name, file = variable.name, variable.file_variable
        if file in self._texts:
            if name in self._texts:
                self.error(name, f"is set, and so is {file}; keep one of the two")
                return None
            return self._parsed(file, lambda path: variable.parse(content_of(path, variable.file_holds)))
        return self._parsed(name, variable.parse) if name in self._texts else None

    def _parsed(self, name: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(self._texts[name])
        except ValueError as err:
            # A URL may stand where something else was meant, and most sentences quote what they got.
            text = self._texts[name]
            self.error(name, str(err).replace(text, redacted(text)))
            return None

    def _check_names(self) -> None:
        known = known_names()
        for name in self._texts:
            if name.startswith(PREFIX) and name not in known and not KUBERNETES.match(name):
                self.error(name, _about_unknown(name, known))

    def _note_without_effect(self, source: SourceKind) -> None:
        for variable in VARIABLES:
            if variable.sources and source not in variable.sources and variable.name in self._texts:
                sources = " or ".join(variable.sources)
                self.note(variable.name, f"has an effect only with {PREFIX}SOURCE={sources}")


def _about_unknown(name: str, known: Iterable[str]) -> str:
    """Return a sentence about an unknown variable."""
    # Names are compared without the prefix that all share, as that would make any two of them similar.
    word = name.removeprefix(PREFIX).upper()
    if is_jail_key(key := word.lower()):
        return f"is not a variable; set `{key} = …` in the jails file, in a jail or in [DEFAULT]"
    return unknown(word, [each.removeprefix(PREFIX) for each in known if each.startswith(PREFIX)], PREFIX)
