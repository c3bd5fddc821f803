"""The keys of the jails file: one table that says how each is read, where its value goes and where it is shown.

A new jail key is a row in `JAIL_KEYS`, a field of `core.jail.Jail` with the default, and the code that uses
that field. The row says whether a container's label may override the key, and whether `status` and
`check-config` show it. The other tables are `GLOBAL_KEYS` (they apply to all jails), `FILTER_KEYS` (passed on
to the filter) and `IGNORED_KEYS` (fail2ban's, without a meaning here).
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Flag, auto
from typing import Any, Final, TypeVar

from sidecar.access import log_format
from sidecar.config import cdn
from sidecar.config.errors import unknown
from sidecar.config.units import (
    allowlist_entries,
    ban_duration,
    ban_rate,
    boolean,
    duration,
    is_calculated,
    max_retries,
    number,
    one_of,
    ports,
    proxy_networks,
    share,
    whole_number,
    words,
)
from sidecar.core import bantime_formula
from sidecar.core.bantime_increment import Escalation
from sidecar.core.durations import format_duration
from sidecar.core.jail import Jail, Scope, Success
from sidecar.core.text import closest_match
from sidecar.core.windows import WINDOWS
from sidecar.filters.time_zones import parse_time_zone

T = TypeVar("T")

OBSERVE, ENFORCE = "observe", "enforce"
# `observed` is 0.93 similar to one of these words. None of the modes of fail2ban's filters is more than 0.6.
MIN_MODE_SIMILARITY: Final = 0.7


def unchanged(value: T) -> T:
    return value


def environment_first(environment: T, _: T) -> T:
    return environment


class Shown(Flag):
    """Where the value of a key is shown."""

    NOWHERE = 0
    STATUS = auto()
    CHECK_CONFIG = auto()
    EVERYWHERE = STATUS | CHECK_CONFIG


@dataclass(frozen=True, slots=True)
class JailKey:
    """One key of a jail. Its default is that of the jail's field."""

    name: str
    # Raises ValueError with a sentence.
    parse: Callable[[str], Any]
    # The field of the jail, or of its escalation (`escalation.factor`); "": the name of the key.
    field: str = ""
    # A second field, where `parse` returns two values.
    second_field: str = ""
    # Whether the container label of this name sets the key for that container.
    label: bool = False
    shown: Shown = Shown.NOWHERE
    # The name under which it is shown; "": the name of the key.
    shown_as: str = ""
    # Returns the value as JSON has it; a key with two fields gives a pair.
    to_json: Callable[[Any], Any] = unchanged
    # (text, value) -> a note about a value that is valid but perhaps not what was meant; "": none.
    note: Callable[[str, Any], str] | None = None

    @property
    def target(self) -> str:
        return self.field or self.name

    def fields(self, value: Any) -> dict[str, Any]:  # noqa: ANN401 - the row decides
        """Return the fields with this value."""
        if self.second_field:
            first, second = value
            return {self.target: first, self.second_field: second}
        return {self.target: value}

    def value(self, jail: Jail) -> Any:  # noqa: ANN401 - the row decides
        """Return the value of the key in this jail, for JSON."""
        value = getattr(jail, self.target)
        return self.to_json((value, getattr(jail, self.second_field)) if self.second_field else value)


@dataclass(frozen=True, slots=True)
class GlobalKey:
    """A key that applies to all jails. Most are also a variable; `combine` says which of the two values counts."""

    name: str
    # Raises ValueError with a sentence.
    parse: Callable[[str], Any]
    # The path of the setting.
    path: str
    # (environment's value, file's value) -> the value that counts.
    combine: Callable[[Any, Any], Any] = environment_first
    # Whether the key may stand in a jail too, and the values of all jails are joined.
    in_jails: bool = False

    @property
    def is_combined(self) -> bool:
        """Whether the values of the environment and of the file both count."""
        return self.combine is not environment_first


def filter_reference(text: str) -> str:
    if not text.strip() or "\n" in text.strip():
        raise ValueError("expected one filter: its name, a path, or name[option=value]")
    return text.strip()


def log_paths(text: str) -> tuple[str, ...]:
    """Return one path for each line; fail2ban's `head` or `tail` after a path is dropped."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    paths = tuple(re.sub(r"\s+(?:head|tail)$", "", line) for line in lines)
    for path in paths:
        if not path.startswith("/"):
            raise ValueError(f"expected a path that starts with /, got {path}")
        if re.search(r"[\s,]/", path):
            raise ValueError(f"expected one path a line, got {path}")
    return paths


def selectors(text: str) -> tuple[str, ...]:
    return tuple(words(text))


def observes(text: str) -> bool:
    """Return whether the jail only observes. Any other word is a mode of the filter, unless it looks like a slip."""
    word = text.strip().lower()
    if word in (OBSERVE, ENFORCE):
        return word == OBSERVE
    if closest_match(word, (OBSERVE, ENFORCE), MIN_MODE_SIMILARITY):
        raise ValueError(f'"{word}": {unknown(word, (OBSERVE, ENFORCE))}')
    return False


def access_format(text: str) -> str:
    """Return the text of an access log's format, once it is known to be one."""
    if text.strip():
        log_format.pattern(text)
    return text.strip()


