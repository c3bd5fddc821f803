import math
from dataclasses import replace

from prometheus_client import CollectorRegistry

from sidecar.advice.unbannable import FAILURES, UNVERIFIED_HITS
from sidecar.app.allowlist import AllowlistKeeper, over
from sidecar.config.cdn import Cdn
from sidecar.config.settings import AllowlistSettings, BudgetSettings, Settings
from sidecar.config.units import AllowlistEntries, BanRate
from sidecar.core.address import Address
from sidecar.core.ban_budget import BanBudget
from sidecar.core.containers import Container
from sidecar.core.events import Ban, Hit, Origin, Topology, Turn
from sidecar.core.jail import Jail
from sidecar.core.overrides import Overrides
from sidecar.runtime.problems import Problems
from sidecar.telemetry.metrics.allowlist import AllowlistMetrics
from sidecar.telemetry.metrics.declare import Declaration

ANN, BOB = Address("203.0.113.7"), Address("203.0.113.8")
BLOG = Container("1", "blog", "wordpress", gateways=("172.18.0.1",), ipv6_proxied=True)
SETTINGS = Settings(
    (Jail("mail"), Jail("web", ignoreip=("198.51.100.1",), ignore_names=("ann.example",))),
    {},
    allowlist=AllowlistSettings(
        AllowlistEntries(("192.0.2.1",), ("office.example",)),
        trusted_proxies=("192.0.2.16/28",),
        cdns=(Cdn("fastly", None, "", ("151.101.0.0/16",)),),
    ),
)


class Bench:
    """A Trusting, and all that it tells."""

    def __init__(self, settings=SETTINGS, **known):
        self.registry, self.renamed, self.told = CollectorRegistry(), 0, []
        self.problems = Problems(self)
        self.known = {name.replace("_", "."): address for name, address in known.items()}
        own = {"this host's own address": ("198.51.100.10",), "a container network": ("203.0.113.240/28",)}
        self.allowlisting = AllowlistKeeper(
            settings, own, AllowlistMetrics(Declaration(self.registry)), self.problems.report, self._renamed,
            lookup=lambda name: self.known.get(name, ()),
        )  # fmt: skip

    def problem_changed(self, name, sentence):
        self.told.append((name, sentence))

    def _renamed(self):
        self.renamed += 1

    def value(self, name, **labels):
        return self.registry.get_sample_value(f"wp_sidecar_{name}", labels)

    def why(self, *addresses):
        allowlist = self.allowlisting.allowlist()
        return [allowlist.reason(Address(address)) for address in addresses]


def hits(number, address="172.18.0.1", site="blog"):
    return tuple(Hit("web", Address(address), 1.0, Origin("docker", site), "line") for _ in range(number))


def test_all_who_know_something_are_asked():
    bench = Bench(office_example=(BOB,))
    bench.allowlisting.names.look()
    bench.allowlisting.surrounded(Topology(("203.0.113.128/26",), ()))

    assert bench.renamed == 1
    assert bench.why("198.51.100.10", "203.0.113.241", "203.0.113.129", "192.0.2.17", "192.0.2.1", BOB, ANN) == [
        "this host's own address", "a container network", "a container network", "a trusted proxy", "ignoreip",
        "ignoreip", None,
    ]  # fmt: skip
    assert bench.why("151.101.1.1", "10.0.0.1") == ["an address of the CDN fastly", "a private address"]


def test_a_jails_names_spare_in_that_jail():
    bench = Bench(ann_example=(ANN,))
    assert bench.allowlisting.jails() == SETTINGS.jails
    bench.allowlisting.names.look()

    mail, web = SETTINGS.jails
    assert bench.allowlisting.jails() == (mail, replace(web, ignoreip=("198.51.100.1", ANN)))
    assert bench.why(ANN) == [None]


def test_the_names_in_labels_are_looked_up_too():
    bench = Bench(ann_example=(ANN,), home_example=(BOB,))
    policies = {
        "blog": Overrides({"maxretry": 2}, ("192.0.2.9",), ("home.example",)),
        "shop": Overrides(),
    }
    assert bench.allowlisting.policies(policies) == policies
    bench.allowlisting.names.look()

    assert bench.allowlisting.policies(policies) == {
        "blog": replace(policies["blog"], ignoreip=("192.0.2.9", BOB)),
        "shop": Overrides(),
    }
    assert sorted(bench.allowlisting.names.known) == ["ann.example", "home.example"]
    bench.allowlisting.policies({})
    bench.allowlisting.names.look()
    assert sorted(bench.allowlisting.names.known) == ["ann.example"]


def test_a_container_names_its_proxies_in_a_label():
    bench = Bench()
    bench.allowlisting.policies({"blog": Overrides(trusted_proxies=("192.0.2.64/28", "2001:db8:9::/64"))})

    assert bench.why("192.0.2.65", "2001:db8:9::/64") == ["a trusted proxy"] * 2


def test_an_exposed_container_is_told_at_the_start_and_when_it_is_mended():
    bench = Bench()
    bench.allowlisting.surrounded(Topology((), (BLOG,)))
    assert bench.value("exposed_containers") == 1
    ((name, sentence),) = bench.told
    assert name == "the client address at blog"
    assert sentence.startswith(
        "IPv6 clients reach blog through Docker's userland proxy and appear as 172.18.0.1, so they cannot be banned"
    )
    assert not bench.problems.critical

    bench.allowlisting.surrounded(Topology((), (replace(BLOG, ipv6_proxied=False),)))
    assert bench.value("exposed_containers") == 0
    assert bench.told[1:] == [("the client address at blog", None)]


