from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sidecar.config import reader
from sidecar.config.errors import ConfigErrors
from sidecar.config.redis_url import parse_redis_url
from sidecar.config.settings import (
    AllowlistSettings,
    BudgetSettings,
    FleetSettings,
    LogSettings,
    PathSettings,
    Settings,
    SourceKind,
    SourceSettings,
)
from sidecar.config.units import AllowlistEntries, BanRate

FAIL = "[Definition]\nfailregex = ^fail <HOST>$\n"
IDLE = [f"{name}: has an effect only with WP_SIDECAR_SOURCE=cri" for name in ("PODS", "KUBERNETES_API")]
HOOK = "https://hooks.slack.example/services/T0/B0/secret"


@pytest.fixture
def environ(tmp_path):
    """The least that can be read: a folder with the filters of the two jails."""
    (tmp_path / "wordpress.conf").write_text(FAIL)
    (tmp_path / "wordpress-access.conf").write_text(FAIL)
    return {"WP_SIDECAR_FILTERS": str(tmp_path), "PATH": "/usr/bin"}


def errors(environ, **given):
    with pytest.raises(ConfigErrors) as caught:
        reader.read(environ, **given)
    return list(map(str, caught.value.errors))


def test_without_any_configuration_the_builtin_jails_run(environ):
    settings = reader.read(environ)

    assert [jail.name for jail in settings.jails] == [
        "wordpress", "wordpress-access", "wordpress-auth", "wordpress-xmlrpc",
    ]  # fmt: skip
    assert settings == Settings(settings.jails, settings.filters)
    assert settings.listen == ("127.0.0.1", 9734)
    assert settings.sources.docker_host == "unix:///var/run/docker.sock"


def test_every_variable(environ, tmp_path):
    (tmp_path / "key").write_text("k" * 40)
    settings = reader.read(
        environ
        | {
            "WP_SIDECAR_STATE": "/srv/state",
            "WP_SIDECAR_SOCKET": "/srv/s",
            "WP_SIDECAR_GEOIP": "/geo/asn.mmdb, /geo/country.mmdb",
            "WP_SIDECAR_LISTEN": "[::1]:80",
            "WP_SIDECAR_IGNOREIP": "203.0.113.7, 198.51.100.0/24, Office.example.org",
            "WP_SIDECAR_TRUSTED_PROXIES": "192.0.2.0/28",
            "WP_SIDECAR_ALLOW_CDN": "none",
            "WP_SIDECAR_BANBUDGET": "500/10m",
            "WP_SIDECAR_BANSHARE": "50%",
            "WP_SIDECAR_BAN_PRIVATE": "yes",
            "WP_SIDECAR_FLUSH_ON_EXIT": "1",
            "WP_SIDECAR_LOG_LEVEL": "debug",
            "WP_SIDECAR_LOG_FORMAT": "json",
            "WP_SIDECAR_SOURCE": "CRI",
            "WP_SIDECAR_PODS": "blog/*/wordpress, !*/*/db",
            "WP_SIDECAR_LOGS": "/srv/pods",
            "WP_SIDECAR_KUBERNETES_API": "true",
            "DOCKER_HOST": "tcp://proxy:2375",
            "WP_SIDECAR_SYSLOG": "/srv/log",
            "WP_SIDECAR_REDIS_URL": "redis://cache",
            "WP_SIDECAR_REDIS_PREFIX": "shops",
            "WP_SIDECAR_NODE": "host-1",
            "WP_SIDECAR_FLEET_KEY_FILE": str(tmp_path / "key"),
            "SLACK_WEBHOOK_URL": HOOK,
        }
    )

    assert settings == Settings(
        settings.jails,
        settings.filters,
        allowlist=AllowlistSettings(
            AllowlistEntries(("203.0.113.7", "198.51.100.0/24"), ("office.example.org",)),
            trusted_proxies=("192.0.2.0/28",),
            cdns=(),
            ban_private=True,
        ),
        budget=BudgetSettings(BanRate(500.0, 600.0), 0.5),
        sources=SourceSettings(
            SourceKind.CRI,
            "tcp://proxy:2375",
            pods=("blog/*/wordpress", "!*/*/db"),
            logs=Path("/srv/pods"),
            kubernetes_api=True,
            syslog=Path("/srv/log"),
        ),
        fleet=FleetSettings(parse_redis_url("redis://cache"), "shops", (b"k" * 40,)),
        paths=PathSettings(
            Path("/srv/state"), Path("/srv/s"), (Path("/geo/asn.mmdb"), Path("/geo/country.mmdb"))
        ),
        log=LogSettings("DEBUG", as_json=True),
        alerts={"slack": HOOK},
        listen=("::1", 80),
        node="host-1",
        flush_on_exit=True,
    )


