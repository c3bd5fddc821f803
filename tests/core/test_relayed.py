"""A request that a front end and the site both log counts once."""

from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.containers import Container
from sidecar.core.events import Ban, Hit, IgnoredReason, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.core.relayed import MAX_APART_S, MAX_WAITING, RelayedRequests, related_logs

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
NGINX = Container("n", "nginx", "nginx")
TRAEFIK = Container("t", "traefik", "traefik")
BLOG = Container("b", "blog", "wordpress", front_ends=(NGINX, TRAEFIK))
SHOP = Container("s", "shop", "wordpress", front_ends=(TRAEFIK,))
ALONE = Container("a", "alone", "wordpress")
RELATED = related_logs([BLOG, SHOP, ALONE, NGINX, TRAEFIK])


def hit(log, at=0.0, address=ANN, *, jail="login", success=False):
    return Hit(jail, address, at, Origin("docker", log), "line", success=success)


def firsts(*hits):
    requests = RelayedRequests()
    requests.related = RELATED
    return [not requests.is_second(each) for each in hits]


def test_the_logs_of_a_site_and_its_front_ends_are_related():
    assert {
        "blog": {"nginx", "traefik"},
        "nginx": {"blog", "traefik"},
        "traefik": {"blog", "nginx", "shop"},
        "shop": {"traefik"},
    } == RELATED


def test_one_request_counts_once_however_many_logs_have_it():
    assert firsts(hit("traefik"), hit("nginx", 0.1), hit("blog", 0.2)) == [True, False, False]
    assert firsts(hit("blog"), hit("traefik", -0.1), hit("traefik", 0.1)) == [True, False, True]


def test_a_log_that_is_read_after_the_other_one_is_paired_line_by_line():
    times = [float(n) for n in range(20)]
    hits = [hit(log, at) for log in ("nginx", "blog") for at in times]

    assert firsts(*hits) == [True] * 20 + [False] * 20


def test_requests_are_told_apart():
    assert firsts(hit("traefik"), hit("blog", MAX_APART_S + 0.1)) == [True, True]
    assert firsts(hit("traefik"), hit("blog", address=BOB)) == [True, True]
    assert firsts(hit("traefik"), hit("blog", jail="xmlrpc")) == [True, True]
    assert firsts(hit("traefik"), hit("blog", success=True)) == [True, True]
    # Two sites behind one proxy have no request in common.
    assert firsts(hit("traefik"), hit("blog"), hit("shop")) == [True, False, True]
    assert firsts(hit("blog"), hit("shop")) == [True, True]
    assert firsts(hit("alone"), hit("alone")) == [True, True]


def test_requests_that_wait_for_a_second_line_are_bounded():
    waiting = [hit("nginx") for _ in range(MAX_WAITING + 8)]
    assert firsts(*waiting, *[hit("blog") for _ in waiting]).count(False) == MAX_WAITING

    requests = RelayedRequests(max_clients=2)
    requests.related = RELATED
    clients = [Address(f"203.0.113.{n}") for n in range(3)]
    for client in clients:
        requests.is_second(hit("nginx", address=client))
    assert requests.is_second(hit("blog", address=clients[2]))
    assert not requests.is_second(hit("blog", address=clients[0]))


def test_the_guard_bans_at_maxretry_requests_and_not_lines():
    guard = Guard([Jail("login", maxretry=3)], Allowlist())
    guard.set_related_logs(RELATED)
    both = [hit(log, at) for at in (0.0, 10.0) for log in ("traefik", "blog")]

    assert guard.hits(both, 10.0) == []
    assert guard.view.ignored == {IgnoredReason.COUNTED_ALREADY: 2}
    [ban] = guard.hits([hit("traefik", 20.0)], 20.0)
    assert isinstance(ban, Ban)
    # The site's line of the same request is no sign that the ban has no effect.
    assert guard.hits([hit("blog", 20.1)], 20.1) == []
    assert guard.take_noticed() == ((), ())
