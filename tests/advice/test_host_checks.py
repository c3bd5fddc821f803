from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.advice.doctor import examine
from sidecar.advice.facts import (
    ClockFacts,
    ConfigFacts,
    DaemonFacts,
    EngineFacts,
    KernelFacts,
    SenderFacts,
    SocketFacts,
    StateFacts,
)
from sidecar.advice.finding import Finding
from tests.advice.healthy_host import (
    FACTS,
    JAIL,
    NOW,
    STOPPED,
    has_one_fault,
    with_host,
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
    "a container that Docker leaves stopped": (
        with_host(engine=EngineFacts("unix:///x", stays_stopped=True)),
        "if dockerd is killed, wp-sidecar stays stopped",
        "restart: always",
    ),
    "no NET_ADMIN": (
        with_host(kernel=KernelFacts("6.12.1", "no permission: give the container `cap_add: [NET_ADMIN]`")),
        "nftables cannot be used",
        "cap_add: [NET_ADMIN]",
    ),
    "no table": (with_host(kernel=KernelFacts("6.12.1")), "its nftables table is not here", "docker exec"),
    "a network of its own": (
        with_host(kernel=KernelFacts("6.12.1", has_table=True, is_host_network=False)),
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
}


@pytest.mark.parametrize("name", SET_UPS)
def test_a_broken_set_up_has_its_cause_and_the_line_to_change(name):
    has_one_fault(*SET_UPS[name])


def test_a_dry_run_and_notes_are_shown_and_are_not_wrong():
    config = ConfigFacts(notes=("[x]: a note",), jails=(replace(JAIL, observe=True),))

    assert examine(with_host(config=config, senders=()))[1:4] == (
        Finding.well("host", "the configuration has no errors; jails: wordpress-access"),
        Finding.well("host", "a note about the configuration", "[x]: a note"),
        Finding.well(
            "host",
            "a dry run, which drops nothing: wordpress-access",
            "To have bans enforced, remove `mode = observe`",
        ),
    )