def test_the_environment_takes_precedence_over_the_jails_file(environ, tmp_path):
    (tmp_path / "jails.conf").write_text(
        "[DEFAULT]\nallow_cdn = sucuri\nbanbudget = 5/1m\nbanshare = 0.1\ntrusted_proxies = 192.0.2.1\n[wordpress]\n"
    )
    environ |= {"WP_SIDECAR_JAILS": f"{tmp_path}/jails.conf"}
    written = reader.read(environ)
    over = reader.read(
        environ
        | {
            "WP_SIDECAR_ALLOW_CDN": "fastly",
            "WP_SIDECAR_BANBUDGET": "off",
            "WP_SIDECAR_BANSHARE": "off",
            "WP_SIDECAR_TRUSTED_PROXIES": "192.0.2.2",
        }
    )

    assert [cdn.name for cdn in written.allowlist.cdns] == ["sucuri"]
    assert written.budget == BudgetSettings(BanRate(5, 60), 0.1)
    assert written.allowlist.trusted_proxies == ("192.0.2.1",)
    assert [cdn.name for cdn in over.allowlist.cdns] == ["fastly"]
    assert over.budget == BudgetSettings(BanRate(math.inf, 60), math.inf)
    assert over.allowlist.trusted_proxies == ("192.0.2.2", "192.0.2.1")


def test_the_operator_may_bring_a_list_of_cdns(environ, tmp_path):
    (tmp_path / "cdn.conf").write_text("[ours]\nas-of = 2026-11-01\n192.0.2.7\n")
    environ |= {"WP_SIDECAR_CDN_FILE": f"{tmp_path}/cdn.conf", "WP_SIDECAR_ALLOW_CDN": "ours"}
    (ours,) = reader.read(environ).allowlist.cdns
    assert (ours.name, ours.networks) == ("ours", ("192.0.2.7/32",))

    (tmp_path / "cdn.conf").write_text("[ours]\n192.0.2.7\n")
    assert errors(environ) == [
        f'{tmp_path}/cdn.conf:1: ours.as-of: expected the day of the list such as 2026-11-22, got ""'
    ]
    del environ["WP_SIDECAR_CDN_FILE"]
    (tmp_path / "jails.conf").write_text("[DEFAULT]\nallow_cdn = ours\n")
    (error,) = errors({"WP_SIDECAR_JAILS": f"{tmp_path}/jails.conf"})
    assert error.startswith(
        f'{tmp_path}/jails.conf: DEFAULT.allow_cdn: "ours": unknown; there are cloudflare, '
    )
    assert errors(environ)[0].startswith(
        'environment: WP_SIDECAR_ALLOW_CDN: "ours": unknown; there are cloudflare, '
    )


