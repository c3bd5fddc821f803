from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.access.logs import AccessLogs
from sidecar.app.guard_inputs import SITES_PROBLEM, AllowlistFull, GuardInputs
from sidecar.app.host_names import WatchedNames
from sidecar.config.settings import AllowlistSettings, Settings, SourceSettings
from sidecar.config.units import AllowlistEntries
from sidecar.core.address import Address
from sidecar.core.allowed import Allow
from sidecar.core.allowlist import CONTAINERS, OWN
from sidecar.core.containers import LabelTrust
from sidecar.core.events import Hit, Origin, Topology, Unban
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail, Scope
from tests.app.world import ANN, BLOG, BOB, Changes

SITE = replace(BLOG, ipv6_proxied=False)


def settings(*jails, networks=(), names=()):
    return Settings(jails, {}, allowlist=AllowlistSettings(ignoreip=AllowlistEntries(networks, names)))


class World:
    """A guard, what it goes by, and the firewall beside it."""

    def __init__(self, first):
        self.changes, self.names, self.topologies = Changes(), WatchedNames(), []
        self.access_logs = AccessLogs()
        self.inputs = GuardInputs(
            first,
            {"a gateway": ("198.51.100.1",)},
            self.names,
            self,
            problems=self.changes.problems(),
            access_logs=self.access_logs,
        )
        self.guard = Guard(first.jails, self.inputs.allowlist)

    def set_topology(self, allowlist, now, published):
        self.topologies.append((set(allowlist), published))

    def reconfigure(self, jails, now):
        self.jails = tuple(jails)

    def ban(self, *addresses):
        for address in addresses:
            self.guard.ban(address, 0.0, "web")

    def unbanned(self, decisions):
        assert all(isinstance(each, Unban) and each.cause == "allowed" for each in decisions)
        return [each.address for each in decisions]


@pytest.fixture
def world():
    return World(settings(Jail("web", maxretry=2), names=("office.example",)))


def test_a_jail_of_each_site_is_there_before_its_first_ban():
    world = World(settings(Jail("web", maxretry=2, scope=Scope.SITE)))
    blog = replace(SITE, name="blog", published=frozenset({8081}))
    world.inputs.topology_changed(
        Topology(containers=(blog, replace(SITE, id="2", name="shop"))), world.guard, 1.0
    )

    assert {jail.name: set(jail.ports) for jail in world.jails if jail.site} == {
        "web@blog": {8081},
        "web@shop": set(),
    }
    (sentence,) = [text for name, text in world.changes if name == SITES_PROBLEM and text]
    assert (
        sentence.startswith("bans for the logs of shop drop nothing")
        and "web have `scope = site`" in sentence
    )

    world.inputs.reconfigure(settings(Jail("web")), world.guard, 2.0)
    assert world.changes[-1] == (SITES_PROBLEM, None)
    assert [jail.name for jail in world.guard.view.jails] == ["web", "manual"]


def test_what_any_container_may_write_to_is_of_no_site_that_has_a_port():
    of_site = Jail("web", scope=Scope.SITE)
    first = replace(settings(of_site), sources=SourceSettings(syslog=Path("/run/log/dev-log")))
    world = World(first)
    world.inputs.topology_changed(Topology(), world.guard, 1.0)

    assert [text.partition(" drop")[0] for name, text in world.changes if name == SITES_PROBLEM and text] == [
        "bans for the logs of /run/log/dev-log"
    ]


def test_the_same_sites_change_no_jail(world):
    topology = Topology(containers=(replace(SITE, published=frozenset({8080})),))
    world.inputs.topology_changed(topology, world.guard, 1.0)
    world.jails = None
    world.inputs.topology_changed(topology, world.guard, 2.0)

    assert world.jails is None


def test_a_reload_unbans_what_its_allowlist_has_and_tells_the_firewall(world):
    world.ban(ANN, BOB)
    decisions = world.inputs.reconfigure(
        settings(Jail("web"), Jail("mail"), networks=(ANN,), names=("home.example",)), world.guard, 1.0
    )

    assert world.unbanned(decisions) == [ANN]
    assert [jail.name for jail in world.guard.view.jails] == ["web", "manual", "mail"]
    assert world.names.current == ("home.example",)
    ((allowlist, published),) = world.topologies
    assert (f"{ANN}/32" in allowlist, published) == (True, None)
    assert world.inputs.allowlist.reason(ANN) == "ignoreip"