def test_the_kernel_is_asked_about_those_whom_an_exposed_log_names_and_no_others():
    bench, asked = Bench(), []

    def seen(address):
        asked.append(address)
        return False

    bench.allowlisting.surrounded(Topology((), (BLOG,)))
    (forged,), (plain,) = hits(1, "192.0.2.77"), hits(1, "192.0.2.78", site="shop")

    assert bench.allowlisting.doubt(forged, seen) == "never seen by this host's network"
    assert bench.allowlisting.doubt(plain, seen) is None
    assert asked == ["192.0.2.77"]

    shared = Hit("web", ANN, 1.0, Origin("syslog", "/run/log"), "line")  # it may be the blog's
    assert bench.allowlisting.doubt(shared, seen) == "never seen by this host's network"
    bench.allowlisting.surrounded(Topology())
    assert bench.allowlisting.doubt(shared, seen) is None


def test_that_somebody_forges_addresses_is_told():
    bench = Bench()
    bench.allowlisting.surrounded(Topology((), (BLOG,)))
    bench.told.clear()
    for n in range(UNVERIFIED_HITS + 1):
        (hit,) = hits(1, f"192.0.2.{n}")
        bench.allowlisting.doubt(hit, lambda _: False)
    bench.allowlisting.look(2.0)

    ((name, sentence),) = bench.told
    assert name == "addresses in blog"
    assert sentence.startswith(
        "blog logged 11 failures within 10 minutes of addresses that sent no packet to this host. They are forged, so no "
        "address was banned for them. IPv6 clients reach blog through Docker's userland proxy"
    )
    bench.allowlisting.look(1_000.0)
    assert bench.told[1:] == [("addresses in blog", None)]


def test_a_brute_force_that_nobody_can_be_banned_for_is_told_once():
    bench = Bench()
    bench.allowlisting.surrounded(Topology(("172.18.0.0/16",), (BLOG,)))
    bench.allowlisting.allowlist()
    bench.told.clear()
    for at in range(3):
        bench.allowlisting.apply(Turn(float(at), ignored=hits(FAILURES, "172.18.0.1") + hits(5, "10.0.0.9")))
        bench.allowlisting.look(float(at))

    ((name, sentence),) = bench.told
    assert name == "banning at blog"
    assert sentence.startswith(
        "200 failures in blog within 10 minutes came from a container network, which is never"
    )
    assert sentence.endswith("(0.0.0.0:80:80).")
    assert (
        bench.value("allowlisted_failures_total", container="blog", reason="a container network")
        == 3 * FAILURES
    )
    assert bench.value("allowlisted_failures_total", container="blog", reason="a private address") == 15

    bench.allowlisting.look(10_000)
    assert bench.told[1:] == [("banning at blog", None)]


def test_hits_of_the_banned_are_not_those_of_the_spared():
    bench = Bench()
    bench.allowlisting.apply(Turn(0.0, ignored=hits(10 * FAILURES, ANN)))
    bench.allowlisting.look(0.0)

    assert bench.told == []


def test_a_budget_that_is_exceeded_is_told_and_over_by_itself():
    bench = Bench(SETTINGS.replaced({"budget.rate": BanRate(10.0, 60.0)}))
    for _ in range(11):
        bench.allowlisting.budget.allows(0.0)
    bench.allowlisting.apply(Turn(0.0, (Ban("web", ANN, 0.0, 1.0, "failures", dry_run=True),)))

    assert bench.value("ban_budget_exceeded") == 1
    ((name, sentence),) = bench.told
    assert name == "the ban budget"
    assert sentence.startswith("more than 10 bans within 60 s were about to be made: new bans are only told")
    assert not bench.problems.critical

    bench.allowlisting.look(62.0)
    assert bench.value("ban_budget_exceeded") == 0
    assert bench.told[1:] == [("the ban budget", None)]


def test_the_share_is_of_those_who_failed():
    bench = Bench(SETTINGS.replaced({"budget.share": 0.5}))
    met = tuple(hits(1, f"203.0.113.{n}")[0] for n in range(100))
    bench.allowlisting.apply(Turn(0.0, hits=met))

    assert [bench.allowlisting.budget.allows(0.0) for _ in range(51)] == [True] * 50 + [False]
    assert over(BanBudget(10, 60, 0.5)).startswith(
        "more than 10 bans within 60 s, or of 50% of the clients seen, were"
    )


def test_without_a_share_nobody_is_remembered_for_it():
    bench = Bench()
    bench.allowlisting.apply(Turn(0.0, hits=hits(3, ANN)))

    assert bench.allowlisting.budget._clients._now == set()


def test_new_settings_hold_from_then_on():
    bench = Bench(office_example=(BOB,))
    budget = bench.allowlisting.budget
    bench.allowlisting.take(
        replace(
            SETTINGS, allowlist=AllowlistSettings(cdns=()), budget=BudgetSettings(BanRate(math.inf, 60.0))
        )
    )
    bench.allowlisting.names.look()

    assert bench.why("192.0.2.1", BOB, "151.101.1.1") == [None] * 3
    assert bench.allowlisting.budget is budget  # the guard has it
    assert budget.max_bans == math.inf
