import pytest

from sidecar.app import host, housekeeping
from sidecar.app.housekeeping import (
    CiliumCheck,
    Housekeeping,
    MetricsUpdate,
    OwnNetworksCheck,
    Reports,
    StoreCleanup,
)
from sidecar.app.last_run import PendingHits
from sidecar.config.settings import Settings
from sidecar.core.allowlist import OWN, Allowlist
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.runtime.loop import Inbox, Loop
from sidecar.runtime.problems import Problems
from sidecar.stores.base import StoreError
from tests.app.world import ANN, Changes, ReadableMetrics, hits

WEB = Jail("web", findtime=600.0)


@pytest.fixture
def guard():
    return Guard([WEB], Allowlist())


@pytest.fixture
def changes():
    return Changes()


def test_each_chore_is_done_in_the_loop_though_another_fails(guard, caplog):
    class Banning:
        def run(self, guard, now):
            return guard.ban(ANN, now, "web")

    class Failing:
        def run(self, _guard, _now):
            raise ValueError("a mistake")

    inbox = Inbox()
    Housekeeping(inbox, (Failing(), Banning())).run()
    loop = Loop(guard, inbox, [], lambda: 5.0, Problems())
    loop.step(timeout=0)

    assert loop.ban_count == 1
    assert caplog.messages == ["a command failed in the loop"]


def test_figures_that_are_kept_elsewhere_become_metrics(guard, monkeypatch):
    class Figures:
        usage, invalid, dropped, lost_lines = {"web": (0.5, 7)}, 3, 4, 5
        waiting = {"slack": 6}  # noqa: RUF012 - of a test

    monkeypatch.setattr(housekeeping, "records_dropped", lambda: 2)
    readable, figures = ReadableMetrics(), Figures()
    guard.hits(hits(1, "127.0.0.1") + hits(1, ANN), 5.0)

    assert MetricsUpdate(readable.metrics, figures, figures, figures).run(guard, 5.0) == ()
    assert readable.value("ignored_failures_total", reason="invalid address") == 3
    assert readable.value("ignored_failures_total", reason="loopback") == 1
    assert readable.value("tracked_addresses", jail="web") == 1
    assert readable.value("unresolved_failures_total") == 4
    assert readable.value("filter_matches_total", filter="web") == 7
    assert readable.value("search_lost_lines_total") == 5
    assert readable.value("log_records_dropped_total") == 2
    assert readable.value("alerts_waiting", sender="slack") == 6


class Cleanup:
    """A store, and what the chore asks of it."""

    def __init__(self, changes, pending=()):
        self.settings = Settings((WEB,), {}, dbpurgeage=86_400.0)
        self.error, self.forgotten = None, []
        problem = changes.problems().problem("store")
        self.chore = StoreCleanup(self, self, PendingHits(pending, ["web"]), problem)

    def forget(self, before, history_before, in_force):
        if self.error:
            raise self.error
        self.forgotten.append((before, history_before, in_force))


def test_the_store_forgets_what_no_jail_counts_any_more(guard, changes):
    cleanup = Cleanup(changes)
    cleanup.chore.run(guard, 100_000.0)

    assert cleanup.forgotten == [(99_400.0, 13_600.0, guard.view)]


def test_before_the_failures_of_the_last_run_are_counted_nothing_is_forgotten(guard, changes):
    cleanup = Cleanup(changes, pending=hits(1))
    cleanup.chore.run(guard, 100_000.0)

    assert cleanup.forgotten == []


def test_a_store_that_cannot_forget_is_reported_until_it_can(guard, changes):
    cleanup = Cleanup(changes)
    cleanup.error = StoreError("the disk is full")
    cleanup.chore.run(guard, 100_000.0)
    assert changes == [("store", "the disk is full")]

    cleanup.error = None
    cleanup.chore.run(guard, 100_030.0)
    assert changes[1:] == [("store", None)]


class Drops:
    """A firewall that counts."""

    dropped: int | None = 0

    def count_drops(self):
        return self.dropped


def test_cilium_beside_a_firewall_that_drops_nothing_is_reported(guard, changes, monkeypatch):
    monkeypatch.setattr(host, "interfaces", lambda: ("lo", "cilium_host"))
    drops = Drops()
    check = CiliumCheck(drops, changes.problems().problem("Cilium", critical=False))
    check.run(guard, 5.0)
    assert [name for name, sentence in changes if sentence] == ["Cilium"]

    # Unknown is no reason to believe otherwise.
    drops.dropped = None
    check.run(guard, 5.0)
    assert len(changes) == 1

    drops.dropped = 1
    check.run(guard, 5.0)
    assert changes[1:] == [("Cilium", None)]


def test_every_report_is_made(guard):
    reported = []

    class Reporting:
        def report(self, now):
            reported.append(now)

    assert Reports(Reporting(), Reporting()).run(guard, 5.0) == ()
    assert reported == [5.0, 5.0]


def test_this_hosts_addresses_are_looked_at_again(guard, monkeypatch):
    monkeypatch.setattr(host, "own_networks", lambda: {OWN: ("10.0.0.2",), "a gateway": (ANN,)})
    asked = []

    class Public:
        current = ("198.51.100.7",)

    class Inputs:
        def own_networks_changed(self, networks, guard, now):
            asked.append((networks, now))
            return guard.ban(ANN, now, "web")

    assert [ban.address for ban in OwnNetworksCheck(Inputs(), Public()).run(guard, 5.0)] == [ANN]
    assert asked == [({OWN: ("10.0.0.2", "198.51.100.7"), "a gateway": (ANN,)}, 5.0)]