def test_what_a_person_allows_is_unbanned_and_passes_the_firewall_until_it_ends(world):
    world.ban(ANN, BOB)

    assert world.unbanned(world.inputs.allow([Allow(ANN, 1.0, 60.0)], world.guard, 1.0)) == [ANN]
    assert world.topologies[-1][0] >= {f"{ANN}/32"}
    assert world.inputs.allowlist.reason(ANN) == "allowed by hand"
    world.inputs.topology_changed(Topology(), world.guard, 2.0)
    world.inputs.reconfigure(settings(Jail("web")), world.guard, 3.0)
    assert world.inputs.allowlist.reason(ANN) == "allowed by hand"

    before = len(world.topologies)
    assert world.inputs.end_allowed(world.guard, 59.0) == ()
    assert len(world.topologies) == before
    world.inputs.end_allowed(world.guard, 60.0)
    assert world.inputs.allowlist.reason(ANN) is None
    assert f"{ANN}/32" not in world.topologies[-1][0]


def test_what_a_person_takes_back_may_be_banned_again_and_the_settings_go_on_to_hold():
    world = World(settings(Jail("web"), networks=(ANN,)))
    world.inputs.allow([Allow(ANN, 1.0), Allow(BOB, 1.0)], world.guard, 1.0)

    assert [each.address for each in world.inputs.disallow([BOB, ANN], world.guard, 2.0)] == [BOB, ANN]
    assert [world.inputs.allowlist.reason(each) for each in (ANN, BOB)] == ["ignoreip", None]
    assert world.inputs.disallow([BOB], world.guard, 3.0) == []


@pytest.mark.parametrize(
    "networks",
    [
        ["0.0.0.0/0"],
        ["11.0.0.0/7"],
        ["2000::/8"],
        ["11.0.0.0/8", "12.0.0.0/8", "13.0.0.0/8", "14.0.0.0/8", "15.0.0.0/8"],
    ],
)
def test_nobody_can_allow_so_much_that_nobody_could_be_banned(world, networks):
    world.ban(ANN)
    entries = [Allow(Address(each), 1.0) for each in networks]

    with pytest.raises(AllowlistFull, match=r"nothing was allowed, because .* Allow narrower networks"):
        world.inputs.allow(entries, world.guard, 1.0)
    assert (world.guard.view.allowed, world.guard.take_allow_changes(), world.topologies) == ((), (), [])
    assert world.changes == []


def test_a_container_network_is_not_displaced_by_what_a_person_allows(world):
    """The narrowest count first, and what would displace another is refused."""
    wide = (*(f"{first}.0.0.0/8" for first in (11, 12, 13)), "14.0.0.0/9")
    world.inputs.own_networks_changed({CONTAINERS: wide, OWN: ("198.51.100.10",)}, world.guard, 1.0)

    with pytest.raises(AllowlistFull, match=r"13[.]0[.]0[.]0/8"):
        world.inputs.allow([Allow(Address("15.0.0.0/9"), 1.0)], world.guard, 2.0)


def test_the_first_names_are_watched_from_the_start(world):
    assert world.names.current == ("office.example",)


def test_a_topology_allowlists_container_networks_and_closes_published_ports(world):
    world.ban(ANN, BOB)
    topology = Topology((f"{ANN}/32", "172.30.0.0/16"), (replace(SITE, published=frozenset({8080})),))

    # Whoever makes a network has nobody unbanned.
    assert world.unbanned(world.inputs.topology_changed(topology, world.guard, 1.0)) == []
    assert world.inputs.allowlist.reason(Address("172.30.0.9")) == "a container network"
    assert world.topologies[-1][1] == {8080}
    assert [each.name for each in world.inputs.containers] == ["blog"]


def test_the_labels_of_a_container_hold_for_it(world):
    labels = {"wp-sidecar.maxretry": "1", "wp-sidecar.allow": "home.example"}
    world.inputs.topology_changed(Topology((), (replace(SITE, labels=labels),)), world.guard, 1.0)
    hit = Hit("web", ANN, 1.0, Origin("docker", "blog"), "line")

    assert world.names.current == ("office.example", "home.example")
    assert [each.address for each in world.guard.hit(hit, 1.0)] == [ANN]
    world.inputs.names_resolved({"home.example": (BOB,)}, world.guard, 2.0)
    assert world.guard.hit(hit._replace(address=BOB), 2.0) is None


