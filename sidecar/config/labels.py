"""The labels of a container: one table that says how each is read and what it sets over the jails.

A jail key with `label=True` in `jail_keys.py` is a label of the same name; `LABELS` has the others. A label
that is wrong is ignored and reported: the jail's own value applies, and the container stays watched.

By default a label decides about its own container alone, and within limits (`LabelTrust.STRENGTHEN`): trusted proxies
count for its own log, and times are neither shorter than the jail's nor much longer. A container's labels include those
of its image, which may be a stranger's: such a label says at most that the container is watched. docs/configuration.md
has the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from sidecar.access.log_format import is_quick
from sidecar.config import jail_keys
from sidecar.config.errors import unknown
from sidecar.config.jail_keys import ENFORCE, OBSERVE, access_format
from sidecar.config.units import allowlist_entries_without_files, boolean, one_of, proxy_networks, words
from sidecar.core.allowlist import IGNOREIP
from sidecar.core.allowlist_bounds import bound
from sidecar.core.containers import (
    ENABLE_LABEL,
    JAILS_LABEL,
    LABEL_PREFIX,
    LOG_FORMAT_LABEL,
    MAX_LABEL_CHARS,
    Container,
    LabelTrust,
    is_enabled,
    is_of_image,
    requested_jails,
)
from sidecar.core.durations import format_duration
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides, limits
from sidecar.core.text import printable

PREFIX: Final = LABEL_PREFIX
# The field of the jail that says how access logs are written.
LOG_FORMAT: Final = "log_format"

# Labels with the prefix that are read of one container: an image may have any number.
MAX_LABELS: Final = 50
# Host names in the labels of one container, and of all together. Each is looked up once a minute.
MAX_NAMES: Final = 16
MAX_NAMES_OF_ALL: Final = 256
# Networks in the labels of one container.
MAX_NETWORKS: Final = 256
# Of what is wrong with one container's labels, in a sentence.
MAX_ERRORS_SHOWN: Final = 8
MAX_ERROR_CHARS: Final = 300
# Of labels that do not count because they may be of an image.
MAX_NAMES_SHOWN: Final = 4
MAX_IMAGE_CHARS: Final = 128
# No label has a longer name.
MAX_NAME_CHARS: Final = 64
_MODE: Final = one_of((OBSERVE, ENFORCE))


@dataclass(frozen=True, slots=True)
class Label:
    """One label of a container."""

    name: str
    # Raises ValueError with a sentence.
    parse: Callable[[str], Any]
    # The field of the jail that it sets.
    jail_field: str = ""
    # The fields of the overrides that it sets; where there are two, `parse` returns a pair.
    own_fields: tuple[str, ...] = ()


def enable(text: str) -> bool | None:
    """Return whether the container is watched; None for an empty label. `core.containers` acts on it."""
    return boolean(text) if text else None


def mode(text: str) -> bool:
    """Return whether the jails only observe this container."""
    return _MODE(text) == OBSERVE


# The first two choose what is watched, which `core.containers` does. They are here to be known and checked.
LABELS: tuple[Label, ...] = (
    Label(ENABLE_LABEL, enable),
    Label(JAILS_LABEL, words),
    Label(f"{PREFIX}mode", mode, "observe"),
    Label(LOG_FORMAT_LABEL, access_format, LOG_FORMAT),
    Label(f"{PREFIX}allow", allowlist_entries_without_files, own_fields=("ignoreip", "ignore_names")),
    Label(f"{PREFIX}trusted-proxies", proxy_networks, own_fields=("trusted_proxies",)),
)


def known_labels() -> dict[str, Label]:
    """Return every label by its name."""
    of_jail_keys = (
        Label(f"{PREFIX}{key.name}", key.parse, key.target) for key in jail_keys.JAIL_KEYS if key.label
    )
    return {label.name: label for label in (*of_jail_keys, *LABELS)}


class LabelsRead(NamedTuple):
    """What labels set, and what is wrong with them; each by the container's name."""

    # A container whose labels set nothing is absent.
    overrides: dict[str, Overrides]
    # One sentence for each container whose labels are not right.
    problems: dict[str, str]
    # The labels that have an effect, as `name=value`.
    in_force: dict[str, tuple[str, ...]]