def test_monitoring_services_are_allowlisted_by_name(environ, tmp_path):
    assert reader.read(environ).allowlist.monitors == ()
    (tmp_path / "monitoring.conf").write_text("[ours]\nas-of = 2026-11-01\n192.0.2.7\n")
    environ |= {"WP_SIDECAR_MONITORING_FILE": f"{tmp_path}/monitoring.conf"}
    found = reader.read(environ | {"WP_SIDECAR_ALLOW_MONITORING": "pingdom, ours"}).allowlist

    assert [each.name for each in found.monitors] == ["pingdom", "ours"]
    assert found.networks_by_reason()["an address of the monitoring service ours"] == ("192.0.2.7/32",)
    (tmp_path / "jails.conf").write_text("[DEFAULT]\nallow_monitoring = pingdon\n")
    (error,) = errors({"WP_SIDECAR_JAILS": f"{tmp_path}/jails.conf"})
    assert error.startswith(
        f'{tmp_path}/jails.conf: DEFAULT.allow_monitoring: "pingdon": unknown. Did you mean pingdom?'
    )


@pytest.mark.parametrize(
    ("source", "idle"),
    [
        ("", ["LOGS: has an effect only with WP_SIDECAR_SOURCE=cri or docker-files", *IDLE]),
        ("docker-files", IDLE),
        ("cri", []),
    ],
)
def test_a_variable_without_effect_is_noted(environ, source, idle):
    about = {"LOGS": "/srv/logs", "PODS": "blog/*/*", "KUBERNETES_API": "true", "SOURCE": source}
    settings = reader.read(environ | {f"WP_SIDECAR_{name}": text for name, text in about.items()})

    assert list(settings.notes) == [f"environment: WP_SIDECAR_{sentence}" for sentence in idle]


def test_an_empty_variable_is_not_set(environ):
    empty = dict.fromkeys(
        ("WP_SIDECAR_JAILS", "WP_SIDECAR_LISTEN", "SLACK_WEBHOOK_URL", "WP_SIDECAR_TYPO"), " "
    )

    assert reader.read(environ | empty).alerts == {}


def test_arguments_take_precedence_over_the_environment(environ, tmp_path):
    (tmp_path / "jails.conf").write_text("[wordpress]\n[DEFAULT]\nban_private = true\n")
    environ |= {"WP_SIDECAR_JAILS": "/nowhere", "WP_SIDECAR_SOCKET": "/srv/s"}

    settings = reader.read(
        environ, jails=tmp_path / "jails.conf", filters=tmp_path, socket=Path("/srv/t"), flush_on_exit=True
    )

    assert [jail.name for jail in settings.jails] == ["wordpress"]
    assert (settings.paths.socket, settings.flush_on_exit, settings.allowlist.ban_private) == (
        Path("/srv/t"),
        True,
        True,
    )


