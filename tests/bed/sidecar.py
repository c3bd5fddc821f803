"""wp-sidecar as its users run it: a container, with what compose.yaml gives it and nothing more."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.bed.bed import Bed
from tests.bed.images import SIDECAR
from tests.support.waiting import wait_until

NAME = "wp-sidecar"


class Sidecar:
    """The running container, and what may be asked of it."""

    def __init__(
        self, bed: Bed, environ: Mapping[str, str] | None = None, mounts: Sequence[str] = ()
    ) -> None:
        """`mounts` are docker run's --volume. A state volume of its own outlives `restart` and `kill`."""
        self._bed, self._engine = bed, bed.engine
        environ = {"DOCKER_HOST": "unix:///var/run/docker.sock", **(environ or {})}
        self._engine.cli(
            "run", "--detach", f"--name={NAME}", "--network=host", "--restart=always",
            "--cap-drop=ALL", "--cap-add=NET_ADMIN", "--security-opt=no-new-privileges", "--read-only",
            "--tmpfs=/run", "--volume=wp-sidecar-state:/var/lib/wp-sidecar",
            f"--volume={self._engine.lasting}:/var/run/docker.sock",
            *(f"--env={name}={value}" for name, value in environ.items()),
            *(f"--volume={mount}" for mount in mounts),
            SIDECAR,
        )  # fmt: skip
        self.wait_ready()

    def command(self, *arguments: str, check: bool = True) -> str:
        """What `wp-sidecar ARGUMENTS` prints, inside the container."""
        return self._engine.cli("exec", NAME, "wp-sidecar", *arguments, check=check).stdout

    def bans(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.command("bans", "--json"))["bans"]
        return found

    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.command("status", "--json"))
        return found

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of its web server, asked from the host."""
        asked = ["curl", "-s", "-m", "5", "-w", "\n%{http_code}", f"http://127.0.0.1:9734{path}"]
        text, _, code = self._bed.host.run(asked, check=False).stdout.rpartition("\n")
        return int(code or 0), text

    def metric(self, series: str) -> float:
        """The value of one series, named as /metrics prints it."""
        for line in self.get("/metrics")[1].splitlines():
            name, _, value = line.rpartition(" ")
            if name == series:
                return float(value)
        raise LookupError(f"/metrics has no {series}")

    def logs(self) -> str:
        done = self._engine.cli("logs", NAME)
        return done.stdout + done.stderr

    def restart(self) -> None:
        self._engine.cli("restart", NAME)
        self.wait_ready()

    def kill(self) -> None:
        """kill -9, and start it again (Docker's restart policy does not, after a kill by hand)."""
        self._engine.cli("kill", "--signal=KILL", NAME)
        self._engine.cli("start", NAME)
        self.wait_ready()

    def stop(self) -> None:
        self._engine.cli("stop", NAME)

    def remove(self) -> None:
        self._engine.cli("rm", "--force", NAME)
        self._engine.cli("volume", "rm", "--force", "wp-sidecar-state")

    def wait_ready(self, patience: float = 120) -> None:
        wait_until(
            lambda: self.get("/readyz")[0] == 200, patience, lambda: f"not ready: {self.logs()[-3000:]}"
        )
