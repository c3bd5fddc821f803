"""Pieces of HTML. Whatever comes from outside is text here, never markup."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from sidecar.core.text import printable


def text(value: object) -> str:
    """Return a value as text in HTML, without control characters."""
    return html.escape(printable(str(value)))


def table(caption: str, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield a table; the first cell of each row is its heading. On a narrow screen a row becomes a block."""
    yield f'<table><caption class="visually-hidden">{text(caption)}</caption><thead><tr>'
    for title in titles:
        yield f'<th scope="col">{text(title)}</th>'
    yield "</tr></thead><tbody>\n"
    labels = [text(title) for title in titles]
    for first, *others in rows:
        cells = "".join(
            f'<td data-title="{label}">{text(value)}</td>'
            for label, value in zip(labels[1:], others, strict=True)
        )
        yield f'<tr><th scope="row">{text(first)}</th>{cells}</tr>\n'
    yield "</tbody></table>\n"


def section(name: str, title: str, *content: Iterable[str]) -> Iterator[str]:
    """Yield a section with a heading that can be linked to."""
    yield f'<section aria-labelledby="{name}"><h2 id="{name}">{text(title)}</h2>\n'
    for each in content:
        yield from each
    yield "</section>\n"