def read(
    containers: Iterable[Container], jails: Sequence[Jail], trust: LabelTrust = LabelTrust.STRENGTHEN
) -> LabelsRead:
    """Return what the labels of containers set over these jails, as far as they are trusted."""
    known = known_labels()
    found = LabelsRead({}, {}, {})
    readings = [_Reading(container, jails, trust) for container in containers]
    for reading in readings:
        reading.read(known)
    names_left = MAX_NAMES_OF_ALL
    # Those with few names first, so that one container does not use up what there is for all.
    for reading in sorted(readings, key=lambda each: len(each.overrides.ignore_names)):
        names_left = reading.limit_names(names_left)
        name = reading.container.name
        if not reading.overrides.is_empty:
            found.overrides[name] = reading.overrides
        if reading.errors:
            found.problems[name] = _sentence(name, reading.errors)
        if reading.in_force:
            found.in_force[name] = tuple(reading.in_force)
    return found


class _Reading:
    """The labels of one container, as they are read."""

    def __init__(self, container: Container, jails: Sequence[Jail], trust: LabelTrust) -> None:
        self.container = container
        self.overrides = Overrides(limited=trust is not LabelTrust.ALL)
        self.errors: list[str] = []
        self.in_force: list[str] = []
        self._jails, self._trust = jails, trust

    def read(self, known: Mapping[str, Label]) -> None:
        """Read all labels of ours."""
        ours = [(name, text) for name, text in self.container.labels.items() if name.startswith(PREFIX)]
        if ours and self._trust is LabelTrust.NONE:
            self._error(f"{len(ours)} labels are ignored: WP_SIDECAR_LABELS=none")
            return
        if len(ours) > MAX_LABELS:
            self._error(f"only {MAX_LABELS} of {len(ours)} labels are read; remove some")
        unheard = self._labels_of_image()
        values: dict[str, Any] = {}
        own: dict[str, Any] = {}
        # Those that are known first: an image may have any number of others.
        for name, text in sorted(ours, key=lambda label: label[0] not in known)[:MAX_LABELS]:
            if name in unheard or (parsed := self._parsed(known, name, text)) is None:
                continue
            label, value = parsed
            if label.jail_field:
                values[label.jail_field] = value
            elif label.own_fields:
                own |= zip(label.own_fields, value if len(label.own_fields) > 1 else (value,), strict=True)
            if value is not None and name != JAILS_LABEL:
                self.in_force.append(f"{name}={printable(text, MAX_ERROR_CHARS)}")
        self.overrides = replace(self.overrides, values=values, **own)
        self._check_jails()
        self._limit()

    def limit_names(self, left: int) -> int:
        """Keep at most this many host names. Return how many are left for others."""
        names = self.overrides.ignore_names
        most = min(left, MAX_NAMES)
        if len(names) > most:
            self._error(
                f"{len(names)} host names are too many; {most} are looked up (of one container at most {MAX_NAMES}, of "
                f"all {MAX_NAMES_OF_ALL}). Name networks, or use ignoreip in the jails file"
            )
            self.overrides = replace(self.overrides, ignore_names=names[:most])
        return left - min(len(names), most)

    def _labels_of_image(self) -> frozenset[str]:
        """Return the labels that do not count because they may be of the image, and report them.

        What an image may set is that its container is watched: not to do so would protect less.
        """
        watches = ENABLE_LABEL if is_enabled(self.container, self._trust) else ""
        unheard = sorted(
            name
            for name in self.container.image_labels
            if is_of_image(self.container, name, self._trust) and name != watches
        )
        if unheard:
            image, why = printable(self.container.image, MAX_IMAGE_CHARS), self.container.image_error
            whose = (
                f"may be set by the image {image}, which cannot be inspected ({why})"
                if why
                else f"set by the image {image}"
            )
            names = ", ".join(printable(name, MAX_NAME_CHARS) for name in unheard[:MAX_NAMES_SHOWN])
            more = f" and {len(unheard) - MAX_NAMES_SHOWN} more" if len(unheard) > MAX_NAMES_SHOWN else ""
            self.errors.append(
                f"{names}{more}: {whose}, so ignored; if you trust the image, name it in WP_SIDECAR_IMAGE_LABELS"
            )
        return frozenset(unheard)

    def _parsed(self, known: Mapping[str, Label], name: str, text: str) -> tuple[Label, Any] | None:
        """Return the label and its value; None, and what is wrong with it, where it sets nothing."""
        if name not in known:
            # A long name is not a slip, and to look for a similar one would take long.
            self._error(f"{name}: {unknown(name, known) if len(name) <= MAX_NAME_CHARS else 'unknown'}")
        elif len(text) > MAX_LABEL_CHARS:
            self._error(f"{name}: is longer than {MAX_LABEL_CHARS} characters; shorten it")
        else:
            try:
                return known[name], known[name].parse(text)
            except ValueError as err:
                self._error(f"{name}: {err}")
        return None

    def _check_jails(self) -> None:
        """Report the jails that the label names and that do not look at this container."""
        if JAILS_LABEL not in self.container.labels or is_of_image(self.container, JAILS_LABEL, self._trust):
            return
        requested = requested_jails(self.container, self._jails, self._trust)
        if requested is None:
            self._error(
                f"{JAILS_LABEL}: names no jail, so the jails of the settings watch it; remove it, or name one"
            )
            return
        instead = "" if requested.granted else ", so the jails of the settings watch it"
        if requested.unknown:
            names = ", ".join(jail.name for jail in self._jails)
            unknown_names = ", ".join(requested.unknown)
            self._error(f"{JAILS_LABEL}: no jail is named {unknown_names}{instead}; there are {names}")
        if requested.refused:
            self._error(
                f"{JAILS_LABEL}: {', '.join(requested.refused)} is for other containers or for files{instead}; "
                "name this container in its `containers`, or set WP_SIDECAR_LABELS=all"
            )
        if requested.granted:
            self.in_force.append(f"{JAILS_LABEL}={', '.join(sorted(requested.granted))}")

    def _limit(self) -> None:
        """Apply the limits of labels that are trusted with their own container alone."""
        if self.overrides.limited:
            self._report_limits(self.overrides)
            self._check_format()
        self.overrides = replace(
            self.overrides,
            ignoreip=self._bounded("allow", self.overrides.ignoreip),
            trusted_proxies=self._bounded("trusted-proxies", self.overrides.trusted_proxies),
        )

    def _check_format(self) -> None:
        """Leave out a format that may take long: while a line is read, no other line of this host is."""
        text = self.overrides.values.get(LOG_FORMAT)
        if text and not is_quick(text):
            self._error(
                f"{LOG_FORMAT_LABEL}: has values that may be anything and that nothing certain separates; put a blank "
                "or quotes between them, or use logformat in the jails file"
            )
            values = {name: value for name, value in self.overrides.values.items() if name != LOG_FORMAT}
            self.overrides = replace(self.overrides, values=values)

    def _bounded(self, label: str, networks: Sequence[str]) -> tuple[str, ...]:
        """Return those of the networks that one container may have on an allowlist, and report the others."""
        counted = tuple(networks[:MAX_NETWORKS])
        if len(networks) > MAX_NETWORKS:
            number = f"{MAX_NETWORKS} of {len(networks)}"
            self._error(f"{PREFIX}{label}: only {number} networks count; use the jails file")
        refused = {each.network for each in bound({IGNOREIP: counted}).refused}
        if refused:
            named = ", ".join(network for network in counted if network in refused)
            self._error(f"{PREFIX}{label}: too much for one container; use narrower networks than {named}")
        return tuple(network for network in counted if network not in refused)

    def _report_limits(self, overrides: Overrides) -> None:
        """Report the values that are less or more than a label may set."""
        for field, value in overrides.values.items():
            allowed = [limits(jail)[field] for jail in self._jails if field in limits(jail)]
            held = {min(max(value, least), most) for least, most in allowed}
            if held - {value}:
                show = str if field == "maxretry" else format_duration
                self._error(
                    f"{PREFIX}{field}: {show(value)} is not what a label may set here; "
                    f"{', '.join(map(show, sorted(held)))} applies. Set it in the jails file, or WP_SIDECAR_LABELS=all"
                )

    def _error(self, sentence: str) -> None:
        self.errors.append(printable(sentence, MAX_ERROR_CHARS))


def _sentence(name: str, errors: Sequence[str]) -> str:
    shown = [*errors[:MAX_ERRORS_SHOWN]]
    if len(errors) > MAX_ERRORS_SHOWN:
        shown.append(f"and {len(errors) - MAX_ERRORS_SHOWN} more")
    return f"labels of {name}: {'; '.join(shown)}"