def test_errors_of_environment_and_jails_file_are_raised_together(environ, tmp_path):
    (tmp_path / "jails.conf").write_text("[wordpress]\nmaxretry = five\n")
    environ |= {
        "WP_SIDECAR_JAILS": f"{tmp_path}/jails.conf",
        "WP_SIDECAR_LISTEM": "x",
        "WP_SIDECAR_STATE": "state",
    }

    assert errors(environ) == [
        "environment: WP_SIDECAR_LISTEM: unknown. Did you mean WP_SIDECAR_LISTEN?",
        'environment: WP_SIDECAR_STATE: expected a path that starts with /, got "state"',
        f'{tmp_path}/jails.conf:2: wordpress.maxretry: expected a whole number from 1 up, got "five"',
    ]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("WP_SIDECAR_JAILS", "/nowhere", "/nowhere does not exist; correct the path, or mount it"),
        ("WP_SIDECAR_FILTERS", "/nowhere", "/nowhere does not exist"),
        ("WP_SIDECAR_LISTEN", "9734", "expected an address and a port such as 127.0.0.1:9734"),
        ("WP_SIDECAR_LISTEN", "127.0.0.1:http", "expected an address and a port"),
        ("WP_SIDECAR_LISTEN", "127.0.0.1:65536", "expected an address and a port"),
        ("WP_SIDECAR_LISTEN", "example.org:80", '"example.org" is not an address'),
        ("WP_SIDECAR_IGNOREIP", "203.0.113.7;x", "is not an address, a network or a host name"),
        (
            "WP_SIDECAR_TRUSTED_PROXIES",
            "proxy.example.org",
            "is not an address or network; host names are not allowed here",
        ),
        ("WP_SIDECAR_TRUSTED_PROXIES", "0.0.0.0/0", "0.0.0.0/0 is too wide for proxies"),
        ("WP_SIDECAR_ALLOW_CDN", "none, fastly", "expected all, none or names such as cloudflare, fastly"),
        ("WP_SIDECAR_BANBUDGET", "30000", "expected a number and a duration such as 30000/1m, or off"),
        ("WP_SIDECAR_BANSHARE", "50", "expected a share such as 0.5 or 50%, or off"),
        ("WP_SIDECAR_BAN_PRIVATE", "maybe", "expected true or false"),
        ("WP_SIDECAR_LOG_LEVEL", "loud", "expected one of DEBUG"),
        ("WP_SIDECAR_LOG_FORMAT", "xml", "expected text or json"),
        ("WP_SIDECAR_EVENT_FORMAT", "xml", "expected fail2ban or json"),
        (
            "WP_SIDECAR_EVENT_LOG",
            "events.log",
            "expected off, stdout, syslog, syslog://host:514 or the path of a file",
        ),
        ("WP_SIDECAR_EVENT_LOG", "syslog://host", "expected off, stdout, syslog"),
        ("WP_SIDECAR_SOURCE", "k8s", 'expected one of docker, cri, docker-files, got "k8s"'),
        (
            "WP_SIDECAR_PODS",
            "blog/*/* blog",
            'expected namespace/pod/container, as in blog/*/wordpress, got "blog"',
        ),
        ("WP_SIDECAR_KUBERNETES_API", "maybe", "expected true or false"),
        ("WP_SIDECAR_LOGS", "pods", "expected a path that starts with /"),
        ("DOCKER_HOST", "/var/run/docker.sock", "expected unix:///var/run/docker.sock or tcp://host:port"),
        (
            "DOCKER_HOST",
            "unix://var/run/docker.sock",
            "expected unix:///var/run/docker.sock or tcp://host:port",
        ),
        ("DOCKER_HOST", "tcp://proxy:port", "expected unix:///var/run/docker.sock or tcp://host:port"),
        ("DOCKER_HOST", "tcp://", "expected unix:///var/run/docker.sock or tcp://host:port"),
        ("WP_SIDECAR_FILTERS", "/etc/hostname", "/etc/hostname is not a directory; name the one"),
        ("WP_SIDECAR_MAXRETRY", "3", "is not a variable; set `maxretry = …` in the jails file"),
        ("WP_SIDECAR_jails", "x", "unknown. Did you mean WP_SIDECAR_JAILS?"),
        ("SLACK_WEBHOOK_URL", "hooks.slack.example", "expected one http(s) URL"),
        ("SLACK_WEBHOOK_URL", "https://", "expected one http(s) URL"),
        ("SLACK_WEBHOOK_URL", "https://[", "expected one http(s) URL"),
        ("SLACK_WEBHOOK_URL", "https://a.example:x/", "expected one http(s) URL"),
        ("SLACK_WEBHOOK_URL", "https://a.example/\nb", "expected one http(s) URL"),
        ("SLACK_WEBHOOK_URL_FILE", "/nowhere", "/nowhere cannot be read: No such file"),
        ("SLACK_WEBHOOK_URL_FILE", "/", "/ is a directory; Docker makes one"),
    ],
)
def test_one_error(environ, name, text, sentence):
    error = errors(environ | {name: text})[0]

    assert error.startswith(f"environment: {name}: ")
    assert sentence in error


