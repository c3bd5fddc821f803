"""A real terminal of a given size: a pane of tmux, in which one program runs to its end."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.waiting import wait_until

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
# An attribute's end -> the attributes that it ends: colours, bold, underlined, reverse (ECMA-48, "SGR").
ENDS = {
    "39": {str(code) for code in (*range(30, 39), *range(90, 98))},
    "49": {str(code) for code in (*range(40, 49), *range(100, 108))},
    "22": {"1", "2"},
    "24": {"4"},
    "27": {"7"},
}
END = "--- the end ---"
# A program may start slowly on a machine with much to do.
PATIENCE_S = 120.0
HISTORY_LINES = 20_000


class Screen(NamedTuple):
    """What a program left on the terminal.

    `rows` are the terminal's, with their trailing blanks cut off; `lines` are what the program wrote, with rows joined
    that the terminal itself had to break. `styled` has the colours, up to and including the line `END` after it.
    """

    rows: list[str]
    lines: list[str]
    styled: str

    @property
    def end_style(self) -> set[str]:
        """The attributes that were in force when the program had ended; none if it left the terminal as it was."""
        found: set[str] = set()
        for escape in ESCAPE.findall(self.styled[: self.styled.rindex(END)]):
            for code in escape[2:-1].split(";"):
                if code in ("", "0"):
                    found.clear()
                elif code in ENDS:
                    found -= ENDS[code]
                else:
                    found.add(code)
        return found


class Terminal:
    """Runs programs in panes of this many columns. One server of its own, with no configuration."""

    def __init__(self, folder: Path, columns: int) -> None:
        self._folder, self._columns = folder, columns
        self._count = 0

    def run(self, argv: Sequence[str], environ: Mapping[str, str] | None = None, term: str = "") -> Screen:
        """Run a program and return what it left; `term` is its TERM, instead of tmux's own."""
        self._count += 1
        socket, end = self._folder / f"tmux{self._count}", self._folder / f"end{self._count}"
        kept = {key: os.environ[key] for key in ("PATH", "HOME") if key in os.environ}
        given = {**kept, "LC_ALL": "C.UTF-8", **(environ or {}), **({"TERM": term} if term else {})}
        words = " ".join(_quoted(each) for each in (*(f"{k}={v}" for k, v in given.items()), *argv))
        # The shell stays, or the pane would be gone before it is read.
        script = f"env {words}; code=$?; echo '{END}'; echo $code > {_quoted(str(end))}; exec sleep 600"
        options = ["-x", str(self._columns), "-y", "50"]
        self._tmux(
            socket, "set-option", "-g", "history-limit", str(HISTORY_LINES), ";",
            "new-session", "-d", *options, f"sh -c {_quoted(script)}",
        )  # fmt: skip
        try:
            wait_until(lambda: end.exists() and end.read_text().strip(), PATIENCE_S)
            wait_until(lambda: END in self._captured(socket), PATIENCE_S)
            rows, lines = (self._rows(socket, *how) for how in ((), ("-J",)))
            styled = self._captured(socket, "-e")
        finally:
            self._tmux(socket, "kill-server")
        return Screen(rows, lines, styled)

    def _rows(self, socket: Path, *how: str) -> list[str]:
        text = self._captured(socket, *how)
        return [line.rstrip() for line in text[: text.rindex(END)].split("\n")[:-1]]

    def _captured(self, socket: Path, *how: str) -> str:
        return self._tmux(socket, "capture-pane", "-p", "-S", "-", *how)

    def _tmux(self, socket: Path, *arguments: str) -> str:
        command = ["tmux", "-u", "-S", str(socket), "-f", "/dev/null", *arguments]
        environ = {key: value for key, value in os.environ.items() if key not in ("TMUX", "TMUX_PANE")}
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env={**environ, "LC_ALL": "C.UTF-8"}
        ).stdout


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"
