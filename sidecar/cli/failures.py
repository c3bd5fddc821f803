"""What went wrong -> one sentence on stderr and an exit code; no traceback for what a user can mend."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from sidecar.cli.text import safe
from sidecar.config.errors import ConfigErrors
from sidecar.control import exit_codes
from sidecar.control.exit_codes import Failed
from sidecar.control.server import NoDaemon, NoSocket, Refused

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # our output leads to a disk that takes no more


@contextmanager
def said() -> Iterator[None]:
    """End the process with the code that belongs to what was raised."""
    try:
        with _output():
            yield
    except Failed as err:
        _end(err.code, str(err))
    except Refused as err:
        _end(exit_codes.NO, str(err))
    except (NoDaemon, NoSocket) as err:
        _end(exit_codes.UNAVAILABLE, str(err))
    except PermissionError as err:
        _end(exit_codes.NO_PERMISSION, str(err))
    except ConfigErrors as err:
        _end(exit_codes.CONFIG, *map(str, err.errors))


@contextmanager
def _output() -> Iterator[None]:
    """Ends the process where what it says cannot be written."""
    try:
        try:
            yield
        finally:
            sys.stdout.flush()  # now, while it can be told that nobody reads any more
    except BrokenPipeError:
        _unread()
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # typer made a code of its own of it
            _unread()
        raise
    except OSError as err:
        if err.errno not in FULL:
            raise
        _nowhere()
        _end(exit_codes.NO, f"the answer cannot be written: {err.strerror}")


def _unread() -> NoReturn:
    """`wp-sidecar bans | head -1`: who read has had enough, and that is no mistake."""
    _nowhere()
    sys.exit(exit_codes.UNREAD)


def _nowhere() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what the interpreter still writes out at its end


def _end(code: int, *sentences: str) -> None:
    for sentence in sentences:
        sys.stderr.write(f"wp-sidecar: {safe(sentence)}\n")
    sys.exit(code)