def test_a_very_wide_ignoreip_is_noted(environ):
    assert reader.read(environ | {"WP_SIDECAR_IGNOREIP": "0.0.0.0/0 192.0.2.0/24"}).notes == (
        "environment: WP_SIDECAR_IGNOREIP: nobody in 0.0.0.0/0 is ever banned",
    )


def test_the_webhook_may_be_in_a_file(environ, tmp_path):
    (tmp_path / "hook").write_text(HOOK + "\n")

    assert reader.read(environ | {"SLACK_WEBHOOK_URL_FILE": f"{tmp_path}/hook"}).alerts == {"slack": HOOK}


def test_the_webhook_and_its_file_together_are_an_error(environ, tmp_path):
    (tmp_path / "hook").write_text(HOOK)

    assert errors(environ | {"SLACK_WEBHOOK_URL_FILE": f"{tmp_path}/hook", "SLACK_WEBHOOK_URL": HOOK}) == [
        "environment: SLACK_WEBHOOK_URL: is set, and so is SLACK_WEBHOOK_URL_FILE; keep one of the two"
    ]


READ = """
import sys
from sidecar.config import reader
from sidecar.config.errors import ConfigErrors
try:
    reader.read(dict(word.split("=", 1) for word in sys.argv[1:]))
except ConfigErrors as err:
    print(err)
"""
SOMEONE = 1000  # another user
CAPLESS = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", "--"]  # as `cap_drop: ALL` leaves root


def test_a_file_that_root_without_capabilities_cannot_read():
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "jails.conf").write_text(f"[wordpress]\nlogpath = {folder}/log\nfailregex = ^x <HOST>$\n")
        for secret in ("log", "hook", "shut.conf"):
            (folder / secret).touch(0o600)
            os.chown(folder / secret, SOMEONE, SOMEONE)
        (folder / "shut").mkdir(0o700)
        os.chown(folder / "shut", SOMEONE, SOMEONE)

        def errors_without_capabilities(**environ):
            words = [f"{name}={text}" for name, text in environ.items()]
            done = subprocess.run(
                [*CAPLESS, sys.executable, "-c", READ, *words], capture_output=True, timeout=60, check=True
            )
            return done.stdout.decode().replace(name, "").splitlines()

        why = "cannot be read; root without capabilities reads only what root owns or everyone may read"
        assert errors_without_capabilities(
            WP_SIDECAR_JAILS=f"{folder}/jails.conf", SLACK_WEBHOOK_URL_FILE=f"{folder}/hook"
        ) == [
            f"environment: SLACK_WEBHOOK_URL_FILE: /hook {why} (chown it, or chmod a+r)",
            f"/jails.conf:2: wordpress.logpath: /log {why} (chown it, or chmod a+r)",
        ]
        assert errors_without_capabilities(WP_SIDECAR_JAILS=f"{folder}/shut.conf") == [
            "/shut.conf: cannot be read: Permission denied"
        ]
        assert errors_without_capabilities(SLACK_WEBHOOK_URL_FILE=f"{folder}/shut/hook") == [
            f"environment: SLACK_WEBHOOK_URL_FILE: /shut/hook {why} (chown it, or chmod a+r)"
        ]


def test_a_secret_is_in_no_error_and_in_no_representation(environ, tmp_path):
    (tmp_path / "hook").write_bytes(b"ftp://" + HOOK.encode())
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + HOOK.encode())

    for file in ("hook", "binary"):
        assert "B0/secret" not in str(errors(environ | {"SLACK_WEBHOOK_URL_FILE": f"{tmp_path}/{file}"}))
    assert "B0/secret" not in str(errors(environ | {"SLACK_WEBHOOK_URL": "x" + HOOK}))
    assert "B0/secret" not in repr(reader.read(environ | {"SLACK_WEBHOOK_URL": HOOK}))


