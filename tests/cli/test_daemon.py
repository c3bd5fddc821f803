import json

import pytest


@pytest.mark.usefixtures("daemon")
def test_status_is_tables(wp_lines):
    code, lines, _ = wp_lines("status")

    assert code == 0
    assert lines[0].startswith("wp-sidecar 0.1.0, up ") and lines[0].endswith(", 1 banned")
    assert lines[1:] == [
        "not healthy",
        "  the firewall table [red]is gone[/red]",
        "",
        "jail       maxretry  findtime  bantime   failures  bans  banned now  dry runs  settings",
        "wordpress  3         3h        for good  9         2     1",
        (
            "probes     10        10m       1h        0         0     0           12        "
            "dry run, escalating, counts as fail2ban, /24 from 3"
        ),
        "",
        "log   state      format    requests understood",
        "blog  following  combined  7 of 8",
        "",
        "container  labels in force",
        "blog       wp-sidecar.maxretry=10, wp-sidecar.mode=observe",
        "",
        "never banned  of all public IPv4  of all public IPv6",
        "ignoreip      25 %",
        "allowed by hand: 2; `wp-sidecar allowed` lists them",
        "",
        "dropped  packets  bytes",
        "IPv4     12       720",
        "IPv6     0        0",
        "1 of 3 bans are in force",
        "bans without effect: 1; the daemon's log says why",
        "the firewall table is not as it should be; see the daemon's log",
    ]


RELOADED = {
    "ok": True,
    "jails": ["wordpress", "probes"],
    "notes": ["[probes]: a\x1bnote"],
    "mistakes": [],
    "restart": ["WP_SIDECAR_REDIS_URL"],
}
ERROR = {"file": "/jails.conf", "section": "mail", "key": "maxretry", "message": "is wrong", "line": 3}


def test_a_reload_shows_what_is_in_force(daemon, wp_lines):
    daemon.answers["reload"] = RELOADED

    assert wp_lines("reload") == (
        0,
        [
            "note: [probes]: a\\x1bnote",
            "takes effect after a restart: WP_SIDECAR_REDIS_URL",
            "in force now: wordpress, probes",
        ],
        "",
    )
    assert json.loads(wp_lines("reload", "--json")[1][0]) == RELOADED


def test_a_reload_with_errors_shows_them_as_check_config_does(daemon, wp_lines):
    daemon.answers["reload"] = RELOADED | {"ok": False, "mistakes": [ERROR, ERROR | {"line": None}]}

    assert wp_lines("reload") == (
        78,
        [],
        (
            "wp-sidecar: /jails.conf:3: mail.maxretry: is wrong\n"
            "wp-sidecar: /jails.conf: mail.maxretry: is wrong\n"
            "wp-sidecar: nothing was changed, the old configuration stays in force\n"
        ),
    )
    assert wp_lines("reload", "--json")[0] == 78


def test_health_is_an_exit_code(daemon, wp_lines):
    assert wp_lines("healthcheck") == (1, [], "wp-sidecar: the firewall table [red]is gone[/red]\n")

    daemon.answers["health"] = {"live": True, "ready": True, "why": []}
    assert wp_lines("healthcheck") == (0, ["ok"], "")
    assert wp_lines("healthcheck", "--json") == (0, ['{"live": true, "ready": true, "why": []}'], "")

    daemon.answers["health"] = {"live": False, "ready": False, "why": []}
    assert wp_lines("healthcheck") == (1, [], "wp-sidecar: not ready\n")
