"""All containers that are watched: those that labels, images and jails choose, and their front ends.

A front end is watched without being named, by the jails with filters on requests that look at a site behind it. Its log
may be of other sites as well, or no access log at all, so jails that read other lines look at it only if they, or its
label `wp-sidecar.jails`, say so. Labels that all of its sites have hold for it too: whoever wants a dry run for a site
does not want its visitors banned by the log in front of it.
"""

from __future__ import annotations

import enum
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.core.containers import (
    ENABLE_LABEL,
    JAILS_LABEL,
    LABEL_PREFIX,
    LOG_FORMAT_LABEL,
    Container,
    assign_jails,
    discover,
    is_enabled,
    is_wordpress,
    requested_jails,
)
from sidecar.core.front_ends import front_ends_of
from sidecar.core.jail import Jail

# They are about one container, or one log, alone.
_OWN_LABELS = frozenset({ENABLE_LABEL, JAILS_LABEL, LOG_FORMAT_LABEL})


class UnwatchedReason(enum.Enum):
    """Why a WordPress container is not watched, although nobody excluded it."""

    # Other containers have the label `wp-sidecar.enable=true`.
    OTHERS_ENABLED = enum.auto()
    # Its label `wp-sidecar.jails` names no jail that there is.
    NO_SUCH_JAIL = enum.auto()
    # Each jail has containers or files of its own.
    NO_JAIL = enum.auto()


@dataclass(frozen=True, slots=True)
class Unwatched:
    """A WordPress container that is not watched."""

    name: str
    reason: UnwatchedReason


@dataclass(frozen=True, slots=True)
class Watched:
    """The containers that are watched, each with its front ends, and the jails that look at each, by id.

    `front_ends` are the ids of those that are watched as front ends alone.
    """

    containers: tuple[Container, ...]
    jails: Mapping[str, tuple[str, ...]]
    front_ends: frozenset[str] = frozenset()
    unwatched: tuple[Unwatched, ...] = ()


def choose(
    containers: Sequence[Container], jails: Sequence[Jail], discovered: frozenset[str] | None = None
) -> Watched:
    """Return which of these containers are watched. `discovered` is as in `assign_jails`."""
    chosen = assign_jails(containers, jails, discovered)
    in_front = {each.id: front_ends_of(each, containers) for each in containers if each.id in chosen}
    sites: dict[str, list[Container]] = defaultdict(list)
    for each in containers:
        for front_end in in_front.get(each.id, ()):
            sites[front_end.id].append(each)
    assigned = dict[str, tuple[str, ...]]()
    front_ends = set[str]()
    for each in containers:
        names = frozenset(chosen.get(each.id, ()))
        added = _passed_on(each, [chosen[site.id] for site in sites[each.id]], jails) - names
        if added and not names:
            front_ends.add(each.id)
        if names | added:
            assigned[each.id] = tuple(jail.name for jail in jails if jail.name in names | added)
    watched = tuple(
        replace(_labelled(each, sites[each.id]), front_ends=in_front.get(each.id, ()))
        for each in containers
        if each.id in assigned
    )
    return Watched(
        watched, assigned, frozenset(front_ends), tuple(_unwatched(containers, jails, assigned, discovered))
    )


def _passed_on(
    container: Container, jails_of_sites: Iterable[Iterable[str]], jails: Iterable[Jail]
) -> frozenset[str]:
    """Return the jails that look at a container because they look at sites behind it."""
    if is_enabled(container) is False or requested_jails(container) is not None:
        return frozenset()
    of_sites = {name for names in jails_of_sites for name in names}
    return frozenset(
        jail.name for jail in jails if jail.reads_requests and not jail.containers and jail.name in of_sites
    )


def _labelled(container: Container, sites: Sequence[Container]) -> Container:
    """Return the container with the labels that all sites behind it have, unless it has them itself."""
    if not sites:
        return container
    shared = {
        key: value
        for key, value in sites[0].labels.items()
        if key.startswith(LABEL_PREFIX)
        and key not in _OWN_LABELS
        and all(site.labels.get(key) == value for site in sites)
    }
    return replace(container, labels={**shared, **container.labels}) if shared else container


def _unwatched(
    containers: Sequence[Container],
    jails: Sequence[Jail],
    assigned: Mapping[str, tuple[str, ...]],
    discovered: frozenset[str] | None,
) -> Iterable[Unwatched]:
    found = discover(containers) if discovered is None else discovered
    for each in containers:
        if each.id in assigned or not is_wordpress(each) or is_enabled(each) is False:
            continue
        requested = requested_jails(each)
        if requested is not None:
            # Nobody names no jail by mistake.
            if requested:
                yield Unwatched(each.name, UnwatchedReason.NO_SUCH_JAIL)
        elif each.id in found or not any(_looks_at_discovered(jail) for jail in jails):
            yield Unwatched(each.name, UnwatchedReason.NO_JAIL)
        # Those that were discovered in another way were chosen by a person.
        elif discovered is None:
            yield Unwatched(each.name, UnwatchedReason.OTHERS_ENABLED)


def _looks_at_discovered(jail: Jail) -> bool:
    return not jail.containers and (jail.absent or not jail.logpath)
