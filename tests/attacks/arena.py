"""One attack after the other, and what became of each."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.attacks.ban_clock import BanClock
from tests.attacks.tools import Attack, Running, Target
from tests.attacks.visitor import Visitor, Visits
from tests.attacks.wire import Wire
from tests.bed import Bed
from tests.bed.sidecar import Sidecar

MU_PLUGIN: Final = Path(__file__).parents[2] / "wordpress/mu-plugins/wp-sidecar.php"
APPLICATION_PASSWORDS: Final = Path(__file__).with_name("application_passwords.php")
# Probes have no jail unless somebody adds one (docs/filters.md).
JAILS: Final = "[DEFAULT]\n[wordpress]\n[wordpress-access]\n[wordpress-auth]\n[wordpress-xmlrpc]\n[wordpress-probes]\nmaxretry = 10\nfindtime = 10m\n"
# How long after the ban answers are waited for.
AFTERMATH_S: Final = 4.0
ADDRESSES: Final = (f"203.0.113.{number}" for number in range(100, 200))


@dataclass(frozen=True)
class Outcome:
    """What became of one attack."""

    attack: Attack
    visits: Visits
    # Of the tries, those that had left before the ban; seconds from the first of them to the ban.
    tries_before: int
    answers_before: int
    answers_after: int
    received: bytes
    seconds: float | None = None
    # The ban as `bans --json` has it; None if there was none.
    ban: dict[str, Any] | None = None
    # When the last answer after the ban came, in seconds after it.
    last_after_s: float = 0.0


class Arena:
    """WordPress with and without the mu-plugin, the sidecar, and attackers with new addresses."""

    def __init__(self, bed: Bed, folder: Path) -> None:
        self.bed = bed
        self.site = bed.wordpress(log="access")
        self.with_plugin = bed.wordpress(
            name="plugged",
            port=8080,
            options=[
                f"--volume={MU_PLUGIN}:/var/www/html/wp-content/mu-plugins/wp-sidecar.php:ro",
                f"--volume={APPLICATION_PASSWORDS}:/var/www/html/wp-content/mu-plugins/application-passwords.php:ro",
                # WordPress checks application passwords only over https, or on a site for development.
                "--env=WP_ENVIRONMENT_TYPE=local",
            ],
        )
        jails = folder / "jails.conf"
        jails.write_text(JAILS)
        self.sidecar = Sidecar(bed, mounts=[f"{jails}:/etc/wp-sidecar/jails.conf:ro"])

    def run(self, attack: Attack) -> Outcome:
        """Let one attack run until some seconds after its ban, or until it is over."""
        site = self.with_plugin if attack.with_plugin else self.site
        client, address = self.bed.attacker, next(ADDRESSES)
        _live_at(self.bed, address)
        with tempfile.TemporaryDirectory() as folder:
            target = Target(client, site, address, Path(folder))
            with (
                Visitor(self.bed.visitor, site) as visitor,
                Wire(client, address, site.port) as wire,
                BanClock(self.bed.host, address) as clock,
            ):
                running = attack.start(target)
                banned_at = clock.wait(attack.patience_s)
                threading.Event().wait(AFTERMATH_S)
                target.over.set()
                _end(running)
        tries, answers = wire.requests(attack.tries), wire.answers()
        before = [at for at in tries if banned_at is None or at <= banned_at]
        late = [at for at in answers if banned_at is not None and at > banned_at]
        return Outcome(
            attack, visitor.visits, len(before), len(answers) - len(late), len(late), wire.received(),
            seconds=banned_at - tries[0] if banned_at is not None and tries else None,
            ban=next((ban for ban in self.sidecar.bans() if ban["ip"] == address), None),
            last_after_s=late[-1] - banned_at if late and banned_at is not None else 0.0,
        )  # fmt: skip


def _live_at(bed: Bed, address: str) -> None:
    """Give the attacker an address, from which all that it starts will come."""
    router = bed.attacker.address.router[0]
    bed.attacker.run(["ip", "addr", "add", f"{address}/24", "dev", "eth0"])
    bed.attacker.run(["ip", "route", "replace", "default", "via", router, "src", address])


def _end(running: Running) -> None:
    if isinstance(running, threading.Thread):
        running.join()
        return
    running.kill()
    with suppress(subprocess.TimeoutExpired):
        running.wait(5)


def table(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the lines of a Markdown table."""
    yield "| attack | banned at try | tries sent until then | after | answers before the ban | after the ban | visitor disturbed |"
    yield "|---|---|---|---|---|---|---|"
    for each in outcomes:
        failures = f"{each.ban['failures']} ({each.ban['jail']})" if each.ban else "not banned"
        seconds = f"{each.seconds:.1f} s" if each.seconds is not None else "-"
        yield (
            f"| {each.attack.name} | {failures} | {each.tries_before} of {each.attack.planned} | {seconds} "
            f"| {each.answers_before} | {each.answers_after} | {each.visits} |"
        )
