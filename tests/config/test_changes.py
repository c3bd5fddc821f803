from pathlib import Path

from sidecar.config.changes import ReloadOutcome, fixed_paths, keep_fixed
from sidecar.config.errors import ConfigError
from sidecar.config.settings import Settings
from sidecar.config.units import AllowlistEntries

RUNNING = Settings((), {}).replaced({"paths.state": Path("/before"), "listen": ("127.0.0.1", 1)})


def test_a_fixed_setting_keeps_its_value_and_is_named():
    others = {"allowlist.ignoreip": AllowlistEntries(("192.0.2.1",))}
    read = RUNNING.replaced({"paths.state": Path("/after"), "listen": ("::1", 2), **others})

    assert keep_fixed(RUNNING, read) == (
        RUNNING.replaced(others),
        ("WP_SIDECAR_STATE", "WP_SIDECAR_LISTEN"),
    )


def test_the_same_settings_need_no_restart():
    assert keep_fixed(RUNNING, RUNNING) == (RUNNING, ())


def test_fixed_settings_are_those_that_are_used_at_the_start():
    assert fixed_paths() == [
        "paths.state", "paths.socket", "listen", "listen_names", "sources.docker_host", "sources.kind", "sources.logs",
        "sources.pods", "sources.kubernetes_api", "sources.image_labels", "sources.syslog", "fleet.redis", "fleet.prefix", "node",
        "log.level", "log.as_json", "log.events", "log.event_format", "cloud_metadata",
    ]  # fmt: skip


def test_a_reload_with_an_error_changed_nothing():
    assert ReloadOutcome(RUNNING).ok
    assert not ReloadOutcome(RUNNING, errors=(ConfigError("jails.conf", "login", "maxretry", "?"),)).ok
