from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.advice import doctor
from sidecar.advice.doctor import examine
from sidecar.advice.facts import (
    DaemonFacts,
    DaemonLog,
    Facts,
    KernelFacts,
    LogFacts,
    SiteFacts,
)
from sidecar.advice.finding import Finding
from tests.advice.healthy_host import (
    BLOG,
    FACTS,
    HOST,
    JAIL,
    LOG,
    STOPPED,
    has_one_fault,
    wrong,
)

SET_UPS = {
    "no site": (Facts(HOST), "no log of a site is watched", 'wp-sidecar.enable: "true"'),
    "a site that no jail looks at": (
        replace(FACTS, unwatched=("shop",)),
        "the WordPress container shop is not watched",
        "`containers = shop`",
    ),
    "a label that does not count": (
        replace(FACTS, labels=("labels of shop: wp-sidecar.mode: set by the image shop:1, so ignored",)),
        "labels of shop: wp-sidecar.mode: set by the image shop:1",
        "",
    ),
}


@pytest.mark.parametrize("name", SET_UPS)
def test_a_broken_set_up_has_its_cause_and_the_line_to_change(name):
    has_one_fault(*SET_UPS[name])


NGINX = replace(BLOG, id="2", name="nginx", image="nginx", published=frozenset({80, 443}))
BEHIND = replace(BLOG, published=frozenset(), front_ends=(NGINX,))


def test_all_is_well_and_each_check_says_so():
    assert examine(FACTS) == (
        Finding.well("host", "the daemon answers: 2 banned, 1 dry runs"),
        Finding.well("host", "the configuration has no errors; jails: wordpress-access"),
        Finding.well("host", "Docker answers at unix:///var/run/docker.sock"),
        Finding.well("host", "the nftables table is in force (Linux 6.12.1)"),
        Finding.well("host", "this is the host's network, which clients' packets pass"),
        Finding.well("host", "the clock agrees with Docker's"),
        Finding.well("host", "dates without a zone are read as Europe/Berlin"),
        Finding.well("host", "slack reaches hooks.slack.com:443; nothing was sent"),
        Finding.well("host", "exec: not tried", "`wp-sidecar alert test` sends a message"),
        Finding.well("host", "the state directory /var/lib/wp-sidecar can be written"),
        Finding.well("host", "no socket is open to others"),
        Finding.well("blog", "its log can be read (driver json-file)"),
        Finding.well("blog", "the log of blog is understood: combined"),
        Finding.well("blog", "its log has the clients' own addresses (30 of 30 requests)"),
        Finding.well("blog", "bans close the ports that lead to it: 8080"),
        Finding.well("blog", "IPv6 clients are not hidden behind Docker's userland proxy"),
        Finding.well("blog", "by its newest lines nobody would be banned now"),
    )


def test_a_site_behind_a_front_end_is_judged_by_the_log_that_has_its_clients():
    own = LogFacts("blog", "local", lines=900, clients={"a container network": 50}, understood=50)
    front = LogFacts("nginx", "local", lines=900, understood=900, format="combined", clients={"": 700})
    facts = Facts(HOST, (SiteFacts(own, (front,), BEHIND, (JAIL,)),))

    assert wrong(facts) == []
    assert [each.sentence for each in examine(facts) if each.subject == "blog"] == [
        "its log can be read (driver local)",
        "the log of nginx before it can be read (driver local)",
        "the log of blog is understood: messages of a plugin",
        "the log of nginx is understood: combined",
        "its log has the clients' own addresses (700 of 700 requests)",
        "bans close the ports that lead to it: 80, 443",
        "IPv6 clients are not hidden behind Docker's userland proxy",
        "by its newest lines nobody would be banned now",
    ]


def test_without_docker_and_daemon_only_what_can_be_known_is_said():
    host = replace(STOPPED, engine=None, kernel=KernelFacts("6.12.1"), senders=())
    found = examine(Facts(host, (SiteFacts(replace(LOG, name="/log", driver="")),)))

    sentences = [each.sentence for each in found]
    assert "nftables can be read (Linux 6.12.1); no table is in force" in sentences
    assert "the clock is right" in sentences
    assert "nobody is alerted" in sentences
    assert not any("Docker" in each or "port" in each for each in sentences[1:])


def test_logs_that_the_daemon_alone_reads_are_shown():
    logs = {
        "web/blog-0/wordpress": DaemonLog("open", "combined"),
        "syslog": DaemonLog("open"),
        "gone": DaemonLog("closed"),
        "mute": DaemonLog("unreadable"),
    }
    host = replace(HOST, daemon=DaemonFacts(logs=logs), engine=None)

    assert [each for each in examine(Facts(host)) if each.subject != "host"] == [
        Finding.well("web/blog-0/wordpress", "the daemon reads its log (combined)"),
        Finding.well("syslog", "the daemon reads its log"),
        Finding(
            "mute",
            ok=False,
            sentence="its log cannot be read",
            change="See docs/sources.md for the log drivers that can be",
        ),
    ]


def test_a_new_check_is_a_row(monkeypatch):
    weather = Finding("host", ok=False, sentence="it rains", change="Take an umbrella")
    monkeypatch.setattr(doctor, "HOST_CHECKS", [lambda _: [weather]])

    assert examine(FACTS)[0] == weather
