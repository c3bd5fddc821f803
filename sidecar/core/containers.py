"""What a container is, and which containers are watched by which jails for their own sake.

`wp-sidecar.enable=true` selects a container. Where no container has that label, every container with a WordPress image
is selected. `wp-sidecar.enable=false` always excludes a container, whatever else would select it.
`wp-sidecar.jails=wordpress,probes` says which jails look at a container, and that it is watched. `watched.py` adds the
front ends of these containers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Final

from sidecar.core.jail import Jail

ENABLE_LABEL: Final = "wp-sidecar.enable"
JAILS_LABEL: Final = "wp-sidecar.jails"
LABEL_PREFIX: Final = "wp-sidecar."
LOG_FORMAT_LABEL: Final = "wp-sidecar.log-format"
# The words of labels and of the jails file; those of YAML are among them.
TRUE_WORDS: Final = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS: Final = frozenset({"false", "no", "off", "0"})
# The names, `namespace/pod/container`, of pods that are watched without a label.
WORDPRESS_GLOBS: Final = ("*/*wordpress*/*", "*/*/*wordpress*")

_JAIL_NAMES = re.compile(r"""["']([^"']+)["']|([^\s,"']+)""")


@dataclass(frozen=True, slots=True)
class Container:
    """A running container, as its engine describes it.

    `published` are the host's ports that lead to it, and `target_ports` its own ports behind them. `gateways` are those
    of its networks: what reaches it through the host has one of these addresses. `ipv6_proxied` says that it is
    published for IPv6 and in no IPv6 network, so that IPv6 clients arrive with the gateway's address.
    `bypasses_firewall` says that its network does not pass the host's firewall (macvlan, ipvlan). `networks` are the
    ids of its networks. `joined` is the id of the container with the network that it uses, and "" is its own
    (`front_ends.with_joined_networks` gives it that container's ports and networks, and `network_of` its name).
    `is_on_host` says that it uses the host's own network. `front_ends` may pass requests on to it.
    """

    id: str
    name: str
    image: str
    labels: Mapping[str, str] = field(default_factory=dict)
    published: frozenset[int] = frozenset()
    gateways: tuple[str, ...] = ()
    ipv6_proxied: bool = False
    bypasses_firewall: bool = False
    target_ports: frozenset[int] = frozenset()
    networks: frozenset[str] = frozenset()
    joined: str = ""
    network_of: str = ""
    is_on_host: bool = False
    front_ends: tuple[Container, ...] = ()


def is_wordpress(container: Container) -> bool:
    """Return whether the container has a WordPress image."""
    return "wordpress" in container.image


def assign_jails(
    containers: Sequence[Container], jails: Iterable[Jail], discovered: frozenset[str] | None = None
) -> dict[str, tuple[str, ...]]:
    """Return container id -> the names of the jails that look at it. Containers that are not watched are absent.

    `discovered` are the ids of containers that are watched without being named (None: those of `discover`). A jail with
    `containers` looks at those. One with `logpath` alone looks at none, unless no file of it exists. One with neither
    looks at the discovered ones.
    """
    discovered = discover(containers) if discovered is None else discovered
    assigned: dict[str, tuple[str, ...]] = {}
    for container in containers:
        names = tuple(jail.name for jail in jails if _looks_at(jail, container, discovered))
        if names:
            assigned[container.id] = names
    return assigned


def is_enabled(container: Container) -> bool | None:
    """Return what the label `wp-sidecar.enable` says; None: it is absent, or is no word for true or false."""
    word = container.labels.get(ENABLE_LABEL, "").strip().lower()
    return True if word in TRUE_WORDS else False if word in FALSE_WORDS else None


def requested_jails(container: Container) -> frozenset[str] | None:
    """Return the jails that the label `wp-sidecar.jails` names; None: it is absent. Names with blanks are in quotes."""
    text = container.labels.get(JAILS_LABEL)
    return None if text is None else frozenset(quoted or word for quoted, word in _JAIL_NAMES.findall(text))


def discover(containers: Iterable[Container]) -> frozenset[str]:
    """Return the ids of the containers that are watched without being named."""
    allowed = [container for container in containers if is_enabled(container) is not False]
    if enabled := [container for container in allowed if is_enabled(container)]:
        return frozenset(container.id for container in enabled)
    return frozenset(container.id for container in allowed if is_wordpress(container))


def discover_in_pods(containers: Sequence[Container], globs: Sequence[str] = ()) -> frozenset[str]:
    """Return the ids of the pods' containers that are watched: those that a glob matches, and no `!glob`.

    Without globs these are a WordPress by the name of pod, container or image, and pods with the annotation
    `wp-sidecar/enable: "true"`. With globs nothing else counts: a user who may create pods must not choose what the
    node reads.
    """
    included = [glob for glob in globs or WORDPRESS_GLOBS if not glob.startswith("!")] or ["*/*/*"]
    excluded = [glob[1:] for glob in globs if glob.startswith("!")]
    found = {
        container.id
        for container in containers
        if _any_matches(included, container.name) and not _any_matches(excluded, container.name)
    }
    if not globs:
        found |= {
            container.id for container in containers if is_wordpress(container) or is_enabled(container)
        }
    return frozenset(found)


def selects(selector: str, container: Container) -> bool:
    """Return whether `label`, `label=value` or a name glob selects this container.

    A selector with `=` is about labels. Any other one is a name glob, or the name of a label that is set.
    """
    key, equals, value = selector.partition("=")
    if equals:
        return key in container.labels and fnmatchcase(container.labels[key], value)
    return fnmatchcase(container.name, selector) or selector in container.labels


def _looks_at(jail: Jail, container: Container, discovered: frozenset[str]) -> bool:
    if is_enabled(container) is False:
        return False
    if (requested := requested_jails(container)) is not None:
        return jail.name in requested
    if jail.containers:
        return any(selects(selector, container) for selector in jail.containers)
    return (jail.absent or not jail.logpath) and container.id in discovered


def _any_matches(globs: Iterable[str], name: str) -> bool:
    return any(_matches(glob, name) for glob in globs)


def _matches(glob: str, name: str) -> bool:
    """Match `namespace/pod/container` part by part, so that a star does not reach over a slash."""
    pairs = zip(glob.split("/"), name.split("/"), strict=True)
    return all(fnmatchcase(part, pattern) for pattern, part in pairs)
