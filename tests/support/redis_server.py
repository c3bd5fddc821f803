"""A real Redis in a folder of its own, which ends with the test. FLEET_SERVER names another binary, such as Valkey's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import redis

from tests.support.waiting import wait_until

PROGRAM = os.environ.get("FLEET_SERVER", "redis-server")


class Server:
    """One server, which a test can kill and start again. It saves nothing to the disk."""

    def __init__(self, folder: Path, port: int = 0, *options: str, sentinel: bool = False) -> None:
        assert shutil.which(PROGRAM), "the fleet's tests need a Redis: install redis-server"
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.port = folder, port
        self.socket = folder / "redis.sock"
        self._options = [*options, "--sentinel"] if sentinel else options
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}" if self.port else f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        config = self.folder / "redis.conf"
        if not config.exists():
            config.write_text(
                f'port {self.port}\nunixsocket {self.socket}\ndir {self.folder}\nbind 127.0.0.1\nsave ""\n'
            )
        with (self.folder / "said").open("ab") as said:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", PROGRAM, str(config), *self._options],
                stdout=said,
                stderr=said,
            )
        wait_until(self._answers)

    def client(self, **options: object) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self.socket), decode_responses=True, **options)

    def pause(self) -> None:
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self.socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "said").read_text()
        try:
            return bool(self.client().ping())
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False


@contextlib.contextmanager
def serving(folder: Path, port: int = 0, *options: str, sentinel: bool = False) -> Iterator[Server]:
    server = Server(folder, port, *options, sentinel=sentinel)
    try:
        yield server
    finally:
        server.kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]
