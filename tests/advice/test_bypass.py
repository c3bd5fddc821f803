"""Each reason why a ban keeps nobody out, in a kernel that is in that state."""

import time
from contextlib import closing
from dataclasses import replace

import pytest

from sidecar.advice.bypass import KINDS, Diagnosis, Facts, diagnose
from sidecar.core.address import Address
from sidecar.core.containers import Container
from sidecar.core.events import Ban, Turn, Unban
from sidecar.core.jail import Jail
from sidecar.firewall import Firewall

ANN, BOB, ANNS64 = Address("203.0.113.11"), "203.0.113.99", Address("2001:db8:bad:1::/64")
ANN6, BOB6 = "2001:db8:bad:1::11", "2001:db8:bad:2::12"
NET = Address("203.0.113.0/28")
OLD = "delete element inet wp_sidecar missed { ipv4, ipv6 }"
BLOG = Container("1", "blog", "wordpress")
PAST, PROXIED = replace(BLOG, past=True), replace(BLOG, proxied=True)


@pytest.fixture
def firewall(host):  # it is entered
    with closing(Firewall([Jail("login"), Jail("all", ports=None)])) as firewall:
        until = time.time() + 900
        firewall.start(
            [Ban("login", address, 0.0, until, "failures") for address in (ANN, ANNS64, NET)], time.time()
        )
        host.nft(OLD)
        yield firewall


def told(firewall, address=ANN, site=BLOG, ago=0.0):
    """For a line that is so many seconds old."""
    now = time.time()
    return diagnose(firewall.look_at(address, "login", now - ago, now), site)


def test_what_is_looked_at(host, firewall):
    host.lets_in(ANN, BOB6)
    host.lets_in(ANN, ANN6, port=8080)
    facts, of_six = (
        firewall.look_at(address, "login", time.time(), time.time()) for address in (ANN, ANNS64)
    )

    assert facts == Facts(
        ANN, "ban4", hooked=True, held=True, came=True, anyone=frozenset({4, 6}), passed=frozenset({8080})
    )
    assert (of_six.set, of_six.came, of_six.passed) == ("ban6", True, frozenset({8080}))


HARMS = [
    "flush ruleset",
    "flush chain inet wp_sidecar prerouting",
    "add table inet wp_sidecar { flags dormant; }",
    "add chain inet wp_sidecar prerouting { policy drop; }",
]


@pytest.mark.parametrize("harm", HARMS)
def test_the_hook_is_gone_and_was_when_the_line_was_written(host, firewall, harm):
    host.nft(harm)
    assert told(firewall).kind == "hook"

    firewall.reconcile(time.time())
    assert "another program" in told(firewall).sentence
    host.lets_in(BOB)
    assert "another program" not in told(firewall, ago=-11).sentence  # a line of later than that


def test_the_hook_is_not_on_the_packets_way(host, firewall):
    found = told(firewall)
    assert (found.kind, "network_mode: host" in found.sentence) == ("hook", True)

    host.lets_in(BOB)
    assert [told(firewall, ago=ago).kind for ago in (0, -9, -11)] == ["elsewhere", "elsewhere", "hook"]


def test_the_container_is_not_on_the_hooks_way(host, firewall):
    host.lets_in(BOB)
    found = told(firewall, site=PAST)

    assert (found.kind, "macvlan" in found.sentence) == ("hook", True)


def test_the_set_was_emptied(host, firewall):
    host.nft("delete element inet wp_sidecar ban4 { 203.0.113.11 }\nflush set inet wp_sidecar net4")
    assert [told(firewall, address).kind for address in (ANN, NET)] == ["flushed", "flushed"]

    firewall.reconcile(time.time())
    assert [told(firewall, address).kind for address in (ANN, NET)] == ["flushed", "flushed"]
    assert told(firewall, ago=-11).kind != "flushed"


@pytest.mark.parametrize(
    "harm",
    ["flush set inet wp_sidecar ports", "add element inet wp_sidecar allow4 { 203.0.113.0/24 }"],
)
def test_the_gate_was_opened(host, firewall, harm):
    host.lets_in(BOB)
    host.nft(harm)
    firewall.reconcile(time.time())

    assert told(firewall).kind == "flushed"


def test_what_nobody_had_banned_and_a_clock_that_was_set_open_nothing(host, firewall):
    host.lets_in(BOB)
    host.nft("add element inet wp_sidecar ban4 { 203.0.113.77 }")
    assert firewall.reconcile(time.time()).removed == 1
    assert firewall.reconcile(time.time() - 300, whole=True).restored

    assert told(firewall).kind == "elsewhere"


