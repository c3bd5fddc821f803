from dataclasses import fields

from sidecar.alerts.slack import Slack
from sidecar.app.metric_labels import known_labels
from sidecar.config.redis_url import parse_redis_url
from sidecar.config.settings import Settings
from sidecar.core.jail import Jail
from sidecar.fleet.protocol import Rejection
from sidecar.telemetry.metrics import KnownLabels

SETTINGS = Settings((Jail("login"),), {"login": None})


def test_jails_and_senders_are_those_of_the_settings():
    known = known_labels(SETTINGS, [Slack("https://hooks.example/x")])

    assert known.jails == ("login", "manual")
    assert known.filters == ("login",)
    assert known.senders == ("slack",)
    assert known.fleet_rejections == ()


def test_reasons_include_the_allowlist_and_its_cdns():
    reasons = known_labels(SETTINGS, []).ignored_reasons

    assert {"ignoreip", "loopback", "a private address", "an address of the CDN fastly"} <= set(reasons)
    assert len(reasons) == len(set(reasons))


def test_in_a_fleet_every_label_has_values():
    settings = SETTINGS.replaced({"fleet.redis": parse_redis_url("redis://cache")})
    known = known_labels(settings, [Slack("https://hooks.example/x")])

    assert known.fleet_rejections == tuple(Rejection)
    assert all(getattr(known, field.name) for field in fields(KnownLabels))
