"""A Docker engine in a capsule, on a data root in the cache."""

import http.client
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.bed.capsule import Process, inside
from tests.bed.daemon import PATH, Daemon, own, program

# What stands in daemon.json: another image store, no userland proxy … The machine's own file is not read.
CONFIG = os.environ.get("BED_DAEMON_JSON", "")

# How often dockerd is started until it answers.
STARTS = 3

# With these, a daemon in the machine's own network namespace changes nothing there.
HARMLESS = ("--iptables=false", "--ip6tables=false", "--bridge=none", "--ip-forward=false", "--ip-masq=false")


class Engine:
    """dockerd, and the docker command against it. `activated` is a listening socket that outlives dockerd."""

    lasting = "/var/run/docker.sock"  # that socket, where a container's --volume or a compose file finds it

    def __init__(
        self,
        folder: Path,
        capsule: Process,
        data: Path,
        flags: Sequence[str] = (),
        *,
        activated: socket.socket | None = None,
        daemon: Daemon | None = None,
    ) -> None:
        self.daemon = daemon or own()
        self._capsule, self._data, self._flags, self._activated = capsule, data, tuple(flags), activated
        self._client, self._config = folder / "client", folder / "daemon.json"
        self.socket = folder / "docker.sock"
        self.base_url = f"unix://{self.socket}"
        self.log = folder / "dockerd.log"
        self.process: Process | None = None

    @property
    def env(self) -> dict[str, str]:
        """The environment in which `docker` and docker-py speak to this engine."""
        mine = {
            "PATH": PATH,
            "DOCKER_HOST": self.base_url,
            "DOCKER_CONFIG": str(self._client),
            "DOCKER_BUILDKIT": "1",
        }
        return {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "COMPOSE_"))} | mine

    def plug(self, plugins: Path | None) -> None:
        """Gives the docker command the plugins of this folder."""
        self._client.mkdir(exist_ok=True)
        if plugins and not (link := self._client / "cli-plugins").exists():
            link.symlink_to(plugins)

    def start(self) -> None:
        """Starts dockerd in the capsule and waits until it answers; one that ends is started again, as by systemd.

        On a busy disk it gives its containerd up after 15 seconds.
        """
        for _ in range(STARTS):
            nsenter = self._launch()
            if self._is_up(nsenter):
                break
        else:
            raise self._failure()
        # nsenter stays outside and waits: the daemon is its child
        children = Path(f"/proc/{nsenter.pid}/task/{nsenter.pid}/children").read_text()
        self.process = Process.of(int(children.split()[0]))
        self._nsenter = nsenter

    def _launch(self) -> subprocess.Popen[bytes]:
        self.socket.unlink(missing_ok=True)
        self._config.write_text(CONFIG or "{}")
        argv = [
            self.daemon.dockerd,
            f"--config-file={self._config}",
            f"--data-root={self._data}",
            f"--host={self.base_url}",
            "--group=root",
            # systemd's driver would look for our process numbers among its own
            "--exec-opt=native.cgroupdriver=cgroupfs",
            *self._flags,
        ]
        fds = []
        if self._activated:
            # systemd's protocol: the number of sockets, for whom, and they begin at descriptor 3
            fds = [self._activated.fileno()]
            handover = f'LISTEN_FDS=1 LISTEN_PID=$$ exec "$@" 3<&{fds[0]}'
            argv = [
                "bash",
                "-c",
                handover,
                "bash",
                *argv,
                "--host=fd://",
            ]  # sh cannot name a descriptor above 9
        with self.log.open("a") as log:
            return subprocess.Popen(
                inside(self._capsule.pid, argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self.env, "PATH": self.daemon.path},
                pass_fds=fds,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Stops dockerd as the system would; without --live-restore its containers stop as well."""
        if self.process:
            self.process.end(30)
            self._nsenter.wait(60)
            self.process = None

    def kill(self) -> None:
        """Kills dockerd alone, as a lack of memory does; its containers go on until it starts again."""
        if self.process:
            self.process.kill()
            self._nsenter.wait(60)
            self.process = None

    def answers(self) -> bool:
        """Does the daemon answer a ping?"""
        try:
            return self.api("/_ping") == "OK"
        except (OSError, http.client.HTTPException):
            return False

    def api(self, path: str) -> str:
        """The answer to a GET of the Engine API."""
        connection = http.client.HTTPConnection("docker", timeout=60)
        connection.sock = socket.socket(socket.AF_UNIX)
        try:
            connection.sock.settimeout(60)
            connection.sock.connect(str(self.socket))
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        finally:
            connection.close()

    def cli(
        self, *arguments: str, check: bool = True, timeout: float = 300, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs `docker ARGUMENTS`; with `check`, one that fails raises with what it said."""
        done = subprocess.run(
            [program("docker"), *arguments],
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.env,
            check=False,
        )
        if check and done.returncode:
            said = done.stderr.strip()[-3000:]
            raise RuntimeError(f"docker {' '.join(arguments)} (exit {done.returncode}): {said}")
        return done

    def clear(self) -> None:
        """Removes all containers, volumes and networks; the images stay."""
        if containers := self.cli("ps", "-aq").stdout.split():
            self.cli("rm", "--force", "--volumes", *containers)
        if volumes := self.cli("volume", "ls", "-q").stdout.split():
            self.cli("volume", "rm", "--force", *volumes)
        self.cli("network", "prune", "--force")

    def _is_up(self, nsenter: subprocess.Popen[bytes], patience: float = 120) -> bool:
        """Waits until it answers, or ends."""
        deadline = time.monotonic() + patience
        while not self.answers():
            if nsenter.poll() is not None:
                return False
            if time.monotonic() > deadline:
                raise self._failure()
            time.sleep(0.02)
        return True

    def _failure(self) -> RuntimeError:
        end = "\n".join(self.log.read_text().splitlines()[-15:])
        return RuntimeError(f"dockerd did not start. The end of {self.log}:\n{end}")


def disarm(data: Path) -> None:
    """What a killed run left behind must not start by itself: not here, and never under the build daemon."""
    for path in data.glob("containers/*/hostconfig.json"):
        config = json.loads(path.read_text())
        config["RestartPolicy"] = {"Name": "", "MaximumRetryCount": 0}
        path.write_text(json.dumps(config))
    shutil.rmtree(data / "network", ignore_errors=True)
