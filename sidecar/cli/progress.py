"""A progress bar on standard error. The only module that loads rich."""

from __future__ import annotations

import rich.progress
from rich.console import Console

from sidecar.cli.log_lines import Reader


class Progress:
    """A stream that shows on standard error how much of it was read."""

    def __init__(self, stream: Reader, size: int) -> None:
        self._stream = stream
        self._bar = rich.progress.Progress(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("reading", total=size)

    def read1(self, size: int, /) -> bytes:
        data = self._stream.read1(size)
        if data:
            self._bar.start()
            self._bar.advance(self._task, len(data))
        else:
            self._bar.stop()
        return data
