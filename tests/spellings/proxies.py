"""Proxies before a site, which read requests and write logs as Go does."""

import itertools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bed import Bed, Site
from tests.servers.kinds import caddy_settings, traefik_command, traefik_routes
from tests.servers.programs import program
from tests.support.waiting import wait_until

# Each at a port of its own: all of them run until the bed goes.
PORTS = itertools.count(8090)


@dataclass(frozen=True)
class Proxy:
    """A running proxy. It is at an address of the attacker's own, so that this is the client's address too."""

    v4: str
    log: Path
    port: int

    def lines(self) -> list[str]:
        """What it has logged so far."""
        return self.log.read_text(errors="surrogateescape").split("\n") if self.log.exists() else []


Command = Callable[[str, str, Path, Path], Sequence[str]]


def caddy(listen: str, site: str, log: Path, folder: Path) -> Sequence[str]:
    config = folder / "caddy.json"
    config.write_text(json.dumps(caddy_settings(listen, site, {"log": (log, {"format": "json"})})))
    return [program("caddy"), "run", "--config", str(config)]


def traefik(form: str, listen: str, site: str, log: Path, folder: Path) -> Sequence[str]:
    routes = folder / "routes.yml"
    routes.write_text(json.dumps(traefik_routes(site)))
    return traefik_command(routes, listen, form, log)


def started(command: Command, bed: Bed, site: Site, folder: Path) -> Proxy:
    """Start a proxy that forwards everything to the site."""
    proxy = Proxy(bed.attacker.v4[0], folder / "proxy.log", next(PORTS))
    listen = f"{proxy.v4}:{proxy.port}"
    with (folder / "proxy.said").open("w") as said:
        process = bed.attacker.popen(
            list(command(listen, f"{site.v4}:{site.port}", proxy.log, folder)),
            stdout=said, stderr=said,
            env={"HOME": str(folder), "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
        )  # fmt: skip
    probe = ["curl", "--silent", "--fail", "--output", "/dev/null", f"http://{listen}/wp-login.php"]

    def serves() -> bool:
        assert process.poll() is None, (folder / "proxy.said").read_text()
        return bed.attacker.run(probe, check=False).returncode == 0

    wait_until(serves)
    return proxy