def group_size(text: str) -> int:
    return whole_number(text, at_least=0)


def multipliers(text: str) -> tuple[float, ...]:
    return tuple(number(word) for word in words(text))


def random_time(text: str) -> float:
    return 0.0 if text.strip() == "0" else duration(text)


def optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    """Return a parser that returns None for an empty value, as fail2ban's own jail.conf has them."""

    def parse_if_any(text: str) -> T | None:
        return parse(text) if text.strip() else None

    return parse_if_any


def _retries_note(text: str, count: int) -> str:
    return "0 means 1, as in fail2ban: the first failure is a ban" if text.strip() == "0" and count else ""


def _duration_note(text: str, seconds: float) -> str:
    return f"{text.strip()} is {format_duration(seconds)}" if is_calculated(text) else ""


def _mode(observe: bool) -> str:  # noqa: FBT001 - a value of the jail
    return OBSERVE if observe else ENFORCE


def _text_or_none(text: str) -> str | None:
    return text or None


def _finite(seconds: float) -> float | None:
    return None if seconds == math.inf else seconds


def _numbers(numbers: frozenset[int] | None) -> list[int] | None:
    return None if numbers is None else sorted(numbers)


def _joined(entries: tuple[tuple[str, ...], tuple[str, ...]]) -> list[str]:
    networks, host_names = entries
    return [*networks, *host_names]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def without_secret(reference: str) -> str:
    """Return a reference to a filter without the secret of `wordpress-auth[key=...]`."""
    return re.sub(r"(\bkey\s*=\s*)[^,\]]+", r"\1...", reference)


def _is_set(value: object) -> bool:
    return value is not None


JAIL_KEYS: tuple[JailKey, ...] = (
    JailKey("logpath", log_paths, shown=Shown.CHECK_CONFIG),
    JailKey(
        "ignoreip", allowlist_entries, second_field="ignore_names", shown=Shown.CHECK_CONFIG, to_json=_joined
    ),
    JailKey("filter", filter_reference, shown=Shown.CHECK_CONFIG, to_json=without_secret),
    JailKey("maxretry", max_retries, label=True, shown=Shown.EVERYWHERE, note=_retries_note),
    JailKey("findtime", duration, label=True, shown=Shown.EVERYWHERE, note=_duration_note),
    JailKey(
        "bantime", ban_duration, label=True, shown=Shown.EVERYWHERE, to_json=_finite, note=_duration_note
    ),
    JailKey("port", ports, "ports", shown=Shown.CHECK_CONFIG, shown_as="ports", to_json=_numbers),
    # No label: which ports a site's bans close is the host's to say.
    JailKey("published", boolean, shown=Shown.CHECK_CONFIG),
    JailKey("scope", one_of(Scope), shown=Shown.CHECK_CONFIG, to_json=_text),
    JailKey("containers", selectors, shown=Shown.CHECK_CONFIG),
    JailKey(
        "bantime.increment", boolean, "escalation", shown=Shown.STATUS, shown_as="increment", to_json=_is_set
    ),
    JailKey("bantime.factor", optional(number), "escalation.factor"),
    JailKey("bantime.multipliers", optional(multipliers), "escalation.multipliers"),
    JailKey("bantime.formula", optional(bantime_formula.parse), "escalation.formula"),
    JailKey("bantime.maxtime", optional(duration), "escalation.maxtime"),
    JailKey("bantime.rndtime", optional(random_time), "escalation.rndtime"),
    JailKey("bantime.overalljails", optional(boolean), "escalation.overalljails"),
    JailKey("window", one_of(WINDOWS), shown=Shown.STATUS),
    JailKey("mode", observes, "observe", shown=Shown.STATUS, to_json=_mode),
    JailKey("bangroup", group_size, shown=Shown.STATUS),
    JailKey("aggregate", boolean, shown=Shown.STATUS),
    JailKey(
        "success",
        one_of(
            Success,
            "reset (a login clears the failures before it), proof (only one that an access log proves) or ignore",
        ),
    ),
    JailKey("logformat", access_format, "log_format", shown=Shown.CHECK_CONFIG, to_json=_text_or_none),
    JailKey("logtimezone", parse_time_zone, "log_zone", shown=Shown.CHECK_CONFIG, to_json=_text),
    # No label: a container must not be able to have strangers banned.
    JailKey("witness", boolean, shown=Shown.STATUS),
)

