from dataclasses import replace

from sidecar.app.allowlist import AllowlistSources
from sidecar.config.cdn import Cdn
from sidecar.config.settings import AllowlistSettings, Settings, SourceKind
from sidecar.config.units import AllowlistEntries
from sidecar.core.address import Address
from sidecar.core.events import Topology
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from sidecar.sources.files.kubernetes import nodes_networks
from tests.app.world import ANN, BLOG, BOB

MAIL = Jail("mail")
WEB = Jail("web", ignoreip=("198.51.100.1",), ignore_names=("ann.example",))
SETTINGS = Settings(
    (MAIL, WEB),
    {},
    allowlist=AllowlistSettings(
        ignoreip=AllowlistEntries(("192.0.2.1",), ("office.example",)),
        trusted_proxies=("192.0.2.16/28",),
        cdns=(Cdn("fastly", None, "", ("151.101.0.0/16",)),),
    ),
)
OWN = {"this host's own address": ("198.51.100.10",), "a container network": ("203.0.113.240/28",)}
SOURCES = AllowlistSources(SETTINGS, OWN)


def reasons(sources, *addresses):
    allowlist, _ = sources.allowlist()
    return [allowlist.reason(address) for address in addresses]


def test_every_source_adds_to_the_allowlist():
    sources = replace(
        SOURCES,
        topology=Topology(("172.30.0.0/16",), (BLOG,)),
        labels={"blog": Overrides(trusted_proxies=("192.0.2.64/28",), limited=False)},
        resolved={"office.example": (BOB,)},
    )

    assert reasons(sources, "198.51.100.10", "203.0.113.241", "172.30.0.1", "192.0.2.17", "192.0.2.65") == [
        "this host's own address", "a container network", "a container network", "a trusted proxy", "a trusted proxy",
    ]  # fmt: skip
    assert reasons(sources, "192.0.2.1", BOB, "151.101.1.1", "10.0.0.1", ANN) == [
        "ignoreip", "ignoreip", "an address of the CDN fastly", "a private address", None,
    ]  # fmt: skip


def test_what_others_name_is_bounded_and_what_the_settings_name_is_not():
    sources = replace(
        SOURCES,
        settings=replace(
            SETTINGS, allowlist=AllowlistSettings(ignoreip=AllowlistEntries(("32.0.0.0/6",)), cdns=())
        ),
        own_networks={**OWN, "a gateway": ("16.0.0.0/6",)},
        topology=Topology(("0.0.0.0/0", "9.0.0.0/8"), ()),
        labels={
            "blog": Overrides(trusted_proxies=tuple(f"{n}.0.0.0/8" for n in range(40, 140)), limited=False)
        },
    )
    allowlist, refused = sources.allowlist()

    assert {each.network for each in refused} >= {"0.0.0.0/0", "16.0.0.0/6", "139.0.0.0/8"}
    assert [allowlist.reason(Address(text)) for text in ("9.9.9.9", "16.0.0.1", "33.0.0.1", "139.0.0.1", ANN)] == [
        None, None, "ignoreip", None, None,
    ]  # fmt: skip


def test_a_public_network_that_the_engine_lists_is_believed_only_where_a_route_leads_to_it():
    networks = Topology(("203.0.113.0/24", "2001:db8:bad::/48", "203.0.113.240/28"))
    sources = replace(SOURCES, topology=networks)

    assert reasons(sources, ANN, "2001:db8:bad::1", "203.0.113.241") == [None, None, "a container network"]


def test_the_networks_of_kubernetes_nodes_are_bounded_too():
    """A user who may change a node's object must not lift all bans."""
    nodes = [
        {"spec": {"podCIDR": "0.0.0.0/0", "podCIDRs": ["0.0.0.0/0", "::/0", "10.42.0.0/16"]}},
        {"status": {"addresses": [{"type": "ExternalIP", "address": "198.51.100.77"}]}},
    ]
    allowlist, refused = replace(
        SOURCES,
        settings=replace(SETTINGS, sources=replace(SETTINGS.sources, kind=SourceKind.CRI)),
        topology=Topology(nodes_networks(nodes)),
    ).allowlist()

    assert [each.network for each in refused] == ["0.0.0.0/0", "::/0"]
    assert [allowlist.reason(Address(text)) for text in (ANN, "198.51.100.77", "10.42.1.1")] == [
        None, "a container network", "a container network",
    ]  # fmt: skip


def test_before_the_container_engine_answers_no_container_is_watched():
    assert SOURCES.containers == ()
    assert replace(SOURCES, topology=Topology((), (BLOG,))).containers == (BLOG,)


def test_the_names_of_a_jail_are_allowlisted_in_that_jail_alone():
    assert SOURCES.jails() == (MAIL, WEB)
    resolved = replace(SOURCES, resolved={"ann.example": (ANN,)})

    assert resolved.jails() == (MAIL, replace(WEB, ignoreip=("198.51.100.1", ANN)))
    assert reasons(resolved, ANN) == [None]


def test_the_names_in_labels_are_replaced_by_their_addresses():
    labels = {
        "blog": Overrides({"maxretry": 2}, ignoreip=("192.0.2.9",), ignore_names=("home.example",)),
        "shop": Overrides(),
    }
    sources = replace(SOURCES, labels=labels, resolved={"home.example": (BOB,)})

    assert replace(SOURCES, labels=labels).overrides() == labels
    assert sources.overrides() == {
        "blog": replace(labels["blog"], ignoreip=("192.0.2.9", BOB)),
        "shop": Overrides(),
    }


def test_the_host_names_of_settings_jails_and_labels_are_resolved():
    sources = replace(SOURCES, labels={"blog": Overrides(ignore_names=("home.example",))})

    assert sources.host_names() == ("office.example", "ann.example", "home.example")
