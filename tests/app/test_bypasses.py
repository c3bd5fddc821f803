from collections import Counter
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sidecar.advice.bypass import BypassKind
from sidecar.alerts.compose import described
from sidecar.app import bypasses
from sidecar.app.bypasses import ALERT_INTERVAL_S, Bypasses
from sidecar.app.host_network import HostNetwork
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.containers import Container
from sidecar.core.events import Bypass, Hit, Origin, Turn
from sidecar.core.guard import Guard
from sidecar.firewall import AddressFacts, FirewallError, RepairKind
from sidecar.runtime.loop import Inbox
from sidecar.runtime.problems import Problems
from sidecar.telemetry.metrics.declare import Declaration
from sidecar.telemetry.metrics.firewall import FirewallMetrics
from tests.firewall.decisions import ANN, BOB, LOGIN

BLOG = Container("1", "blog", "wordpress", ipv6_proxied=True)
FACTS = AddressFacts(ANN, "ban4", intact=True, in_set=True, sent_packets=False, versions_seen=frozenset({4}))


class World:
    """A firewall, containers, metrics and alerts, as far as `Bypasses` uses them."""

    def __init__(self):
        self.containers = [BLOG]
        self.asked, self.counted, self.notices = [], Counter(), []
        self.answer = FACTS
        self.inbox = Inbox()
        self.network = HostNetwork(list, Problems())
        self.sink = Bypasses(self, self, self.network, self, self, inbox=self.inbox)

    def facts(self, address, jail, at, now):
        self.asked.append((address, jail, at, now))
        if isinstance(self.answer, FirewallError):
            raise self.answer
        return replace(self.answer, address=address)

    def bypassed(self, kind):
        self.counted.update([kind])

    def publish_occurrence(self, occurrence):
        self.notices.append(described(occurrence))

    def apply(self, at, *bypasses):
        self.sink.apply(Turn(at, bypasses=bypasses))

    @property
    def alerts(self):
        return [(notice.text, notice.fields[0].value) for notice in self.notices]


def bypass(address, at=0.0, origin="blog", jail="login"):
    return Bypass(jail, address, at, origin)


def test_a_bypass_is_examined_counted_and_alerted():
    world = World()
    world.apply(10.0, bypass(ANN, 9.0))

    assert world.asked == [(ANN, "login", 9.0, 10.0)]
    assert world.counted == {BypassKind.UPSTREAM_PROXY: 1}
    ((title, sentence),) = world.alerts
    assert "the ban of 203.0.113.11" in title
    assert sentence.startswith("It still reaches blog: no packet came from 203.0.113.11, so a CDN")


def test_a_request_from_before_the_ban_is_no_bypass_and_the_next_line_may_be_one():
    """A slow server logs it long after the ban; the kernel rejected the answer."""
    guard = Guard([LOGIN], Allowlist())
    line = Hit(LOGIN.name, ANN, 20.0, Origin("docker", "blog"), "a line")
    guard.ban(ANN, 0.0, LOGIN.name)
    world = World()
    world.answer = replace(FACTS, answer_rejected=True)

    for at in (20.0, 21.0):
        guard.hits([line._replace(at=at)], at)
        bypasses, _ = guard.take_noticed()
        assert bypasses == (bypass(ANN, at),)
        world.apply(at, *bypasses)
        for command in world.inbox.drain(0):
            assert command.work(guard, at) == ()

    assert (world.counted, world.alerts) == ({}, [])


@pytest.mark.parametrize(
    "changed", [{"intact": False}, {"in_set": False}, {"repaired": RepairKind.TABLE}], ids=str
)
def test_a_rejected_answer_excuses_no_hole_in_the_table(changed):
    world = World()
    world.answer = replace(FACTS, answer_rejected=True, **changed)
    world.apply(10.0, bypass(ANN))

    assert len(world.alerts) == 1


def test_nobody_waits_for_the_end_of_it():
    world = World()
    world.apply(10.0, bypass(ANN))

    assert [notice.key for notice in world.notices] == [""]


def test_one_reason_at_one_log_is_alerted_once_an_hour_and_every_bypass_is_counted():
    world = World()
    world.apply(0.0, bypass(ANN), bypass(BOB), bypass(BOB, origin="shop", jail="probes"))
    world.apply(ALERT_INTERVAL_S - 1, bypass(Address("203.0.113.9")))
    world.apply(ALERT_INTERVAL_S, bypass(Address("203.0.113.10")))

    assert [title.rpartition(" ")[2] for title, _ in world.alerts] == [ANN, BOB, "203.0.113.10"]
    assert [sentence.partition(":")[0] for _, sentence in world.alerts] == [
        "It still reaches blog",
        "It still reaches shop",
        "It still reaches blog",
    ]
    assert world.counted == {BypassKind.UPSTREAM_PROXY: 5}


def test_a_line_from_the_future_counts_as_one_of_now():
    world = World()
    world.apply(10.0, bypass(ANN, 3610.0))

    assert world.asked == [(ANN, "login", 10.0, 10.0)]


def test_what_is_known_of_the_container_counts_and_the_log_may_be_a_file(caplog):
    world = World()
    world.answer = replace(FACTS, versions_seen=frozenset({4, 6}))
    world.apply(0.0, bypass(ANN), bypass(BOB, origin="/var/log/a\nb"))

    assert world.counted == {BypassKind.DOCKER_PROXY: 1, BypassKind.UPSTREAM_PROXY: 1}
    assert caplog.messages[1].startswith(
        r"[login] the ban of 203.0.113.12 has no effect at /var/log/a\nb: no packet came from 203.0.113.12"
    )


def test_a_kernel_that_does_not_answer_is_an_unknown_reason_and_no_alert():
    world = World()
    world.answer = FirewallError("reading the firewall failed: no answer")
    world.apply(0.0, bypass(ANN))

    assert (world.counted, world.alerts) == ({BypassKind.UNKNOWN: 1}, [])


def test_a_flood_of_bypasses_does_not_hold_up_the_loop(monkeypatch):
    monkeypatch.setattr(bypasses, "MAX_EXAMINED", 2)
    world = World()
    world.apply(0.0, *(bypass(Address(f"203.0.113.{n}")) for n in range(5)))

    assert len(world.asked) == 2
    assert world.counted == {BypassKind.UPSTREAM_PROXY: 2, BypassKind.UNKNOWN: 3}


def test_each_kind_has_a_metric_that_begins_at_zero():
    registry = CollectorRegistry()
    FirewallMetrics(Declaration(registry), bypass_kinds=BypassKind)
    page = generate_latest(registry).decode()

    assert [kind for kind in BypassKind if f'{{kind="{kind.value}"}} 0.0' not in page] == []
