from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.advice import doctor
from sidecar.advice.doctor import Finding, examine
from sidecar.advice.facts import (
    ClockFacts,
    ConfigFacts,
    DaemonFacts,
    DaemonLog,
    EngineFacts,
    Facts,
    HostFacts,
    KernelFacts,
    LogFacts,
    SenderFacts,
    SiteFacts,
    SocketFacts,
    StateFacts,
)
from sidecar.core.containers import Container
from sidecar.core.jail import Jail

NOW = 1_796_000_000.0
JAIL = Jail("wordpress-access")
BLOG = Container("1", "blog", "wordpress", published=frozenset({8080}), gateways=("172.18.0.1",))
LOG = LogFacts(
    "blog", "json-file", lines=40, understood=38, format="combined", clients={"": 30, "loopback": 8}
)
SITE = SiteFacts(LOG, container=BLOG, jails=(JAIL,))
HOST = HostFacts(
    DaemonFacts(bans=2, dry_runs=1),
    ConfigFacts(jails=(JAIL,)),
    KernelFacts("6.12.1", has_table=True, sees_containers=True),
    ClockFacts(NOW, "Europe/Berlin"),
    StateFacts("/var/lib/wp-sidecar", free_bytes=1 << 40, is_lasting=True),
    SocketFacts("/run/control.sock", 0o600, "127.0.0.1:9734", "unix:///var/run/docker.sock"),
    EngineFacts("unix:///var/run/docker.sock", skew_s=0.2),
    (SenderFacts("slack", "hooks.slack.com:443", source="SLACK_WEBHOOK_URL"), SenderFacts("exec")),
)
FACTS = Facts(HOST, (SITE,))
STOPPED = replace(HOST, daemon=DaemonFacts("no wp-sidecar is running at /s; start it"))


def with_log(**changes: object) -> Facts:
    return replace(FACTS, sites=(replace(SITE, log=replace(LOG, **changes)),))


def with_container(**changes: object) -> Facts:
    return replace(FACTS, sites=(replace(SITE, container=replace(BLOG, **changes)),))


def with_host(**changes: object) -> Facts:
    return replace(FACTS, host=replace(HOST, **changes))


def well(subject: str, sentence: str, change: str = "") -> Finding:
    return Finding(subject, ok=True, sentence=sentence, change=change)


def wrong(facts: Facts) -> list[Finding]:
    return [each for each in examine(facts) if not each.ok]


def test_all_is_well_and_each_check_says_so():
    assert examine(FACTS) == (
        well("host", "the daemon answers: 2 banned, 1 dry runs"),
        well("host", "the configuration has no errors; jails: wordpress-access"),
        well("host", "Docker answers at unix:///var/run/docker.sock"),
        well("host", "the nftables table is in force (Linux 6.12.1)"),
        well("host", "this is the host's network, which clients' packets pass"),
        well("host", "the clock agrees with Docker's"),
        well("host", "dates without a zone are read as Europe/Berlin"),
        well("host", "slack reaches hooks.slack.com:443; nothing was sent"),
        well("host", "exec: not tried", "`wp-sidecar alert test` sends a message"),
        well("host", "the state directory /var/lib/wp-sidecar can be written"),
        well("host", "no socket is open to others"),
        well("blog", "its log can be read (driver json-file)"),
        well("blog", "the log of blog is understood: combined"),
        well("blog", "its log has the clients' own addresses (30 of 30 requests)"),
        well("blog", "bans close the ports that lead to it: 8080"),
        well("blog", "IPv6 clients are not hidden behind Docker's userland proxy"),
        well("blog", "by its newest lines nobody would be banned now"),
    )


