"""Bans of a site that hold for its own ports alone (`scope = site`)."""

from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.containers import Container
from sidecar.core.events import Ban, BanCause, Hit, Origin, Unban, UnbanCause
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail, Scope, Success
from sidecar.core.sites import MAX_SITES, Sites, with_sites

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
WEB = Jail("web", maxretry=2, witness=False, scope=Scope.SITE, success=Success.RESET)
BLOG = Container("1", "blog", published=frozenset({8081}), image="wordpress")
SHOP = Container("2", "shop", published=frozenset({8082}), image="wordpress")
NGINX = Container("3", "nginx", published=frozenset({80, 443}), image="nginx")
SITES = Sites().with_containers([BLOG, SHOP], frozenset())


def guard(*jails, sites=SITES, **options):
    guard = Guard(jails or (WEB,), Allowlist(), **options)
    guard.set_sites(sites)
    return guard


def failed(guard, name, *, at=1.0, address=ANN, source="docker", success=False, jail="web"):
    hit = Hit(jail, address, at, Origin(source, name), "line", success=success)
    return guard.hits(guard.located([hit]), at)


def banned(guard):
    return [(ban.jail, ban.address, ban.origin_name) for ban in guard.view.bans]


def ports(guard):
    return {jail.name: set(jail.ports) for jail in guard.view.jails if jail.site}


def test_each_site_has_the_ports_that_it_and_its_own_front_ends_publish():
    blog = replace(BLOG, front_ends=(NGINX,))

    sites = Sites().with_containers([blog, SHOP, NGINX], frozenset())

    assert sites.ports == {"blog": {8081, 80, 443}, "shop": {8082}}
    assert [sites.site_of(name) for name in ("blog", "nginx", "shop")] == ["blog", "blog", "shop"]


def test_a_port_that_only_the_host_reaches_is_no_port_of_a_site():
    behind_a_native_server = replace(BLOG, published=frozenset({8081, 8443}), loopback=frozenset({8081}))

    assert Sites().with_containers([behind_a_native_server], frozenset()).ports == {"blog": {8443}}


def test_a_front_end_of_several_sites_is_a_site_itself():
    both = [replace(each, front_ends=(NGINX,)) for each in (BLOG, SHOP)]

    sites = Sites().with_containers([*both, NGINX], frozenset({"nginx"}))

    assert sites.ports == {"blog": {8081}, "shop": {8082}, "nginx": {80, 443}}
    assert sites.site_of("nginx") == "nginx"


def test_a_port_that_leads_to_two_sites_is_none_of_either():
    """With another address of the host, two containers publish the same port."""
    sites = Sites().with_containers([BLOG, replace(SHOP, published=frozenset({8081, 8082}))], frozenset())

    assert sites.ports == {"blog": set(), "shop": {8082}}


def test_containers_in_one_network_namespace_share_its_ports():
    php = replace(BLOG, id="4", name="php", network_of="blog")

    assert Sites().with_containers([BLOG, php], frozenset()).ports == {"blog": {8081}, "php": {8081}}


def test_a_site_that_is_gone_keeps_the_ports_that_no_other_has():
    blog = replace(BLOG, published=frozenset({8081, 9000}))
    before = Sites().with_containers([blog, SHOP], frozenset())

    assert before.with_containers([replace(SHOP, published=frozenset({8082, 9000}))], frozenset()).ports == {
        "blog": {8081},
        "shop": {8082, 9000},
    }


def of_ports(*numbers):
    return [replace(BLOG, id=str(port), name=f"site{port}", published=frozenset({port})) for port in numbers]


def test_so_many_sites_have_ports_and_those_that_had_them_keep_them():
    before = Sites().with_containers(of_ports(*range(9_000, 9_000 + MAX_SITES - 1)), frozenset())
    more = before.with_containers(of_ports(*range(8_990, 9_000 + MAX_SITES - 1)), frozenset())

    assert (len(before.ports), before.left_out) == (MAX_SITES - 1, ())
    assert {name for name, closed in more.ports.items() if closed} == {*before.ports, "site8990"}
    assert more.left_out == tuple(f"site{port}" for port in range(8_991, 9_000))
    assert more.ports["site8991"] == set()


def test_sites_that_are_gone_are_remembered_as_far_as_there_is_room():
    old = Sites({f"old{number}": frozenset({number}) for number in range(MAX_SITES)} | {"none": frozenset()})

    kept = old.with_containers([BLOG], frozenset()).ports

    assert list(kept) == [*(f"old{number}" for number in range(1, MAX_SITES)), "blog"]


def test_the_sites_of_the_last_run_are_those_of_its_jails():
    closed = {"web": frozenset({80}), "all": None, "web@blog": frozenset({8081}), "web@shop": None}

    assert Sites.of_layout(closed).ports == {"blog": {8081}, "shop": set()}


def test_a_jail_with_the_scope_of_a_site_is_a_jail_for_each():
    other = Jail("other")

    assert [jail.name for jail in with_sites([WEB, other], SITES)] == ["web", "web@blog", "web@shop", "other"]
    blog = next(jail for jail in with_sites([WEB], SITES) if jail.site)
    assert (blog.filter, blog.ports, blog.published, blog.maxretry) == ("web", {8081}, False, 2)


def test_a_site_bans_for_itself_and_counts_for_itself():
    watching = guard()
    failed(watching, "blog")
    failed(watching, "shop")
    assert banned(watching) == []

    (ban,) = failed(watching, "blog", at=2.0)
    assert (ban.jail, ban.origin_name) == ("web@blog", "blog")
    # It is banned there alone.
    assert [each.jail for each in failed(watching, "shop", at=3.0)] == ["web@shop"]
    assert ports(watching) == {"web@blog": {8081}, "web@shop": {8082}}


