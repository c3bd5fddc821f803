"""The sender that runs a command of the operator: an argument list, no shell, with a time limit.

It exists only where the environment allows it. The command is from the configuration; tags become whole arguments or
parts of them, so nothing that an attacker wrote is ever a command, an option of a shell or an argument more.
"""

from __future__ import annotations

import json
import os
import subprocess
from typing import Final

from sidecar.alerts import tags
from sidecar.alerts.notices import Notice
from sidecar.alerts.sender import MessageRefused, Rejected
from sidecar.alerts.webhook import payload
from sidecar.core.actions import Action
from sidecar.core.text import printable

DEFAULT_TIMEOUT_S: Final = 10.0
# Log lines are an argument of a command in few cases, and the kernel limits an argument to 128 KiB.
MAX_ARGUMENT_CHARS: Final = 20_000


class CommandSender:
    """Runs one command for each notice, which it gets as JSON on its standard input."""

    def __init__(self, action: Action, host: str = "", name: str = "exec") -> None:
        self.name = name
        self._arguments = tuple(json.loads(action.option("arguments")))
        self._timeout_s = float(action.option("timeout") or DEFAULT_TIMEOUT_S)
        self._host, self._source = host, action.source

    def send(self, notice: Notice, within_s: float) -> None:
        """Run the command. Raises Rejected, or MessageRefused where there is no such command."""
        meaning = tags.values(notice, self._host)
        arguments = [
            tags.filled(each, meaning, lambda _, value: printable(value, MAX_ARGUMENT_CHARS))
            for each in self._arguments
        ]
        try:
            done = subprocess.run(
                arguments,
                input=json.dumps(payload(notice, self._host)).encode(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=max(0.1, min(self._timeout_s, within_s)),
                check=False,
                env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
                cwd="/",
            )
        except subprocess.TimeoutExpired:
            raise Rejected(f"{arguments[0]} took longer than {self._timeout_s:g} s and was ended.") from None
        except (OSError, ValueError) as err:
            reason = getattr(err, "strerror", "") or type(err).__name__
            raise MessageRefused(f"{arguments[0]} cannot be run: {reason}: correct {self._source}.") from None
        if done.returncode:
            last = printable(done.stderr.decode(errors="replace").strip()[-200:])
            raise Rejected(f"{arguments[0]} ended with {done.returncode}: {last}")
