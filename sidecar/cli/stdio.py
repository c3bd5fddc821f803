"""Standard input, output and error, whatever they lead to."""

from __future__ import annotations

import io
import json
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

import typer

from sidecar.core.text import printable


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


def write_line(text: str) -> None:
    sys.stdout.write(text + "\n")


def write_paragraph(text: str, width: int | None, indent: str = "  ", first: str | None = None) -> None:
    """Write text that begins some columns in, wrapped between words to this width; None: on one line.

    `first` is what the first line begins with, instead of the indent.
    """
    text, begin = printable(text), indent if first is None else first
    if width is None:
        write_line(f"{begin}{text}")
        return
    wrapper = textwrap.TextWrapper(max(width, 20), initial_indent=begin, subsequent_indent=indent or "  ")
    wrapper.break_long_words = wrapper.break_on_hyphens = False
    for line in wrapper.wrap(text):
        write_line(line)


def write_styled(text: str, *, fg: str) -> None:
    """Write a bold line in this colour, where standard output is a terminal."""
    typer.secho(printable(text), fg=fg, bold=True)


def write_error(sentence: str) -> None:
    """Write a sentence about what is wrong to standard error, as printable text."""
    sys.stderr.write(f"wp-sidecar: {printable(sentence)}\n")
