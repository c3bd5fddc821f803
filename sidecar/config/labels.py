"""The labels of a container: one table that says how each is read and what it sets over the jails.

A jail key with `label=True` in `jail_keys.py` is a label of the same name; `LABELS` has the others. A label
that is wrong is ignored and reported: the jail's own value holds, and the container stays watched.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from sidecar.config import jail_keys
from sidecar.config.errors import unknown
from sidecar.config.jail_keys import ENFORCE, OBSERVE, access_format
from sidecar.config.units import allowlist_entries_without_files, boolean, proxy_networks, words
from sidecar.core.containers import (
    ENABLE_LABEL,
    JAILS_LABEL,
    LABEL_PREFIX,
    LOG_FORMAT_LABEL,
    Container,
    requested_jails,
)
from sidecar.core.overrides import Overrides

PREFIX: Final = LABEL_PREFIX
# The field of the jail that says how access logs are written.
LOG_FORMAT: Final = "log_format"


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
    word = text.strip().lower()
    if word not in (OBSERVE, ENFORCE):
        raise ValueError(f'expected {OBSERVE} or {ENFORCE}, got "{text}"')
    return word == OBSERVE


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


def read(
    containers: Iterable[Container], jails: Collection[str]
) -> tuple[dict[str, Overrides], dict[str, str]]:
    """Return what the labels of containers set, and what is wrong with them; both by the container's name.

    A container whose labels set nothing is not in the first, one whose labels are right not in the second. What is
    wrong with the labels of a container is one sentence.
    """
    known = known_labels()
    found: dict[str, Overrides] = {}
    sentences: dict[str, str] = {}
    for container in containers:
        overrides, errors = _overrides(container, known)
        if missing := sorted((requested_jails(container) or frozenset()) - frozenset(jails)):
            errors.append(
                f"{JAILS_LABEL}: no jail is named {', '.join(missing)}; there are {', '.join(jails)}"
            )
        if overrides != Overrides():
            found[container.name] = overrides
        if errors:
            sentences[container.name] = f"labels of {container.name}: {'; '.join(errors)}"
    return found, sentences


def _overrides(container: Container, known: Mapping[str, Label]) -> tuple[Overrides, list[str]]:
    errors: list[str] = []
    values: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name, text in container.labels.items():
        if not name.startswith(PREFIX):
            continue
        if name not in known:
            errors.append(f"{name}: {unknown(name, known)}")
            continue
        label = known[name]
        try:
            value = label.parse(text)
        except ValueError as err:
            errors.append(f"{name}: {err}")
            continue
        if label.jail_field:
            values[label.jail_field] = value
        elif label.own_fields:
            own |= zip(label.own_fields, value if len(label.own_fields) > 1 else (value,), strict=True)
    return Overrides(values, **own), errors
