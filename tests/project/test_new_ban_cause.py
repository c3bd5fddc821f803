"""A new cause of bans is a member of `BanCause`, and nothing else has to know it."""

from contextlib import closing

import pytest
from prometheus_client import CollectorRegistry

from sidecar.alerts.compose import described
from sidecar.alerts.occurrences import Occurrence
from sidecar.control.commands.answers import ban_entry
from sidecar.core.address import Address
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, BanCause, Turn, Unban, UnbanCause
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.fleet.publisher import is_shared
from sidecar.stores.sqlite import SqliteStore
from sidecar.telemetry.decision_log import DecisionLine
from sidecar.telemetry.metrics import Declaration, KnownLabels, Metrics

ANN = Address("203.0.113.7")


@pytest.fixture
def honeypot(monkeypatch):
    """Another member of the enum, for the time of a test."""
    member = str.__new__(BanCause, "honeypot")
    member._name_, member._value_ = "HONEYPOT", "honeypot"
    monkeypatch.setitem(BanCause._member_map_, "HONEYPOT", member)
    monkeypatch.setitem(BanCause._value2member_map_, "honeypot", member)
    monkeypatch.setattr(BanCause, "_member_names_", [*BanCause._member_names_, "HONEYPOT"])
    return member


@pytest.fixture
def ban(honeypot):
    return Ban("login", ANN, 1.0, 61.0, honeypot, failures=1, origin_name="blog")


def test_it_is_stored_and_loaded(ban, honeypot, tmp_path):
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        store.load(0.0)
        store.apply(Turn(1.0, (ban,)))
    with closing(SqliteStore(tmp_path / "state.db")) as store:
        (loaded,) = store.load(2.0).bans

    assert (loaded, loaded.cause) == (ban, honeypot)


def test_it_ends_and_is_remembered_like_any_other(ban):
    guard = Guard([Jail("login")], Allowlist(), [ban])

    assert guard.tick(61.0) == [Unban("login", ANN, 61.0, UnbanCause.EXPIRED)]
    assert guard.view.ban_counts(ANN, now=61.0) == {"login": 1}


def test_it_is_shown_logged_and_alerted(ban):
    assert ban_entry(ban)["cause"] == "honeypot"
    assert str(DecisionLine(ban)).endswith("(honeypot)")
    assert described(Occurrence.of_ban(ban, 1.0)).text.startswith("Banned 203.0.113.7 ")


def test_it_has_a_series_from_the_start(ban):
    registry = CollectorRegistry()
    metrics = Metrics.declared(Declaration(registry), "0", KnownLabels(jails=("login",)), fleet=False)
    labels = {"jail": "login", "family": "ipv4", "cause": "honeypot"}
    assert registry.get_sample_value("wp_sidecar_bans_total", labels) == 0

    metrics.bans.apply(Turn(1.0, (ban,)))
    assert registry.get_sample_value("wp_sidecar_bans_total", labels) == 1


def test_the_fleet_does_not_get_it_until_it_is_listed_as_decided_here(ban):
    assert not is_shared(ban)