@pytest.mark.parametrize(
    ("label", "sentence"),
    [
        ("proxy.example.org", 'wp-sidecar.trusted-proxies: "proxy.example.org" is not an address or network'),
        ("0.0.0.0/0", "wp-sidecar.trusted-proxies: 0.0.0.0/0 is too wide for proxies"),
    ],
)
def test_a_label_with_an_error_allowlists_nothing_and_is_reported(world, label, sentence):
    labelled = replace(SITE, labels={"wp-sidecar.trusted-proxies": label})
    world.inputs.topology_changed(Topology((), (labelled,)), world.guard, 1.0)

    assert world.inputs.allowlist.reason(ANN) is None
    ((name, reported),) = world.changes
    assert name == "labels of blog"
    assert sentence in reported

    world.inputs.topology_changed(Topology(), world.guard, 2.0)
    assert world.changes[1:] == [("labels of blog", None)]


def proxied(trust):
    """A world in which the label of one container names a proxy."""
    world = World(Settings((Jail("web", maxretry=1),), {}, sources=SourceSettings(labels=trust)))
    labelled = replace(SITE, labels={"wp-sidecar.trusted-proxies": f"{ANN}/32"})
    world.inputs.topology_changed(Topology((), (labelled,), excluded=("db",)), world.guard, 1.0)
    return world


def test_a_label_names_proxies_of_its_own_container_alone():
    world = proxied(LabelTrust.STRENGTHEN)
    here, elsewhere = (Hit("web", ANN, 1.0, Origin("docker", name), "line") for name in ("blog", "shop"))

    assert [world.inputs.allowlist_reason(hit) for hit in (here, elsewhere)] == ["a trusted proxy", None]
    assert world.guard.hit(here, 1.0) is None
    assert [each.address for each in world.guard.hit(elsewhere, 1.0)] == [ANN]
    assert world.inputs.labels == {
        "blog": ("wp-sidecar.trusted-proxies=203.0.113.7/32",),
        "db": ("wp-sidecar.enable=false: not watched",),
    }


def test_a_label_that_is_trusted_like_the_settings_names_proxies_of_all():
    world = proxied(LabelTrust.ALL)
    hit = Hit("web", ANN, 1.0, Origin("docker", "shop"), "line")

    assert world.inputs.allowlist_reason(hit) == "a trusted proxy"
    assert world.guard.hit(hit, 1.0) is None


def test_resolved_names_are_allowlisted_everywhere_or_in_their_jail():
    world = World(
        settings(Jail("web", ignore_names=("ann.example",)), Jail("mail"), names=("office.example",))
    )
    world.ban(ANN, BOB)
    world.guard.ban(ANN, 0.0, "mail")
    resolved = {"office.example": (BOB,), "ann.example": (ANN,)}

    decisions = world.inputs.names_resolved(resolved, world.guard, 1.0)
    assert {(each.jail, each.address) for each in decisions} == {("web", ANN), ("web", BOB)}


def test_other_addresses_of_the_host_are_allowlisted(world):
    world.ban(ANN)
    assert world.inputs.own_networks_changed({"a gateway": ("198.51.100.1",)}, world.guard, 1.0) == ()
    assert world.topologies == []

    decisions = world.inputs.own_networks_changed({"a gateway": (ANN,)}, world.guard, 1.0)
    assert world.unbanned(decisions) == [ANN]


def test_a_label_says_the_format_of_a_containers_access_log(world):
    def formats():
        jails = {"web": "blog", "mail": "other"}
        return {
            world.access_logs.of(Origin("docker", name, jails=(jail,))).log.format
            for jail, name in jails.items()
        }

    labelled = replace(SITE, name="blog", labels={"wp-sidecar.log-format": '$status $remote_addr "$request"'})
    assert formats() == {""}
    world.inputs.topology_changed(Topology((), (labelled,)), world.guard, 1.0)
    assert formats() == {"label wp-sidecar.log-format", ""}
    world.inputs.topology_changed(Topology((), (SITE,)), world.guard, 2.0)
    assert formats() == {""}
