"""Each setting has the value that a run would have, and the place that it comes from; secrets are in none."""

import base64
import json

import pytest

from sidecar.config.effective import effective, of_site
from sidecar.config.environment import FILE_VARIABLES, VARIABLES
from sidecar.config.errors import ConfigErrors
from sidecar.config.jail_keys import GLOBAL_KEYS, JAIL_KEYS

JAILS = """[DEFAULT]
bantime = 2h
ignoreip = 192.0.2.1 office.example.org
trusted_proxies = 192.0.2.2
maxbans = 5000
banbudget = 100/10m
[wordpress]
maxretry = 7
mode = observe
[wordpress-access]
bantime.increment = true
trusted_proxies = 192.0.2.3
[wordpress-xmlrpc]
[wordpress-auth]
filter = wordpress-auth[key=hunter2hunter2hunter2]
"""
SECRET = "hunter2"
LONG_SECRET = f"{SECRET}-0123456789abcdef0123456789abcdef"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "jails.conf"
    path.write_text(JAILS)
    return path


def of_host(environ, **more):
    return {each.name: (each.value, each.origin) for each in effective(environ, **more).host}


def of_jail(found, name):
    return {each.name: (each.value, each.origin) for each in found.jails[name]}


def test_every_setting_has_a_row_and_where_nothing_is_set_all_are_defaults():
    found = effective({})
    variables = {each.path for each in VARIABLES}

    assert [each.name for each in found.host] == [
        *(each.name for each in FILE_VARIABLES),
        *(each.name for each in VARIABLES),
        *(each.name for each in GLOBAL_KEYS if each.path not in variables),
    ]
    assert {each.origin for each in found.host} == {"default"}
    assert set(found.jails) == {"wordpress", "wordpress-access", "wordpress-auth", "wordpress-xmlrpc"}
    assert [each.name for each in found.jails["wordpress"]] == [*(each.name for each in JAIL_KEYS), "action"]
    assert {each.origin for rows in found.jails.values() for each in rows} == {"default", "built-in jail"}
    json.dumps([found.host, found.jails], allow_nan=False)


def test_a_value_of_the_environment_comes_before_that_of_the_file(path):
    environ = {
        "WP_SIDECAR_JAILS": str(path),
        "WP_SIDECAR_LISTEN": "127.0.0.1:9999",
        "WP_SIDECAR_LOG_FORMAT": "json",
        "WP_SIDECAR_BANBUDGET": "50/1m",
        "WP_SIDECAR_TRUSTED_PROXIES": "192.0.2.4",
        "WP_SIDECAR_EVENT_LOG": " ",
    }
    host = of_host(environ)

    assert host["WP_SIDECAR_JAILS"] == (str(path), "environment WP_SIDECAR_JAILS")
    assert host["WP_SIDECAR_LISTEN"] == ("127.0.0.1:9999", "environment WP_SIDECAR_LISTEN")
    assert host["WP_SIDECAR_LOG_FORMAT"] == ("json", "environment WP_SIDECAR_LOG_FORMAT")
    assert host["WP_SIDECAR_BANBUDGET"] == ("50/60s", "environment WP_SIDECAR_BANBUDGET")
    assert host["WP_SIDECAR_EVENT_LOG"] == (None, "default")
    assert host["maxbans"] == (5000, f"{path}, line 5, [DEFAULT]")
    assert host["dbpurgeage"][1] == "default"
    # These are joined.
    proxies, origin = host["WP_SIDECAR_TRUSTED_PROXIES"]
    assert sorted(proxies) == ["192.0.2.2", "192.0.2.3", "192.0.2.4"]
    assert origin == (
        f"environment WP_SIDECAR_TRUSTED_PROXIES and {path}, line 4, [DEFAULT] "
        f"and {path}, line 12, [wordpress-access]"
    )


def test_the_file_alone_and_options_of_the_command(path, tmp_path):
    host = of_host({}, jails=path, filters=tmp_path)

    assert host["WP_SIDECAR_BANBUDGET"] == ("100/600s", f"{path}, line 6, [DEFAULT]")
    assert host["WP_SIDECAR_JAILS"] == (str(path), "option --jails")
    assert host["WP_SIDECAR_FILTERS"] == (str(tmp_path), "option --filters")