GLOBAL_KEYS: tuple[GlobalKey, ...] = (
    GlobalKey("ban_private", boolean, "allowlist.ban_private", operator.or_),
    GlobalKey("allow_cdn", cdn.parse_names, "allowlist.cdns"),
    GlobalKey("allow_monitoring", cdn.parse_monitors, "allowlist.monitors"),
    GlobalKey("banbudget", ban_rate, "budget.rate"),
    GlobalKey("banshare", share, "budget.share"),
    GlobalKey("siteshare", share, "budget.site_share"),
    GlobalKey("dbpurgeage", duration, "dbpurgeage"),
    GlobalKey("maxbans", whole_number, "max_bans"),
    GlobalKey("trusted_proxies", proxy_networks, "allowlist.trusted_proxies", operator.add, in_jails=True),
)

# Whether the jail runs at all.
ENABLED: Final = "enabled"

# These replace the filter's own.
FILTER_KEYS: Final = (
    "failregex", "ignoreregex", "prefregex", "datepattern", "maxlines", "logtype", "usedns",
)  # fmt: skip
# The values of these are regular expressions, in which `#` and white space have a meaning.
EXPRESSION_KEYS: Final = ("failregex", "ignoreregex", "prefregex", "datepattern")
# The values of these are pasted from another program's configuration, where `%` and `#` are its own.
PASTED_KEYS: Final = ("logformat",)

# `action` (config/actions.py), and the names that its shortcuts are made of.
ACTION_KEYS: Final = (
    "action", "banaction", "banaction_allports", "blocktype", "chain", "destemail", "fail2ban_agent", "mta",
    "protocol", "sender", "sendername",
)  # fmt: skip

# Keys of fail2ban's jail.conf, and of fail2ban.conf, which people also write into their jails.
IGNORED_KEYS: Final = (
    "backend", "ignorecache", "ignorecommand", "ignoreself", "journalmatch", "logencoding", "maxmatches",
    "skip_if_nologs",
    "systemd_if_nologs",
    "allowipv6", "dbfile", "dbmaxmatches", "loglevel", "logtarget", "pidfile", "socket", "stacksize", "syslogsocket",
)  # fmt: skip

# Jetpack calls xmlrpc.php from here (https://jetpack.com/support/how-to-add-jetpack-ips-allowlist/).
JETPACK: Final = "192.0.64.0/18"
# An hour, 4 hours, a day, a week: a person with a forgotten password waits an hour, and a machine gets a tenth of the
# guesses of a month that bans of a day leave it (docs/wordpress.md, tests/config/test_growing_bans.py).
GROWING_BANS: Final[Mapping[str, Any]] = {
    "bantime": 3_600.0,
    "escalation": Escalation(multipliers=(1.0, 4.0, 24.0, 168.0), maxtime=7 * 86_400.0),
}
# The jails that run where the jails file has none, with what differs from the defaults of every jail. Two read the log
# lines of plugins, in which every failure is one; an access log also shows harmless requests. docs/wordpress.md has the
# reasons for the numbers of wordpress-xmlrpc.
BUILTIN_JAILS: Final[Mapping[str, Mapping[str, Any]]] = {
    "wordpress": {"maxretry": 3, "success": Success.PROOF},
    "wordpress-access": {"success": Success.RESET, **GROWING_BANS},
    "wordpress-auth": {"maxretry": 3, "success": Success.PROOF},
    "wordpress-xmlrpc": {"maxretry": 30, "findtime": 600.0, "bantime": 3_600.0, "ignoreip": (JETPACK,)},
}
# Built-in jails whose limits stand as if their own section had them: [DEFAULT] does not change them. Each call of
# xmlrpc.php counts, so the `maxretry` of other jails would ban the WordPress apps.
OWN_LIMITS: Final[Mapping[str, frozenset[str]]] = {
    "wordpress-xmlrpc": frozenset({"maxretry", "findtime", "bantime"})
}


def is_jail_key(name: str) -> bool:
    """Return whether the key may stand in a jail and means something there."""
    in_jails = {each.name for each in GLOBAL_KEYS if each.in_jails}
    return name in {ENABLED, *(each.name for each in JAIL_KEYS), *in_jails}


def is_global_only(name: str) -> bool:
    """Return whether the key may stand in [DEFAULT] only."""
    return any(each.name == name and not each.in_jails for each in GLOBAL_KEYS)


def known_keys() -> frozenset[str]:
    """Return every key that may stand in the jails file."""
    return frozenset(
        {
            ENABLED,
            *(each.name for each in JAIL_KEYS),
            *(each.name for each in GLOBAL_KEYS),
            *FILTER_KEYS,
            *ACTION_KEYS,
            *IGNORED_KEYS,
        }
    )


def default_jail(name: str) -> Jail:
    """Return the jail as it is where the file sets no key."""
    return Jail(name, filter=name, **BUILTIN_JAILS.get(name, {}))


def shown(jail: Jail, where: Shown) -> dict[str, Any]:
    """Return the keys that are shown there, with their values as JSON has them."""
    return {each.shown_as or each.name: each.value(jail) for each in JAIL_KEYS if each.shown & where}
