"""Errors that a user can mend become one sentence on standard error and an exit code, without a traceback."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NoReturn

from sidecar.cli.stdio import write_error
from sidecar.config.errors import ConfigErrors
from sidecar.control.client import NoDaemon
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.control.protocol import Refused

# Standard output leads to a disk that takes no more.
DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EIO)


@contextmanager
def exit_on_error() -> Iterator[None]:
    """End the process with the code that belongs to what was raised."""
    try:
        with _exit_on_output_error():
            yield
    except Failed as err:
        _end(err.code, str(err))
    except Refused as err:
        _end(ExitCode.NO, str(err))
    except NoDaemon as err:
        _end(ExitCode.UNAVAILABLE, str(err))
    except PermissionError as err:
        _end(ExitCode.NO_PERMISSION, str(err))
    except ConfigErrors as err:
        _end(ExitCode.CONFIG, *map(str, err.errors))


class Refusals:
    """The daemon's refusals, where a command asks for several things: one that is refused stops no other."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    @contextmanager
    def caught(self) -> Iterator[None]:
        """Keep a refusal for the end."""
        try:
            yield
        except Refused as err:
            self.sentences.append(str(err))


@contextmanager
def refusals_at_the_end() -> Iterator[Refusals]:
    """Give a `Refusals`; at the end show them, and end the process if there are any."""
    refusals = Refusals()
    yield refusals
    if refusals.sentences:
        sys.stdout.flush()
        _end(ExitCode.NO, *refusals.sentences)


@contextmanager
def _exit_on_output_error() -> Iterator[None]:
    """End the process where its output cannot be written."""
    try:
        try:
            yield
        finally:
            # The interpreter's own flush comes too late to end with an exit code.
            sys.stdout.flush()
    except BrokenPipeError:
        _exit_for_closed_output()
    except SystemExit as end:
        # Typer turns it into an exit code of its own.
        if isinstance(end.__context__, BrokenPipeError):
            _exit_for_closed_output()
        raise
    except OSError as err:
        if err.errno not in DISK_ERRORS:
            raise
        _discard_output()
        _end(ExitCode.NO, f"the answer cannot be written: {err.strerror}")


def _exit_for_closed_output() -> NoReturn:
    """End as other programs do in `wp-sidecar bans | head -1`: the reader has enough, and that is not an error."""
    _discard_output()
    sys.exit(ExitCode.OUTPUT_CLOSED)


def _discard_output() -> None:
    """Lead standard output to /dev/null, for what the interpreter flushes at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _end(code: ExitCode, *sentences: str) -> None:
    for sentence in sentences:
        write_error(sentence)
    sys.exit(code)
