from dataclasses import replace

import pytest

from sidecar.alerts.occurrences import Occurrence
from sidecar.app.reporting import Reporting, channels
from sidecar.config.redis_url import parse_redis_url
from sidecar.config.settings import FleetSettings, PathSettings, Settings
from sidecar.core.actions import Action, AlertEvent
from sidecar.core.jail import Jail


@pytest.fixture
def settings(tmp_path):
    paths = PathSettings(state=tmp_path)
    return Settings((Jail("web"),), {}, paths=paths, alerts={"slack": "http://127.0.0.1:9/hook"})


def test_every_known_series_begins_at_zero(settings):
    reporting = Reporting.of(settings)

    def value(name, **labels):
        return reporting.registry.get_sample_value(f"wp_sidecar_{name}", labels)

    assert value("bans_total", jail="web", family="ipv4", cause="failures") == 0
    assert value("bans_total", jail="manual", family="ipv6", cause="manual") == 0
    assert value("alerts_total", sender="slack", result="sent") == 0


def test_each_sender_has_a_channel(settings):
    reporting = Reporting.of(settings)
    reporting.outbox.open()

    assert [channel.sender.name for channel in reporting.outbox.channels] == ["slack"]
    assert [delivery.name for delivery in reporting.outbox.deliveries] == ["alerts to slack"]


def test_without_a_sender_nothing_is_kept(tmp_path):
    outbox = Reporting.of(Settings((), {}, paths=PathSettings(state=tmp_path))).outbox

    outbox.open()
    assert outbox.channels == ()
    assert list(tmp_path.iterdir()) == []


def test_a_ban_by_hand_is_notified_as_default_says(settings):
    slack = Action("slack", "slack", (("url", "https://hooks.example/x"),))
    (_, channel) = channels(replace(settings, manual_actions=(slack,)))

    assert channel.accepts(Occurrence(AlertEvent.BAN, "manual", "203.0.113.7", 0.0))
    assert not channel.accepts(Occurrence(AlertEvent.BAN, "web", "203.0.113.7", 0.0))


def test_a_problem_is_published(settings):
    reporting = Reporting.of(settings)
    reporting.outbox.open()
    reporting.problems.report("docker", "no daemon")

    (folder,) = settings.paths.state.iterdir()
    assert "no daemon" in "".join(path.read_text() for path in folder.iterdir())


def test_only_a_host_in_a_fleet_has_the_fleets_metrics(settings):
    fleet = FleetSettings(redis=parse_redis_url("redis://127.0.0.1"))

    assert Reporting.of(settings).metrics.fleet is None
    assert Reporting.of(replace(settings, fleet=fleet)).metrics.fleet is not None
