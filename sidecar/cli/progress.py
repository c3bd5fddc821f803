"""A progress bar on standard error. The only module that loads rich."""

from __future__ import annotations

import sys

import rich.progress
from rich.console import Console

from sidecar.cli.stdio import fitted, write_line


class Progress:
    """A `Meter` that draws a bar; where the size is not known, it shows how much was read."""

    def __init__(self, size: int | None) -> None:
        columns = (
            rich.progress.TextColumn("reading"),
            rich.progress.BarColumn(),
            rich.progress.DownloadColumn(binary_units=True),
            rich.progress.TransferSpeedColumn(),
            rich.progress.TimeRemainingColumn(),
        )
        self._console = Console(stderr=True)
        self._bar = rich.progress.Progress(*columns, console=self._console, transient=True)
        self._task = self._bar.add_task("", total=size)

    def advance(self, size: int) -> None:
        self._bar.start()
        self._bar.advance(self._task, size)

    def write_line(self, text: str) -> None:
        """Write a line above the bar, which is on the same terminal as standard output."""
        if sys.stdout.isatty():
            self._console.print(fitted(text), markup=False, highlight=False, emoji=False, soft_wrap=True)
        else:
            write_line(text)

    def close(self) -> None:
        self._bar.stop()
