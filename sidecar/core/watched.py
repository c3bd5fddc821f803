"""All containers that are watched: those that labels, images and jails choose, and their front ends.

A front end is watched without being named, by the jails with filters on requests that look at a site behind it. Its log
may be of other sites as well, or no access log at all, so jails that read other lines look at it only if they, or its
label `wp-sidecar.jails`, say so. Labels that all of its sites have hold for it too: a site in
a dry run does not want its visitors banned by the log in front of it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sidecar.core.containers import (
    ENABLE_LABEL,
    JAILS_LABEL,
    LABEL_PREFIX,
    LOG_FORMAT_LABEL,
    Container,
    LabelTrust,
    assign_jails,
    is_enabled,
    is_of_image,
    is_wordpress,
    requested_jails,
)
from sidecar.core.front_ends import FrontEnds, listens_for_web
from sidecar.core.jail import Jail

# They are about one container, or one log, alone.
_OWN_LABELS = frozenset({ENABLE_LABEL, JAILS_LABEL, LOG_FORMAT_LABEL})


@dataclass(frozen=True, slots=True)
class Watched:
    """The containers that are watched, each with its front ends, and the jails that look at each, by id.

    `front_ends` are the ids of those that are watched as front ends alone. `unwatched` are the names of WordPress
    containers that are not watched, although nobody excluded them: each jail has containers or files of its own.
    `excluded` are the names of those that only a label keeps from being watched. `shared` are the names of front ends
    of several sites, watched or not.
    """

    containers: tuple[Container, ...]
    jails: Mapping[str, tuple[str, ...]]
    front_ends: frozenset[str] = frozenset()
    unwatched: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    shared: frozenset[str] = frozenset()


def choose(
    containers: Sequence[Container],
    jails: Sequence[Jail],
    discovered: frozenset[str] | None = None,
    labels: LabelTrust = LabelTrust.STRENGTHEN,
) -> Watched:
    """Return which of these containers are watched. `discovered` and `labels` are as in `assign_jails`."""
    chosen = assign_jails(containers, jails, discovered, labels)
    without_labels = assign_jails(containers, jails, discovered, LabelTrust.NONE)
    found = FrontEnds(containers)
    in_front = {each.id: found.of(each) for each in containers if each.id in chosen}
    sites: dict[str, list[Container]] = defaultdict(list)
    for each in containers:
        for front_end in in_front.get(each.id, ()):
            sites[front_end.id].append(each)
    assigned = dict[str, tuple[str, ...]]()
    front_ends = set[str]()
    for each in containers:
        names = frozenset(chosen.get(each.id, ()))
        added = frozenset[str]()
        if _may_be_added(each, jails, labels):
            added = _passed_on([chosen[site.id] for site in sites[each.id]], jails) - names
        if added and not names:
            front_ends.add(each.id)
        if names | added:
            assigned[each.id] = tuple(jail.name for jail in jails if jail.name in names | added)
    watched = tuple(
        replace(
            _labelled(each, sites[each.id], labels) if each.id in front_ends else each,
            front_ends=in_front.get(each.id, ()),
        )
        for each in containers
        if each.id in assigned
    )
    left_out = [each for each in containers if each.id not in assigned]
    return Watched(
        watched,
        assigned,
        frozenset(front_ends),
        unwatched=tuple(
            each.name
            for each in left_out
            if is_wordpress(each)
            and is_enabled(each, labels) is not False
            # Those that were discovered in another way were chosen by a person.
            and (discovered is None or each.id in discovered)
        ),
        excluded=tuple(each.name for each in left_out if each.id in without_labels),
        shared=_shared(containers, found, in_front),
    )


def _shared(
    containers: Iterable[Container], found: FrontEnds, in_front: Mapping[str, Iterable[Container]]
) -> frozenset[str]:
    """Return the names of front ends of several sites: watched ones, WordPress, and whatever listens as a web server.

    What is only taken for a web server makes a front end nobody's own, and so closes fewer ports for one site's bans.
    """
    front_ends = {each.id for those in in_front.values() for each in those}
    served = Counter(
        front_end.name
        for each in containers
        if each.id in in_front or is_wordpress(each) or (listens_for_web(each) and each.id not in front_ends)
        for front_end in found.of(each)
    )
    return frozenset(name for name, sites in served.items() if sites > 1)


def _may_be_added(container: Container, jails: Iterable[Jail], labels: LabelTrust) -> bool:
    """Return whether a container's labels let jails look at it because they look at sites behind it."""
    requested = requested_jails(container, jails, labels)
    return is_enabled(container, labels) is not False and not (requested and requested.granted)


def _passed_on(jails_of_sites: Iterable[Iterable[str]], jails: Iterable[Jail]) -> frozenset[str]:
    """Return the jails that look at a front end because they look at sites behind it."""
    of_sites = {name for names in jails_of_sites for name in names}
    return frozenset(
        jail.name for jail in jails if jail.reads_requests and not jail.containers and jail.name in of_sites
    )


def _labelled(container: Container, sites: Sequence[Container], labels: LabelTrust) -> Container:
    """Return a front end that nobody chose, with the labels that all sites behind it have, unless it has its own.

    Labels of images are not among them. That weakens nothing: without these sites its log would not be read at all.
    """
    if labels is LabelTrust.NONE:
        return container
    shared = {
        key: value
        for key, value in sites[0].labels.items()
        if key.startswith(LABEL_PREFIX)
        and key not in _OWN_LABELS
        and all(site.labels.get(key) == value and not is_of_image(site, key, labels) for site in sites)
    }
    return replace(container, labels={**shared, **container.labels}) if shared else container
