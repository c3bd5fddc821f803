"""Which containers are watched, and by which jails.

`wp-sidecar.enable=true` chooses a container. Where no container carries that label, every one whose image is a
WordPress does. `wp-sidecar.enable=false` always excludes, whatever else would choose it.
`wp-sidecar.jails=wordpress,probes` says which jails look at a container, and that it is watched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from sidecar.core.jail import Jail

LABEL = "wp-sidecar.enable"
JAILS = "wp-sidecar.jails"
_JAIL_NAMES = re.compile(r"""["']([^"']+)["']|([^\s,"']+)""")
YES = frozenset(
    {"true", "yes", "on", "1"}
)  # of a label as of the jails file; YAML's own words are among them
NO = frozenset({"false", "no", "off", "0"})
WORDPRESSES = ("*/*wordpress*/*", "*/*/*wordpress*")  # the pods that nobody has to name


@dataclass(frozen=True, slots=True)
class Container:
    """A running container, as its engine describes it."""

    id: str
    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    published: frozenset[int] = frozenset()  # the host's ports that lead to it
    gateways: tuple[str, ...] = ()  # of its networks: what reaches it through the host comes from these
    proxied: bool = False  # published for IPv6 and without an IPv6 network: such clients come as its gateway
    past: bool = False  # on a network that goes past the host's firewall (macvlan, ipvlan)


def choose(
    containers: Sequence[Container], jails: Iterable[Jail], found: frozenset[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Container id -> the names of the jails that look at it; unwatched containers are absent.

    `found`: the ids of those that nobody had to name; None: the `discovered`. A jail with `containers`
    looks at those; one with `logpath` alone at none, unless that is absent; one with neither at the found.
    """
    found = discovered(containers) if found is None else found
    chosen: dict[str, tuple[str, ...]] = {}
    for container in containers:
        names = tuple(jail.name for jail in jails if _looks_at(jail, container, found))
        if names:
            chosen[container.id] = names
    return chosen


def enabled(container: Container) -> bool | None:
    """What its label says: look at it, or never; None: nothing, or no word that is known."""
    word = container.labels.get(LABEL, "").strip().lower()
    return True if word in YES else False if word in NO else None


def discovered(containers: Iterable[Container]) -> frozenset[str]:
    """The ids of the containers that nobody had to name."""
    allowed = [c for c in containers if enabled(c) is not False]
    labelled = [c for c in allowed if enabled(c)]
    return frozenset(c.id for c in labelled or allowed if labelled or "wordpress" in c.image)


def in_pods(containers: Sequence[Container], globs: Sequence[str] = ()) -> frozenset[str]:
    """The ids of the pods' containers that nobody has to name: those that some glob matches, and no `!glob`.

    Without globs: those of a WordPress by the name of pod, container or image, and those whose pod says
    `wp-sidecar/enable: "true"`. With globs nothing else counts: whoever may make pods must not choose what we read.
    """
    chosen = [glob for glob in globs or WORDPRESSES if not glob.startswith("!")] or ["*/*/*"]
    others = [glob[1:] for glob in globs if glob.startswith("!")]
    named = {c.id for c in containers if _any_matches(chosen, c.name) and not _any_matches(others, c.name)}
    if not globs:
        named |= {c.id for c in containers if "wordpress" in c.image or enabled(c)}
    return frozenset(named)


def _any_matches(globs: Iterable[str], name: str) -> bool:
    return any(_matches(glob, name) for glob in globs)


def _matches(glob: str, name: str) -> bool:
    """`namespace/pod/container`, each by itself: a star does not reach over a slash."""
    pairs = zip(glob.split("/"), name.split("/"), strict=True)
    return all(fnmatchcase(part, pattern) for pattern, part in pairs)


def selects(selector: str, container: Container) -> bool:
    """Does `label`, `label=value` or a name glob choose this container?

    A selector with `=` is about labels; any other is a name glob, or the bare name of a label that is set.
    """
    key, equals, value = selector.partition("=")
    if equals:
        return key in container.labels and fnmatchcase(container.labels[key], value)
    return fnmatchcase(container.name, selector) or selector in container.labels


def named(container: Container) -> frozenset[str] | None:
    """The jails that a container asks for by its label; None: it has none. A name with blanks stands in quotes."""
    text = container.labels.get(JAILS)
    return None if text is None else frozenset(quoted or word for quoted, word in _JAIL_NAMES.findall(text))


def _looks_at(jail: Jail, container: Container, found: frozenset[str]) -> bool:
    if enabled(container) is False:
        return False
    if (asked := named(container)) is not None:
        return jail.name in asked
    if jail.containers:
        return any(selects(selector, container) for selector in jail.containers)
    return (jail.absent or not jail.logpath) and container.id in found
