"""Our mu-plugin, run by the real PHP without WordPress."""

from __future__ import annotations

import json
import os
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.paths import ROOT

PLUGIN = ROOT / "wordpress/mu-plugins/wp-sidecar.php"
HARNESS = Path(__file__).with_name("mu_plugin.php")
CLIENT = "203.0.113.11"
# A hook that fires: its name, its arguments, and hooks that fire while it runs.
Fired = tuple[Any, ...]


def encoded(value: str | bytes) -> str:
    return b64encode(value if isinstance(value, bytes) else value.encode()).decode()


def encoded_hook(hook: Fired) -> list[Any]:
    name, *rest = hook
    args, within = [*rest, (), ()][:2]
    return [name, [encoded(arg) for arg in args], [encoded_hook(inner) for inner in within]]


def encoded_all(values: Mapping[str, str | bytes] | None) -> dict[str, str]:
    return {name: encoded(value) for name, value in (values or {}).items()}


class MuPlugin:
    """One PHP process with the plugin. A process is one request to WordPress, as far as hooks are concerned."""

    def __init__(self) -> None:
        argv = ["php", "-d", "display_errors=stderr", "-d", "error_reporting=-1", str(HARNESS)]
        pipe = subprocess.PIPE
        self._php = subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe)
        assert self._php.stderr is not None
        os.set_blocking(self._php.stderr.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._php.stdin is not None
        self._php.stdin.close()
        self._php.wait(60)
        for stream in (self._php.stdout, self._php.stderr):
            assert stream is not None
            stream.close()

    def ask(
        self,
        call: str = "",
        args: Iterable[str | bytes] = (),
        *,
        server: Mapping[str, str | bytes] | None = None,
        env: Mapping[str, str] | None = None,
        define: Mapping[str, str] | None = None,
        fire: Iterable[Fired] = (),
    ) -> tuple[Any, bytes]:
        """Call a function of the plugin, or fire hooks; return the result and all that was written."""
        request: dict[str, Any] = {
            "server": encoded_all({"REMOTE_ADDR": CLIENT} if server is None else server),
            "env": encoded_all(env),
            "define": encoded_all(define),
            "fire": [encoded_hook(hook) for hook in fire],
        }
        if call:
            request |= {"call": call, "args": [encoded(arg) for arg in args]}
        assert self._php.stdin is not None
        assert self._php.stdout is not None
        assert self._php.stderr is not None
        self._php.stdin.write(json.dumps(request).encode() + b"\n")
        self._php.stdin.flush()
        answer = self._php.stdout.readline()
        written = self._php.stderr.read() or b""
        assert answer, written.decode()
        result = json.loads(answer)["result"]
        return b64decode(result).decode() if isinstance(result, str) else result, written


def one_request(*fire: Fired, **settings: Any) -> tuple[Any, list[str]]:
    """Fire hooks in a process of their own; return the answer that ended the request, if any, and the lines."""
    with MuPlugin() as plugin:
        result, written = plugin.ask(fire=fire, **settings)
    return result, written.decode().splitlines()
