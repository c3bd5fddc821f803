"""A container's labels -> what they say over its jails, or a sentence about what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from sidecar.config.errors import unknown
from sidecar.config.units import duration, retries, spared
from sidecar.core.containers import JAILS, LABEL, Container, enabled, named
from sidecar.core.overrides import Overrides

PREFIX: Final = "wp-sidecar."
PROXIES: Final = f"{PREFIX}trusted-proxies"  # of all containers alike: it is read where the others are


def _mode(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("observe", "enforce"):
        raise ValueError(f'expected observe or enforce, got "{text}"')
    return word == "observe"


OURS: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    f"{PREFIX}maxretry": ("maxretry", retries),
    f"{PREFIX}findtime": ("findtime", duration),
    f"{PREFIX}bantime": ("bantime", lambda text: duration(text, for_good=True)),
    f"{PREFIX}mode": ("observe", _mode),
    f"{PREFIX}allow": ("allow", lambda text: spared(text, files=False)),
}
KNOWN: Final = (*OURS, LABEL, JAILS, PROXIES)


def policies(
    containers: Iterable[Container], jails: Collection[str]
) -> tuple[dict[str, Overrides], dict[str, str]]:
    """Container's name -> its policy, and container's name -> what is wrong with its labels, in one sentence.

    A label that is wrong is as if it were not there: the jail's own value holds, and the container stays watched.
    """
    found: dict[str, Overrides] = {}
    wrong: dict[str, str] = {}
    for container in containers:
        errors: list[str] = []
        overrides = _policy(container, errors)
        if (word := container.labels.get(LABEL)) and enabled(container) is None:
            errors.append(f'{LABEL}: expected true or false, got "{word}"')
        if unheard := sorted((named(container) or frozenset()) - frozenset(jails)):
            errors.append(f"{JAILS}: no jail is named {', '.join(unheard)}; there are {', '.join(jails)}")
        if overrides != Overrides():
            found[container.name] = overrides
        if errors:
            wrong[container.name] = f"labels of {container.name}: {'; '.join(errors)}"
    return found, wrong


def _policy(container: Container, errors: list[str]) -> Overrides:
    given: dict[str, Any] = {}
    for label, text in container.labels.items():
        if not label.startswith(PREFIX):
            continue
        if label not in KNOWN:
            errors.append(f"{label}: {unknown(label, KNOWN)}")
        elif label in OURS:
            field, parse = OURS[label]
            try:
                given[field] = parse(text)
            except ValueError as err:
                errors.append(f"{label}: {err}")
    allow, names = given.pop("allow", ((), ()))
    return Overrides(**given, allow=allow, allow_names=names)