SET_UPS = {
    "no daemon": (replace(FACTS, host=STOPPED), "no daemon answers", "start it"),
    "a problem of the daemon": (
        with_host(daemon=DaemonFacts(problems=("the log of x is away. Start it. Or not",))),
        "the log of x is away",
        "Start it. Or not",
    ),
    "a wrong key": (
        with_host(config=ConfigFacts(("jails.conf: wordpress.bantme: unknown. Did you mean bantime?",))),
        "the configuration has an error",
        "Did you mean bantime?",
    ),
    "no Docker": (
        with_host(engine=EngineFacts("unix:///x", "no Docker socket at unix:///x: mount it")),
        "Docker at unix:///x cannot be asked",
        "mount it",
    ),
    "no NET_ADMIN": (
        with_host(kernel=KernelFacts("6.12.1", "no permission: give the container `cap_add: [NET_ADMIN]`")),
        "nftables cannot be used",
        "cap_add: [NET_ADMIN]",
    ),
    "no table": (with_host(kernel=KernelFacts("6.12.1")), "its nftables table is not here", "docker exec"),
    "a network of its own": (
        with_host(kernel=KernelFacts("6.12.1", has_table=True, sees_containers=False)),
        "this is not the host's network",
        "network_mode: host",
    ),
    "a clock that was never set": (with_host(clock=ClockFacts(86_400.0)), "years behind", "set-ntp"),
    "two clocks": (
        with_host(engine=EngineFacts("unix:///x", skew_s=-90.0)),
        "Docker's clock is 1m 30s behind ours",
        "set-ntp",
    ),
    "a time zone that is unknown here": (
        with_host(clock=ClockFacts(NOW, "Mars/Olympus", "TZ=Mars/Olympus is unknown here")),
        "TZ=Mars/Olympus",
        "TZ: Europe/Berlin",
    ),
    "a webhook that cannot be reached": (
        with_host(
            senders=(
                SenderFacts("slack", "hooks.slack.test:443", "its name is unknown here", "SLACK_WEBHOOK_URL"),
            )
        ),
        "slack cannot reach hooks.slack.test:443: its name is unknown here",
        "Correct SLACK_WEBHOOK_URL",
    ),
    "no state directory": (
        with_host(state=StateFacts("/s", "/s cannot be written")),
        "/s cannot be written",
        "volumes:",
    ),
    "state that is lost": (
        with_host(state=StateFacts("/s", is_lasting=False)),
        "lost with this container",
        "volumes:",
    ),
    "a full disk": (
        with_host(state=StateFacts("/s", free_bytes=1 << 20)),
        "the disk of /s has 1 MiB left",
        "room",
    ),
    "an open control socket": (
        with_host(sockets=SocketFacts("/run/control.sock", 0o666)),
        "(mode 0666)",
        "chmod 0600 /run/control.sock",
    ),
    "an open web port": (
        with_host(sockets=SocketFacts("/run/control.sock", 0o600, "0.0.0.0:9734")),
        "open to others at 0.0.0.0:9734",
        "WP_SIDECAR_LISTEN=127.0.0.1:9734",
    ),
    "an open Docker": (
        with_host(sockets=SocketFacts("/run/control.sock", 0o600, docker="tcp://192.0.2.1:2375")),
        "without encryption at tcp://192.0.2.1:2375",
        "unset DOCKER_HOST",
    ),
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
    "a log driver without reading": (
        with_log(driver="none", error="configured logging driver does not support reading"),
        "its log cannot be read (driver none)",
        "logging: {driver: local}",
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
    "macvlan": (with_container(bypasses_firewall=True), "macvlan", "bridge network"),
    "Docker's proxy for IPv6": (
        with_container(ipv6_proxied=True),
        "appear as 172.18.0.1",
        "Enable IPv6 on one of the container's networks",
    ),
}


@pytest.mark.parametrize("name", SET_UPS)
def test_a_broken_set_up_has_its_cause_and_the_line_to_change(name):
    facts, sentence, change = SET_UPS[name]

    found = wrong(facts)

    assert len(found) == 1, found
    assert sentence in found[0].sentence
    assert change in found[0].change


NGINX = replace(BLOG, id="2", name="nginx", image="nginx", published=frozenset({80, 443}))
BEHIND = replace(BLOG, published=frozenset(), front_ends=(NGINX,))


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


def test_a_log_that_the_daemon_understands_is_understood():
    host = replace(HOST, daemon=DaemonFacts(logs={"blog": DaemonLog("open", "nginx")}))
    quiet = replace(LOG, lines=0, understood=0, format="", clients={})

    found = examine(Facts(host, (replace(SITE, log=quiet),)))

    assert well("blog", "the log of blog is understood: nginx") in found


@pytest.mark.parametrize("why", ["loopback", "ignoreip", "an address of the monitoring service UptimeRobot"])
def test_requests_that_a_person_expects_say_nothing_about_clients(why):
    assert wrong(with_log(clients={why: 90, "": 1})) == []


def test_a_log_of_a_few_lines_is_not_judged():
    found = examine(with_log(lines=3, understood=0, format="", clients={}))

    assert (
        well(
            "blog",
            "its log has 3 new lines, too few to know the format",
            "Open a page of the site, and ask again",
        )
        in found
    )


@pytest.mark.parametrize(
    ("container", "jail", "sentence"),
    [
        (
            replace(BLOG, published=frozenset(), is_on_host=True),
            JAIL,
            "bans close the ports of its jails: 80, 443",
        ),
        (
            replace(BLOG, published=frozenset()),
            Jail("all", ports=None),
            "bans close the ports of its jails: all",
        ),
        (replace(BLOG, published=frozenset()), JAIL, "no container publishes a port that leads to it, "),
    ],
)
def test_without_a_published_port_the_jails_say_which_are_closed(container, jail, sentence):
    found = examine(Facts(HOST, (SiteFacts(LOG, container=container, jails=(jail,)),)))

    assert any(each.ok and each.sentence.startswith(sentence) for each in found)


def test_the_addresses_that_would_be_banned_are_named():
    addresses = [(f"203.0.113.{n}", "wordpress") for n in range(1, 8)]
    site = replace(SITE, would_ban=tuple(addresses))

    running, stopped = examine(Facts(HOST, (site,)))[-1], examine(Facts(STOPPED, (site,)))[-1]

    shown = ", ".join(f"203.0.113.{n} (wordpress)" for n in range(1, 6))
    assert running.sentence == f"by its newest lines 7 would be banned now: {shown} and 2 more"
    assert (running.ok, running.change) == (True, "`wp-sidecar explain ADDR` says how each stands")
    assert stopped.change == "Start the daemon"


def test_a_dry_run_and_notes_are_shown_and_are_not_wrong():
    config = ConfigFacts(notes=("[x]: a note",), jails=(replace(JAIL, observe=True),))

    assert examine(with_host(config=config, senders=()))[1:4] == (
        well("host", "the configuration has no errors; jails: wordpress-access"),
        well("host", "a note about the configuration", "[x]: a note"),
        well(
            "host",
            "a dry run, which drops nothing: wordpress-access",
            "To have bans enforced, remove `mode = observe`",
        ),
    )


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
        well("web/blog-0/wordpress", "the daemon reads its log (combined)"),
        well("syslog", "the daemon reads its log"),
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