def test_the_settings_of_a_fleet(environ, tmp_path):
    (tmp_path / "url").write_text("rediss://wp:secret@cache.example:6380/2\n")
    (tmp_path / "key").write_text("k" * 40 + "\n")
    (tmp_path / "ca.pem").write_text("certificates")
    given = {
        "WP_SIDECAR_REDIS_URL_FILE": f"{tmp_path}/url",
        "WP_SIDECAR_REDIS_CA": f"{tmp_path}/ca.pem",
        "WP_SIDECAR_REDIS_PREFIX": "shops",
        "WP_SIDECAR_NODE": "host-1.example." + "x" * 200,
        "WP_SIDECAR_FLEET_KEY_FILE": f"{tmp_path}/key",
    }
    settings = reader.read(environ | given)

    assert settings.fleet.redis == parse_redis_url(
        "rediss://wp:secret@cache.example:6380/2", f"{tmp_path}/ca.pem"
    )
    assert (settings.fleet.prefix, settings.node) == ("shops", "host-1.example." + "x" * 200)
    assert settings.fleet.keys == (b"k" * 40,)
    assert "secret" not in repr(settings) and "kkk" not in repr(settings)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("WP_SIDECAR_REDIS_URL", "http://:secret@cache", "expected redis://host:6379"),
        ("WP_SIDECAR_REDIS_URL", "redis+sentinel://:secret@cache", "has no master"),
        ("WP_SIDECAR_REDIS_URL_FILE", "/nowhere", "/nowhere cannot be read: No such file"),
        ("WP_SIDECAR_REDIS_CA", "/nowhere.pem", "/nowhere.pem cannot be read"),
        ("WP_SIDECAR_REDIS_PREFIX", "{shops}", "expected letters, digits"),
        ("WP_SIDECAR_NODE", "host 1", "expected a name of letters"),
        ("WP_SIDECAR_NODE", "n" * 254, "253 at most"),
        ("WP_SIDECAR_FLEET_KEY_FILE", "/dev/null", "holds 0 characters; a key has 32 or more: openssl rand"),
    ],
)
def test_one_error_about_the_fleet(environ, name, text, sentence):
    (error,) = errors(environ | {name: text})

    assert error.startswith(f"environment: {name}: ")
    assert sentence in error
    assert "secret" not in error


def test_variables_that_kubernetes_sets_for_a_service_are_ignored(environ):
    ours = {
        "WP_SIDECAR_SERVICE_HOST": "10.0.0.1",
        "WP_SIDECAR_PORT": "tcp://x",
        "WP_SIDECAR_PORT_9734_TCP": "x",
    }

    assert reader.read(environ | ours).notes == ()


def test_the_control_socket_is_known_without_reading_the_configuration():
    assert reader.control_socket({}) == Path("/run/wp-sidecar/control.sock")
    assert reader.control_socket({"WP_SIDECAR_SOCKET": "/srv/s"}) == Path("/srv/s")


def test_the_databases_of_networks_are_found_without_reading_the_rest():
    assert reader.geoip_databases({"WP_SIDECAR_GEOIP": "/a.mmdb,/b.mmdb", "WP_SIDECAR_LISTEN": "?"}) == (
        Path("/a.mmdb"),
        Path("/b.mmdb"),
    )
    assert reader.geoip_databases({}) == ()
    with pytest.raises(ValueError, match=r'expected a path that starts with /, got "b\.mmdb"'):
        reader.geoip_databases({"WP_SIDECAR_GEOIP": "/a.mmdb, b.mmdb"})


def test_a_url_with_a_password_in_the_wrong_variable_is_not_quoted():
    for name in ("WP_SIDECAR_REDIS_PREFIX", "WP_SIDECAR_NODE", "WP_SIDECAR_LISTEN", "WP_SIDECAR_STATE"):
        with pytest.raises(ConfigErrors) as raised:
            reader.read({name: "redis://:hunter2@host"})
        assert "hunter2" not in str(raised.value) and "redis://…@host" in str(raised.value), name
