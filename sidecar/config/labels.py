"""A container's labels -> what they say over its jails, or a sentence about what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from sidecar.config.mistakes import unknown
from sidecar.config.units import duration, retries, spared
from sidecar.core.policy import Policy
from sidecar.core.selection import JAILS, LABEL, Container, enabled, named

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
) -> tuple[dict[str, Policy], dict[str, str]]:
    """Container's name -> its policy, and container's name -> what is wrong with its labels, in one sentence.

    A label that is wrong is as if it were not there: the jail's own value holds, and the container stays watched.
    """
    found: dict[str, Policy] = {}
    wrong: dict[str, str] = {}
    for container in containers:
        mistakes: list[str] = []
        policy = _policy(container, mistakes)
        if (word := container.labels.get(LABEL)) and enabled(container) is None:
            mistakes.append(f'{LABEL}: expected true or false, got "{word}"')
        if unheard := sorted((named(container) or frozenset()) - frozenset(jails)):
            mistakes.append(f"{JAILS}: no jail is named {', '.join(unheard)}; there are {', '.join(jails)}")
        if policy != Policy():
            found[container.name] = policy
        if mistakes:
            wrong[container.name] = f"labels of {container.name}: {'; '.join(mistakes)}"
    return found, wrong


def _policy(container: Container, mistakes: list[str]) -> Policy:
    given: dict[str, Any] = {}
    for label, text in container.labels.items():
        if not label.startswith(PREFIX):
            continue
        if label not in KNOWN:
            mistakes.append(f"{label}: {unknown(label, KNOWN)}")
        elif label in OURS:
            field, parse = OURS[label]
            try:
                given[field] = parse(text)
            except ValueError as err:
                mistakes.append(f"{label}: {err}")
    allow, names = given.pop("allow", ((), ()))
    return Policy(**given, allow=allow, allow_names=names)
