"""Exit codes: 0, 1 and 2 as everywhere, the others as sysexits.h has them."""

from __future__ import annotations

from typing import Final

OK: Final = 0  # done, or the answer is yes
NO: Final = 1  # the answer is no: unhealthy, or the daemon refused
USAGE: Final = 2  # the command line is wrong
NO_INPUT: Final = 66  # EX_NOINPUT: a log or a filter is not there, or cannot be read
UNAVAILABLE: Final = 69  # EX_UNAVAILABLE: no daemon, or another one is running; no container engine
NO_PERMISSION: Final = 77  # EX_NOPERM: no NET_ADMIN, or a socket of another user
CONFIG: Final = 78  # EX_CONFIG: the configuration has mistakes, or names what cannot be used
UNREAD: Final = 141  # whoever read our output went away; a shell says so of what SIGPIPE ended


class Failed(Exception):  # noqa: N818 - it is how a command ends
    """Why a command, or the daemon, cannot go on: the exit code, and a sentence that says what to change."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
