from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.advice.doctor import examine
from sidecar.advice.facts import (
    UNKNOWN_DRIVER,
    DaemonFacts,
    DaemonLog,
    Facts,
    LogFacts,
    SiteFacts,
)
from sidecar.advice.finding import Finding
from tests.advice.healthy_host import (
    HOST,
    LOG,
    SITE,
    has_one_fault,
    with_log,
    wrong,
)

SET_UPS = {
    "a log driver without reading": (
        with_log(driver="none", error="configured logging driver does not support reading"),
        "its log cannot be read (driver none)",
        "logging: {driver: local}",
    ),
    "a container that ends meanwhile": (
        with_log(driver=UNKNOWN_DRIVER, error="No such container: blog"),
        "its log cannot be read: No such container: blog",
        "Run `doctor` again",
    ),
    "a file that cannot be read": (
        Facts(HOST, (SiteFacts(LogFacts("/var/log/x", error="Permission denied")),)),
        "its log cannot be read: Permission denied",
        "volumes:",
    ),
    "a format that is not known": (
        with_log(lines=400, understood=0, format="", examples=("a", "b\x1b")),
        'of 400 lines none is a request or a plugin\'s message, as "b\\x1b"',
        "the label `wp-sidecar.log-format` of blog",
    ),
    "a CDN as the client": (
        with_log(clients={"an address of the CDN cloudflare": 40, "": 2}),
        "of 42 requests 40 have an address of the CDN cloudflare as their client",
        "CF-Connecting-IP",
    ),
    "a gateway as the client": (
        with_log(clients={"a container network": 9}),
        "a container network",
        "real_ip_header",
    ),
    "a proxy on the LAN": (with_log(clients={"a private address": 9}), "a private address", "ban_private"),
}


@pytest.mark.parametrize("name", SET_UPS)
def test_a_broken_set_up_has_its_cause_and_the_line_to_change(name):
    has_one_fault(*SET_UPS[name])


def test_a_log_that_the_daemon_understands_is_understood():
    host = replace(HOST, daemon=DaemonFacts(logs={"blog": DaemonLog("open", "nginx")}))
    quiet = replace(LOG, lines=0, understood=0, format="", clients={})

    found = examine(Facts(host, (replace(SITE, log=quiet),)))

    assert Finding.well("blog", "the log of blog is understood: nginx") in found


@pytest.mark.parametrize("why", ["loopback", "ignoreip", "an address of the monitoring service UptimeRobot"])
def test_requests_that_a_person_expects_say_nothing_about_clients(why):
    assert wrong(with_log(clients={why: 90, "": 1})) == []


def test_a_log_of_a_few_lines_is_not_judged():
    found = examine(with_log(lines=3, understood=0, format="", clients={}))

    assert (
        Finding.well(
            "blog",
            "its log has 3 new lines, too few to know the format",
            "Open a page of the site, and ask again",
        )
        in found
    )
