"""What a container is, and which containers are watched by which jails for their own sake.

Every container with a WordPress image is selected. `wp-sidecar.enable=true` selects a container too, and
`wp-sidecar.enable=false` excludes it, whatever else would select it. `wp-sidecar.jails=wordpress,probes` says which
jails look at a container, and that it is watched. A container's labels include those of its image, which may be a
stranger's. So no label decides about another container, and one that the image may have set says at most that its
container is watched. `watched.py` adds the front ends of these containers.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from sidecar.core.jail import Jail

ENABLE_LABEL: Final = "wp-sidecar.enable"
JAILS_LABEL: Final = "wp-sidecar.jails"
LABEL_PREFIX: Final = "wp-sidecar."
LOG_FORMAT_LABEL: Final = "wp-sidecar.log-format"
# A label that is longer is not a setting. Docker takes labels of any length.
MAX_LABEL_CHARS: Final = 4_096
# The words of labels and of the jails file; those of YAML are among them.
TRUE_WORDS: Final = frozenset({"true", "yes", "on", "1"})
FALSE_WORDS: Final = frozenset({"false", "no", "off", "0"})
# The names, `namespace/pod/container`, of pods that are watched without a label.
WORDPRESS_GLOBS: Final = ("*/*wordpress*/*", "*/*/*wordpress*")

_GLOB: Final = frozenset("*?[")
_JAIL_NAMES = re.compile(r"""["']([^"']+)["']|([^\s,"']+)""")


class LabelTrust(enum.StrEnum):
    """What the labels of containers may decide (`WP_SIDECAR_LABELS`)."""

    # As much as the settings.
    ALL = "all"
    # About their own container alone, and within the limits of the settings.
    STRENGTHEN = "strengthen"
    NONE = "none"


class RequestedJails(NamedTuple):
    """The jails that the label `wp-sidecar.jails` of a container names."""

    # Those that look at it.
    granted: frozenset[str]
    # Those that are for other containers or for files, in order.
    refused: tuple[str, ...]
    # Names of no jail, in order.
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Container:
    """A running container, as its engine describes it.

    `published` are the host's ports that lead to it, and `target_ports` its own ports behind them. `loopback` are those
    of the published that only this host itself can reach (`127.0.0.1:8080:80`). `gateways` are those
    of its networks: what reaches it through the host has one of these addresses. `ipv6_proxied` says that it is
    published for IPv6 and in no IPv6 network, so that IPv6 clients arrive with the gateway's address.
    `bypasses_firewall` says that its network does not pass the host's firewall (macvlan, ipvlan). `networks` are the
    ids of its networks. `joined` is the id of the container with the network that it uses, and "" is its own
    (`front_ends.with_joined_networks` gives it that container's ports and networks, and `network_of` its name).
    `is_on_host` says that it uses the host's own network. `front_ends` may pass requests on to it.
    `listening` are the ports that it, or its image, says it listens at, published or not.
    `image_labels` are the names of labels that its image may have set, and `image_error` says why that is not known.
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
    image_labels: frozenset[str] = frozenset()
    image_error: str = ""
    listening: frozenset[int] = frozenset()
    loopback: frozenset[int] = frozenset()


def has_our_labels(container: Container) -> bool:
    """Return whether any label of the container begins as ours do."""
    return any(name.startswith(LABEL_PREFIX) for name in container.labels)


def is_host_network(
    own: Iterable[str], networks: Iterable[str], containers: Collection[Container]
) -> bool | None:
    """Return whether a network namespace with these own addresses is the host's; None: nothing shows it.

    There a gateway of a container network is an own address; one is enough, as there are networks of other kinds, too.
    `networks` are subnets and gateways of all of the engine's networks. A gateway of a network that passes by the host
    (macvlan) is a router, so it shows nothing. Logs are not asked, as the writer of a log could then decide it.
    """
    gateways = {each.partition("/")[0] for each in networks}
    gateways |= {gateway for each in containers for gateway in each.gateways}
    gateways -= {gateway for each in containers if each.bypasses_firewall for gateway in each.gateways}
    return not gateways.isdisjoint(own) if containers and gateways else None


def with_image(
    container: Container, image: Mapping[str, str] | None, trusted: Sequence[str], error: str = ""
) -> Container:
    """Return the container with the names of the labels that its image may have set, unless a glob trusts the image.

    `image` are the labels of its image; None: they are unknown, because of this error, and any label may be of it. A
    label that both have with the same value may be of both, and counts as the image's.
    """
    if any(fnmatchcase(container.image, glob) for glob in trusted):
        return container
    ours = [name for name in container.labels if name.startswith(LABEL_PREFIX)]
    if image is not None:
        ours, error = [name for name in ours if image.get(name) == container.labels[name]], ""
    return replace(container, image_labels=frozenset(ours), image_error=error if ours else "")


def is_of_image(container: Container, label: str, labels: LabelTrust) -> bool:
    """Return whether the label counts as one of the image, and not as one of the container's own."""
    return labels is LabelTrust.STRENGTHEN and label in container.image_labels


def is_wordpress(container: Container) -> bool:
    """Return whether the container has a WordPress image."""
    return "wordpress" in container.image


def assign_jails(
    containers: Sequence[Container],
    jails: Iterable[Jail],
    discovered: frozenset[str] | None = None,
    labels: LabelTrust = LabelTrust.STRENGTHEN,
) -> dict[str, tuple[str, ...]]:
    """Return container id -> the names of the jails that look at it. Containers that are not watched are absent.

    `discovered` are the ids of containers that are watched without being named (None: those of `discover`). A jail with
    `containers` looks at those. One with `logpath` alone looks at none, unless no file of it exists. One with neither
    looks at the discovered ones. A container that requests jails is looked at by these; where it may have none of them,
    by those that look at the discovered ones.
    """
    jails = tuple(jails)
    discovered = discover(containers, labels) if discovered is None else discovered
    assigned: dict[str, tuple[str, ...]] = {}
    for container in containers:
        if is_enabled(container, labels) is False:
            continue
        requested = requested_jails(container, jails, labels)
        if requested and requested.granted:
            names = tuple(jail.name for jail in jails if jail.name in requested.granted)
        else:
            wanted = container.id in discovered or bool(requested)
            names = tuple(jail.name for jail in jails if _looks_at(jail, container, wanted=wanted))
        if names:
            assigned[container.id] = names
    return assigned


def is_enabled(container: Container, labels: LabelTrust = LabelTrust.STRENGTHEN) -> bool | None:
    """Return what the label `wp-sidecar.enable` says; None: it is absent, or is not a word for true or false.

    An image may have its containers watched, and not keep them from it.
    """
    if labels is LabelTrust.NONE:
        return None
    word = container.labels.get(ENABLE_LABEL, "").strip().lower()
    if word in FALSE_WORDS and not is_of_image(container, ENABLE_LABEL, labels):
        return False
    return True if word in TRUE_WORDS else None


def requested_jails(
    container: Container, jails: Iterable[Jail], labels: LabelTrust = LabelTrust.STRENGTHEN
) -> RequestedJails | None:
    """Return the jails that the label `wp-sidecar.jails` names (with blanks: in quotes); None: it names nothing.

    A jail that the settings give to certain containers, or to files, may have rights that others must not have: other
    ports, or `witness = off`. A label gets it only for a container that it looks at anyway. An image's label grants
    none: the container is watched, by the jails of the settings.
    """
    text = container.labels.get(JAILS_LABEL, "")[:MAX_LABEL_CHARS]
    names = tuple(dict.fromkeys(quoted or word for quoted, word in _JAIL_NAMES.findall(text)))
    if not names or labels is LabelTrust.NONE:
        return None
    known = {jail.name: jail for jail in jails}
    if is_of_image(container, JAILS_LABEL, labels):
        return RequestedJails(frozenset(), (), ())
    granted = frozenset(
        name
        for name in names
        if name in known and (labels is LabelTrust.ALL or _looks_at(known[name], container, wanted=True))
    )
    return RequestedJails(
        granted,
        tuple(name for name in names if name in known and name not in granted),
        tuple(name for name in names if name not in known),
    )


def discover(containers: Iterable[Container], labels: LabelTrust = LabelTrust.STRENGTHEN) -> frozenset[str]:
    """Return the ids of the containers that are watched without being named."""
    return frozenset(
        container.id
        for container in containers
        if is_enabled(container, labels)
        or (is_enabled(container, labels) is None and is_wordpress(container))
    )


def discover_in_pods(
    containers: Sequence[Container], globs: Sequence[str] = (), labels: LabelTrust = LabelTrust.STRENGTHEN
) -> frozenset[str]:
    """Return the ids of the pods' containers that are watched: those that a glob matches, and no `!glob`.

    Without globs these are a WordPress by the name of pod, container or image, and pods with the annotation
    `wp-sidecar/enable: "true"`. With globs nothing else counts: a user who may create pods must not choose what the
    node reads.
    """
    included = [glob for glob in globs or WORDPRESS_GLOBS if not glob.startswith("!")] or ["*/*/*"]
    left_out = [glob[1:] for glob in globs if glob.startswith("!")]
    found = {
        container.id
        for container in containers
        if _any_matches(included, container.name) and not _any_matches(left_out, container.name)
    }
    if not globs:
        found |= {
            container.id
            for container in containers
            if is_wordpress(container) or is_enabled(container, labels)
        }
    return frozenset(found)


def selects(selector: str, container: Container) -> bool:
    """Return whether `label`, `label=value` or a name glob selects this container.

    A selector with `=` is about labels. Any other one is a name glob, or, without a `*`, `?` or `[`, the name of a
    label that is set: a stranger's image could have a label that is called `blog-*`.
    """
    key, equals, value = selector.partition("=")
    if equals:
        return key in container.labels and fnmatchcase(container.labels[key], value)
    is_glob = not _GLOB.isdisjoint(selector)
    return fnmatchcase(container.name, selector) or (not is_glob and selector in container.labels)


def _looks_at(jail: Jail, container: Container, *, wanted: bool) -> bool:
    """Return whether the jail looks at a container; `wanted`: it is one that is watched without being named."""
    if jail.containers:
        return any(selects(selector, container) for selector in jail.containers)
    return (jail.absent or not jail.logpath) and wanted


def _any_matches(globs: Iterable[str], name: str) -> bool:
    return any(_matches(glob, name) for glob in globs)


def _matches(glob: str, name: str) -> bool:
    """Match `namespace/pod/container` part by part, so that a star does not reach over a slash."""
    pairs = zip(glob.split("/"), name.split("/"), strict=True)
    return all(fnmatchcase(part, pattern) for pattern, part in pairs)
