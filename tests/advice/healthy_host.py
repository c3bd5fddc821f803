"""Facts of a host where all is well, and of one where one thing is not."""

from __future__ import annotations

from dataclasses import replace

from sidecar.advice.doctor import examine
from sidecar.advice.facts import (
    ClockFacts,
    ConfigFacts,
    DaemonFacts,
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
from sidecar.advice.finding import Finding
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
    KernelFacts("6.12.1", has_table=True, is_host_network=True),
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


def wrong(facts: Facts) -> list[Finding]:
    return [each for each in examine(facts) if not each.ok]


def has_one_fault(facts: Facts, sentence: str, change: str) -> None:
    found = wrong(facts)

    assert len(found) == 1, found
    assert sentence in found[0].sentence
    assert change in found[0].change
