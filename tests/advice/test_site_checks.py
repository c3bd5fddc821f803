from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.advice.doctor import examine
from sidecar.advice.facts import (
    Facts,
    SiteFacts,
)
from sidecar.core.jail import Jail
from tests.advice.healthy_host import (
    BLOG,
    HOST,
    JAIL,
    LOG,
    SITE,
    STOPPED,
    has_one_fault,
    with_container,
)

SET_UPS = {
    "macvlan": (with_container(bypasses_firewall=True), "macvlan", "bridge network"),
    "Docker's proxy for IPv6": (
        with_container(ipv6_proxied=True),
        "appear as 172.18.0.1",
        "Enable IPv6 on one of the container's networks",
    ),
}


@pytest.mark.parametrize("name", SET_UPS)
def test_a_broken_set_up_has_its_cause_and_the_line_to_change(name):
    has_one_fault(*SET_UPS[name])


@pytest.mark.parametrize(
    ("container", "jail", "sentence"),
    [
        (
            replace(BLOG, published=frozenset(), is_on_host=True),
            JAIL,
            "bans close the ports of its jails: 80, 443",
        ),
        (
            replace(BLOG, published=frozenset()),
            Jail("all", ports=None),
            "bans close the ports of its jails: all",
        ),
        (replace(BLOG, published=frozenset()), JAIL, "no container publishes a port that leads to it, "),
    ],
)
def test_without_a_published_port_the_jails_say_which_are_closed(container, jail, sentence):
    found = examine(Facts(HOST, (SiteFacts(LOG, container=container, jails=(jail,)),)))

    assert any(each.ok and each.sentence.startswith(sentence) for each in found)


def test_the_addresses_that_would_be_banned_are_named():
    addresses = [(f"203.0.113.{n}", "wordpress") for n in range(1, 8)]
    site = replace(SITE, would_ban=tuple(addresses))

    running, stopped = examine(Facts(HOST, (site,)))[-1], examine(Facts(STOPPED, (site,)))[-1]

    shown = ", ".join(f"203.0.113.{n} (wordpress)" for n in range(1, 6))
    assert running.sentence == f"by its newest lines 7 would be banned now: {shown} and 2 more"
    assert (running.ok, running.change) == (True, "`wp-sidecar explain ADDR` says how each stands")
    assert stopped.change == "Start the daemon"
