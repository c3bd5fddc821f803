from sidecar.app.reporting import Reporting
from sidecar.config.redis_url import parse_redis_url
from sidecar.config.settings import FleetSettings, Settings
from sidecar.core.jail import Jail

SETTINGS = Settings((Jail("web"),), {}, alerts={"slack": "http://127.0.0.1:9/hook"})


def test_every_known_series_begins_at_zero():
    reporting = Reporting.of(SETTINGS)

    def value(name, **labels):
        return reporting.registry.get_sample_value(f"wp_sidecar_{name}", labels)

    assert value("bans_total", jail="web", family="ipv4", cause="failures") == 0
    assert value("bans_total", jail="manual", family="ipv6", cause="manual") == 0
    assert value("alerts_total", sender="slack", result="sent") == 0


def test_each_sender_has_an_outbox():
    reporting = Reporting.of(SETTINGS)

    assert [sender.name for sender in reporting.senders] == ["slack"]
    assert [outbox.name for outbox in reporting.outboxes] == ["alerts to slack"]
    assert Reporting.of(Settings((), {})).outboxes == []


def test_only_a_host_in_a_fleet_has_the_fleets_metrics():
    fleet = FleetSettings(redis=parse_redis_url("redis://127.0.0.1"))

    assert Reporting.of(SETTINGS).metrics.fleet is None
    assert Reporting.of(Settings((), {}, fleet=fleet)).metrics.fleet is not None