def test_a_key_of_a_jail_is_its_own_that_of_all_jails_built_in_or_the_default(path):
    found = effective({}, jails=path)
    login, access, xmlrpc = (
        of_jail(found, name) for name in ("wordpress", "wordpress-access", "wordpress-xmlrpc")
    )

    assert login["maxretry"] == (7, f"{path}, line 8, [wordpress]")
    assert login["mode"] == ("observe", f"{path}, line 9, [wordpress]")
    assert login["bantime"] == (7200.0, f"{path}, line 2, [DEFAULT]")
    assert login["success"] == ("proof", "built-in jail")
    assert login["findtime"] == (10800.0, "default")
    assert access["bantime.increment"] == (True, f"{path}, line 11, [wordpress-access]")
    # Growing bans are built in for this jail, and end with a ban time of one's own.
    assert access["bantime.multipliers"] == ([], "default")
    # [DEFAULT] does not change the limits of this one, and its list holds beside the built-in one.
    assert xmlrpc["bantime"] == (3600.0, "built-in jail")
    assert xmlrpc["ignoreip"] == (
        ["192.0.2.1", "192.0.64.0/18", "office.example.org"],
        f"{path}, line 3, [DEFAULT] and built-in jail",
    )
    assert of_jail(effective({}), "wordpress-access")["bantime.multipliers"] == (
        [1.0, 4.0, 24.0, 168.0],
        "built-in jail",
    )


def test_no_secret_is_in_any_setting(path, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text(base64.b64encode(f"{LONG_SECRET}".encode()[:32]).decode())
    environ = {
        "WP_SIDECAR_WEB_TOKEN": LONG_SECRET,
        "WP_SIDECAR_REDIS_URL": f"redis://user:{SECRET}@redis.example.org:6379/0",
        "SLACK_WEBHOOK_URL": f"https://hooks.slack.com/services/{SECRET}",
        "WP_SIDECAR_WEBHOOK_URL": f"https://example.org/{SECRET}",
        "WP_SIDECAR_WEBHOOK_SECRET": LONG_SECRET,
        "WP_SIDECAR_APPRISE_URL": f"mailto://{SECRET}:{SECRET}@example.org",
        "WP_SIDECAR_SMTP_URL": f"smtps://user:{SECRET}@mail.example.org",
        "WP_SIDECAR_MAIL_TO": "ops@example.org",
        "DOCKER_HOST": "tcp://docker.example.org:2375",
    }
    held = {each.name for each in VARIABLES if each.file_holds}
    assert held <= environ.keys(), "a secret variable is missing here"
    found = effective(environ, jails=path)
    text = json.dumps([found.host, found.jails])

    assert SECRET not in text
    assert {each.name for each in found.host if each.value == "…"} == held
    assert of_host(environ)["WP_SIDECAR_MAIL_TO"][0]


def test_errors_are_those_of_a_run():
    with pytest.raises(ConfigErrors, match="WP_SIDECAR_LISTEN"):
        effective({"WP_SIDECAR_LISTEN": "everywhere"})


def test_the_settings_of_a_site_are_those_of_the_jails_that_look_at_it_as_its_labels_change_them(path):
    found = effective({}, jails=path)
    labels = (
        "wp-sidecar.maxretry=10",
        "wp-sidecar.bantime=1m",
        "wp-sidecar.jails=wordpress",
        "wp-sidecar.allow=192.0.2.9",
    )
    rows = [*of_site("blog", labels, found, ["wordpress"])]

    assert [tuple(each) for each in rows if each.is_of_label] == [
        ("blog", "wordpress", "maxretry", 10, "label wp-sidecar.maxretry"),
        # A label makes no ban shorter.
        ("blog", "wordpress", "bantime", 7200.0, "label wp-sidecar.bantime"),
        ("blog", "", "jails", "wordpress", "label wp-sidecar.jails"),
        ("blog", "", "allow", "192.0.2.9", "label wp-sidecar.allow"),
    ]
    # All else is as in the jail, with the same place.
    assert [each[2:] for each in rows if not each.is_of_label] == [
        tuple(each) for each in found.jails["wordpress"] if each.name not in ("maxretry", "bantime")
    ]


def test_no_jail_that_does_not_look_at_a_site_is_among_its_settings(path):
    found, observe = effective({}, jails=path), ["wp-sidecar.mode=observe"]

    def jails_of(looking):
        return [each.jail for each in of_site("blog", observe, found, looking) if each.is_of_label]

    assert jails_of(["wordpress-access", "wordpress"]) == ["wordpress", "wordpress-access"]
    assert [tuple(each) for each in of_site("db", ["wp-sidecar.enable=false: not watched"], found, [])] == [
        ("db", "", "enable", "false: not watched", "label wp-sidecar.enable")
    ]
