"""Exit codes: 0, 1 and 2 as everywhere, the others as in sysexits.h and in shells."""

from __future__ import annotations

import enum
from typing import Self


class ExitCode(enum.IntEnum):
    """How a command ends; `meaning` is what `wp-sidecar --help` says about it."""

    OK = 0, "done, or yes"
    # Unhealthy, a sample that fails, or the daemon refused.
    NO = 1, "no (unhealthy, refused)"
    USAGE = 2, "wrong usage"
    # EX_NOINPUT.
    NO_INPUT = 66, "a log or filter cannot be read"
    # EX_UNAVAILABLE. Also where another daemon is running.
    UNAVAILABLE = 69, "no daemon, or another one is running"
    # EX_NOPERM: NET_ADMIN is missing, or the socket is another user's.
    NO_PERMISSION = 77, "no permission"
    # EX_CONFIG. Also where the configuration names what cannot be used.
    CONFIG = 78, "errors in the configuration"
    # What a shell reports of a process that SIGPIPE ended.
    OUTPUT_CLOSED = 141, "the reader of the output went away"

    meaning: str

    def __new__(cls, code: int, meaning: str) -> Self:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member


class Failed(Exception):  # noqa: N818 - it is how a command ends
    """A command, or the daemon, cannot go on: the exit code, and a sentence that says what to change."""

    def __init__(self, code: ExitCode, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