def test_one_in_a_banned_network_is_held_by_it(host, firewall):
    firewall.apply(Turn(time.time(), (Unban("login", ANN, 0.0, "manual"),)))

    assert firewall.look_at(ANN, "login", 0.0, 0.0).held


def test_they_come_by_a_port_that_the_ban_does_not_close(host, firewall):
    assert host.lets_in(ANN, BOB, ANN6, port=8080) == {ANN, BOB, ANN6}
    host.lets_in(ANN, port=22)
    found = told(firewall)

    assert (found.kind, "by port 22, 8080, which" in found.sentence) == ("ports", True)
    assert "by port 8080," in told(firewall, ANNS64).sentence
    assert told(firewall, ago=-11).kind != "ports"


def test_what_others_do_and_what_is_closed_are_no_ports_of_theirs(host, firewall):
    host.lets_in(BOB, port=8080)
    host.lets_in(ANN)

    assert firewall.look_at(ANN, "login", time.time(), time.time()).passed == frozenset()


def test_in_a_banned_network_too_the_ports_are_those_of_each(host, firewall):
    firewall.apply(Turn(time.time(), (Unban("login", ANN, 0.0, "manual"),)))
    host.lets_in(ANN, port=8080)

    assert told(firewall).kind == "ports"


def test_somebody_else_sends_for_them(host, firewall):
    host.lets_in(BOB)  # the CDN
    found = told(firewall)

    assert (found.kind, "trusted_proxies" in found.sentence) == ("elsewhere", True)


def test_where_all_come_by_a_trusted_proxy_the_hook_is_on_the_way(host, firewall):
    firewall.surround([f"{BOB}/32"])
    host.lets_in(BOB)

    assert told(firewall).kind == "elsewhere"


def test_who_came_himself_before_the_line_was_written_need_not_have_come_with_it(host, firewall):
    host.lets_in(ANN)

    assert [firewall.look_at(ANN, "login", at, 0.0).came for at in (0.0, 9.0, 11.0)] == [True, True, False]


@pytest.mark.parametrize("came", ["ANN", "nobody"])
def test_they_come_by_ipv6_through_dockers_proxy(host, firewall, came):
    host.lets_in(*{"ANN": [ANN, BOB], "nobody": [BOB]}[came])
    assert told(firewall, site=PROXIED).kind != "twin"  # nobody came by IPv6

    host.lets_in(ANN6)
    assert (told(firewall, site=PROXIED).kind, told(firewall).kind != "twin") == ("twin", True)


def test_their_packets_are_dropped_and_somebody_gives_their_address_for_his_own(host, firewall):
    assert host.lets_in(ANN, BOB) == {BOB}
    found = told(firewall)

    assert (found.kind, "X-Forwarded-For" in found.sentence) == ("unknown", True)


@pytest.mark.parametrize("others", [[], [BOB]], ids=["nobody came", "others came"])
def test_a_table_that_is_younger_than_the_line_does_not_know(host, firewall, others):
    host.lets_in(*others)
    host.nft("add element inet wp_sidecar missed { ipv4, ipv6 }")
    found = told(firewall)

    assert (found.kind, "cannot be told" in found.sentence) == ("unknown", True)
    assert firewall.look_at(ANN, "login", 11.0, 0.0).came is False


def test_our_own_table_comes_before_the_way_of_the_packets():
    facts = Facts(
        ANN, "ban4", hooked=True, held=True, came=False, anyone=frozenset({4, 6}), passed=frozenset({8080})
    )
    rest = replace(facts, passed=frozenset())

    assert [
        diagnose(each, site).kind
        for each, site in (
            (replace(facts, hooked=False, held=False), PAST),
            (replace(facts, mended="table", held=False), PAST),
            (replace(facts, held=False), PAST),
            (replace(facts, mended="bans"), PAST),
            (facts, PAST),
            (facts, PROXIED),
            (replace(rest, anyone=frozenset()), PROXIED),
            (rest, PROXIED),
            (rest, None),
            (replace(rest, came=None), None),
        )
    ] == ["hook", "hook", "flushed", "flushed", "hook", "ports", "hook", "twin", "elsewhere", "unknown"]
    assert set(KINDS) == {"hook", "flushed", "ports", "twin", "elsewhere", "unknown"}


def test_of_many_ports_some_are_named():
    facts = Facts(
        ANN, "ban4", hooked=True, held=True, came=True, anyone=frozenset({4}), passed=frozenset(range(1, 100))
    )

    assert diagnose(facts) == Diagnosis(
        "ports",
        "they come by port 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, which the ban does not close: add it to `port` of the "
        "jail, or say `port = all`",
    )
