"""Standard input, output and error, whatever they lead to."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any, Final

from sidecar.core.text import printable

# A narrower terminal gets lines that are longer than it is wide.
MIN_WRAPPED_CHARS: Final = 20
# How far the rest of a line that is too long stands to the right of its beginning.
CONTINUED: Final = "  "


def prepare() -> None:
    """Open the standard streams that were closed, and let them write any text.

    A stream that was closed (`2>&-`) leads to /dev/null from now on. Otherwise the next file that is opened would get
    its number, and error messages would be written into it. What an encoding lacks is written as an escape.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # A new descriptor gets the lowest free number, which is this one.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # noqa: FBT003
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or os.fdopen(1, "w")
    sys.stderr = sys.stderr or os.fdopen(2, "w")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def write_json(answer: Mapping[str, Any]) -> None:
    """Write one line of JSON."""
    sys.stdout.write(json.dumps(answer) + "\n")


def write_json_list(key: str, values: Iterable[str]) -> None:
    """Write one line of JSON: an object with a list, the values of which are JSON already."""
    sys.stdout.write(f'{{"{key}": [')
    for number, value in enumerate(values):
        sys.stdout.write(f", {value}" if number else value)
    sys.stdout.write("]}\n")


def terminal_width() -> int | None:
    """Return the columns of the terminal that standard output leads to; None: to none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def write_line(text: str) -> None:
    """Write a line. What a terminal is too narrow for goes to lines below it, between words."""
    write_row(fitted(text))


def fitted(text: str) -> str:
    """Return lines as lines that fit the terminal, if standard output is one."""
    if len(text) <= MIN_WRAPPED_CHARS or not (width := terminal_width()) or len(text) <= width:
        return text
    return "\n".join(line for each in text.split("\n") for line in _fitted(each, width))


def _fitted(line: str, width: int) -> list[str]:
    if len(line) <= width:
        return [line]
    return wrapped(line, width, " " * (len(line) - len(line.lstrip(" "))) + CONTINUED)


def write_row(text: str) -> None:
    """Write a line as it is, however wide: a row of a table that a person wants in one line."""
    sys.stdout.write(text + "\n")


def write_paragraph(text: str, width: int | None, indent: str = "  ", first: str | None = None) -> None:
    """Write text that begins some columns in, wrapped between words to this width; None: on one line.

    `first` is what the first line begins with, instead of the indent.
    """
    text, begin = printable(text), indent if first is None else first
    if width is None:
        write_row(f"{begin}{text}")
        return
    for line in wrapped(text, width, indent or CONTINUED, begin):
        write_row(line)


def wrapped(text: str, width: int, indent: str, first: str = "") -> list[str]:
    """Return the lines of a text that is wrapped between words: half an address is not an address."""
    wrapper = textwrap.TextWrapper(
        max(width, MIN_WRAPPED_CHARS), initial_indent=first, subsequent_indent=indent,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    return wrapper.wrap(text)


def write_styled(text: str, *, fg: str) -> None:
    """Write a bold line in this colour, where standard output is a terminal that may have colours (no-color.org)."""
    is_plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    # Not at the top, as the daemon loads this module too.
    import typer  # noqa: PLC0415

    typer.secho(fitted(printable(text)), fg=fg, bold=True, color=False if is_plain else None)


def write_error(sentence: str) -> None:
    """Write a sentence about what is wrong to standard error, as printable text."""
    text = f"wp-sidecar: {printable(sentence)}"
    if sys.stderr.isatty():
        text = "\n".join(wrapped(text, shutil.get_terminal_size().columns, CONTINUED))
    sys.stderr.write(f"{text}\n")
