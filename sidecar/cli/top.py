# ruff: noqa: PLC0415 - rich is loaded by `top` alone, never by `run`
"""`top`: a live view of the daemon."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from typing import Annotated, Final

import typer

from sidecar.cli.options import Socket, socket_path
from sidecar.control.client import ask
from sidecar.control.protocol import TopRequest

commands = typer.Typer(rich_markup_mode=None)

# Ctrl-C is a signal.
QUIT_KEYS: Final = frozenset({b"q", b"Q", b"\x1b", b"\x04"})


@commands.command()
def top(
    *,
    every: Annotated[
        float,
        typer.Option("--every", metavar="SECONDS", min=0.2, max=3600, help="Seconds between two looks."),
    ] = 1.0,
    socket: Socket = None,
) -> None:
    """Show what happens now, refreshed each second; q ends it. Without a terminal: once."""
    from rich.console import Console
    from rich.live import Live

    from sidecar.cli.top_frame import frame

    path = socket_path(socket)
    answer, before = ask(path, TopRequest()), None
    console = Console(highlight=False, emoji=False, markup=False)
    if not sys.stdout.isatty():
        console.print(frame(answer, None, console.width, None))
        return
    with (
        _keys() as keys,
        Live(
            frame(answer, before, console.width, console.height),
            console=console, screen=True, auto_refresh=False, vertical_overflow="crop",
        ) as live,
    ):  # fmt: skip
        while not keys.quit_within(every):
            answer, before = ask(path, TopRequest()), answer
            live.update(frame(answer, before, console.width, console.height), refresh=True)


class _Keys:
    """What ends the view: a key, if standard input is a keyboard, or a signal.

    A signal raises nothing, so it cannot end the program between two steps that change the terminal.
    """

    def __init__(self) -> None:
        self._keyboard = [sys.stdin] if sys.stdin.isatty() else []
        self._signalled, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.set_wakeup_fd(wake)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: None)

    def quit_within(self, seconds: float) -> bool:
        """Wait this long, or until the view is to end. Return whether it is."""
        ready, _, _ = select.select([self._signalled, *self._keyboard], [], [], seconds)
        if self._signalled in ready:
            return True
        # An arrow key begins with an escape too. Nothing to read: the keyboard is gone.
        return bool(ready) and os.read(sys.stdin.fileno(), 64) in {*QUIT_KEYS, b""}


@contextlib.contextmanager
def _keys() -> Iterator[_Keys]:
    """Read single keys within, and leave the keyboard as it was, however that ends."""
    keys = _Keys()
    if not sys.stdin.isatty():
        yield keys
        return
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setcbreak(sys.stdin)
        yield keys
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
