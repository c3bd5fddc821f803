from __future__ import annotations

from dataclasses import MISSING, fields
from pathlib import Path

from sidecar.config.cdn import Cdn
from sidecar.config.environment import REDIS_CA, VARIABLES
from sidecar.config.jail_keys import GLOBAL_KEYS
from sidecar.config.settings import AllowlistSettings, PathSettings, Settings
from sidecar.config.units import AllowlistEntries
from sidecar.core.actions import SHARED

SETTINGS = Settings((), {})


def test_settings_are_made_of_values_by_their_paths():
    values = {"paths.state": Path("/srv"), "alerts.slack": "https://a.example", "listen": ("::1", 1)}

    assert Settings.of((), {}, values) == Settings(
        (),
        {},
        paths=PathSettings(state=Path("/srv")),
        alerts={"slack": "https://a.example"},
        listen=("::1", 1),
    )


def test_one_setting_is_read_and_replaced_by_its_path():
    changed = SETTINGS.replaced({"paths.state": Path("/srv"), "node": "a"})

    assert (changed.value("paths.state"), changed.value("node")) == (Path("/srv"), "a")
    assert (changed.paths.socket, changed.allowlist) == (SETTINGS.paths.socket, SETTINGS.allowlist)


def test_every_row_of_the_tables_names_a_setting():
    groups = {
        each.name: each.default_factory for each in fields(Settings) if each.default_factory is not MISSING
    }
    settings = {
        f"{group}.{each.name}" for group, make in groups.items() if group != "alerts" for each in fields(make)
    }
    alerts = {f"alerts.{setting}" for shared in SHARED.values() for _, setting in shared}
    settings |= {each.name for each in fields(Settings)} - groups.keys() | alerts | {REDIS_CA}

    assert {each.path for each in (*VARIABLES, *GLOBAL_KEYS)} <= settings


def test_every_setting_but_the_jails_has_a_row():
    """A group is reached by its fields; `notes`, `errors` and `manual_actions` are read with the jails."""
    paths = {each.path for each in VARIABLES} | {each.path for each in GLOBAL_KEYS}
    groups = {path.partition(".")[0] for path in paths}

    with_the_jails = {"jails", "filters", "manual_actions", "notes", "errors"}
    assert {each.name for each in fields(Settings)} - groups == with_the_jails


def test_networks_are_grouped_by_the_reason_not_to_ban_them():
    allowlist = AllowlistSettings(
        AllowlistEntries(("192.0.2.1",), ("office.example",)),
        trusted_proxies=("192.0.2.16/28",),
        cdns=(Cdn("fastly", None, "", ("151.101.0.0/16",)),),
    )

    assert allowlist.networks_by_reason() == {
        "a trusted proxy": ("192.0.2.16/28",),
        "ignoreip": ("192.0.2.1",),
        "an address of the CDN fastly": ("151.101.0.0/16",),
    }