@pytest.mark.parametrize(("name", "source"), [("/var/log/x", "file"), ("(node)", "fleet")])
def test_a_file_and_another_node_are_of_no_site(name, source):
    watching = guard()
    for _ in range(2):
        failed(watching, name, source=source)

    assert banned(watching) == [("web", ANN, name)]


@pytest.mark.parametrize(("name", "source"), [("gone", "docker"), ("/dev/log", "syslog")])
def test_a_log_of_an_unknown_site_closes_no_port(name, source):
    watching = guard()
    for _ in range(2):
        failed(watching, name, source=source)

    assert banned(watching) == [(f"web@{name}", ANN, name)]
    assert ports(watching)[f"web@{name}"] == set()
    # And it has ports as soon as they are known.
    watching.set_sites(SITES.with_containers([replace(BLOG, name=name)], frozenset()))
    assert ports(watching)[f"web@{name}"] == {8081}


def test_the_log_of_its_own_front_end_is_the_sites():
    sites = Sites().with_containers([replace(BLOG, front_ends=(NGINX,)), NGINX], frozenset())
    watching = guard(sites=sites)
    failed(watching, "nginx")
    failed(watching, "blog")

    assert banned(watching) == [("web@blog", ANN, "blog")]


def test_a_proof_of_login_at_one_site_excuses_nothing_at_another():
    proofs = replace(WEB, name="proofs", reads_requests=True)
    of_host = replace(WEB, name="host", scope=Scope.HOST)
    watching = guard(WEB, proofs, of_host)
    for jail in ("web", "host"):
        failed(watching, "blog", jail=jail)
    failed(watching, "shop", at=2.0, jail="proofs", success=True)
    failed(watching, "blog", at=3.0)

    assert banned(watching) == [("web@blog", ANN, "blog")]
    failed(watching, "blog", at=4.0, jail="host")
    assert banned(watching) == [("web@blog", ANN, "blog")]

    failed(watching, "blog", at=5.0, address=BOB)
    failed(watching, "blog", at=6.0, address=BOB, jail="proofs", success=True)
    failed(watching, "blog", at=7.0, address=BOB)
    assert banned(watching) == [("web@blog", ANN, "blog")]


def test_a_proof_that_a_jail_of_the_host_finds_holds_for_the_site_that_logged_it():
    of_host = replace(WEB, name="host", scope=Scope.HOST, reads_requests=True)
    watching = guard(WEB, of_host)
    for name in ("blog", "shop"):
        failed(watching, name)
    failed(watching, "blog", at=2.0, jail="host", success=True)
    for name in ("blog", "shop"):
        failed(watching, name, at=3.0)

    assert banned(watching) == [("web@shop", ANN, "shop")]


def test_bans_of_the_last_run_go_on_before_and_after_the_sites_are_known():
    ban = Ban("web@blog", ANN, 1.0, 100.0, BanCause.FAILURES, origin_name="blog")
    watching = Guard([WEB], Allowlist(), [ban])
    assert ports(watching) == {"web@blog": set()}

    watching.set_sites(SITES)

    assert ports(watching)["web@blog"] == {8081}
    assert watching.tick(100.0) == [Unban("web@blog", ANN, 100.0, UnbanCause.EXPIRED)]


def test_failures_of_the_last_run_count_at_their_site():
    watching = guard()
    failed(watching, "blog", jail="web@blog")
    failed(watching, "blog", at=2.0)

    assert banned(watching) == [("web@blog", ANN, "blog")]


def test_failures_go_on_to_count_while_the_container_is_made_again():
    watching = guard()
    failed(watching, "blog")
    watching.set_sites(Sites())
    failed(watching, "blog", at=2.0)

    assert banned(watching) == [("web@blog", ANN, "blog")]


def test_the_name_of_the_jail_unbans_at_all_of_its_sites():
    watching = guard()
    for name in ("blog", "blog", "shop", "shop"):
        failed(watching, name)

    assert [each.jail for each in watching.unban(ANN, 2.0, "web@shop")] == ["web@shop"]
    assert [each.jail for each in watching.unban(ANN, 2.0, "web")] == ["web@blog"]


def test_a_ban_by_hand_in_the_jail_is_for_the_whole_host():
    (ban,) = guard().ban(ANN, 1.0, "web")

    assert ban.jail == "web"


def test_with_another_scope_bans_of_sites_stay_and_no_new_ones_are_made():
    watching = guard()
    for name in ("blog", "blog"):
        failed(watching, name)
    watching.reconfigure([replace(WEB, scope=Scope.HOST)], 2.0)

    assert ports(watching) == {"web@blog": {8081}}
    for _ in range(2):
        failed(watching, "shop", address=BOB)
    assert banned(watching) == [("web", BOB, "shop"), ("web@blog", ANN, "blog")]


def test_a_ban_of_a_site_whose_jail_is_gone_closes_the_ports_of_that_site():
    ban = Ban("old@blog", ANN, 1.0, 100.0, BanCause.FAILURES)
    watching = guard(bans=[ban])

    assert ports(watching)["old@blog"] == {8081}
    assert failed(watching, "blog", jail="old") == []
    watching.unban(ANN, 2.0)
    watching.reconfigure([WEB], 3.0)
    assert "old@blog" not in ports(watching)
