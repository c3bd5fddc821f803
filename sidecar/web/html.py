"""Pieces of HTML. Whatever comes from outside is text here, never markup."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from sidecar.core.text import printable

_CODE: Final = re.compile("`([^`]+)`")


class Markup(str):
    """HTML that a function of this module made."""

    __slots__ = ()


def text(value: object) -> str:
    """Return a value as text in HTML, without control characters."""
    return value if isinstance(value, Markup) else html.escape(printable(str(value)))


def with_code(sentence: str) -> Markup:
    """Return a sentence in which what stands in backticks is code."""
    return Markup(_CODE.sub(r"<code>\1</code>", text(sentence)))


def document(title: str, *body: Iterable[str], script: str = "") -> Iterator[str]:
    """Yield a whole page. `script` is the path of the script that it loads."""
    loaded = f'<script src="{text(script)}" defer></script>' if script else ""
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{text(title)}</title><link rel="stylesheet" href="/style.css">{loaded}</head>\n<body>'
    )
    for each in body:
        yield from each
    yield "</body></html>\n"


def table(
    caption: str, titles: Sequence[str], rows: Iterable[Sequence[object]], *, long: str = ""
) -> Iterator[str]:
    """Yield a table; the first cell of each row is its heading. On a narrow screen a row becomes a block.

    `long`: the class of one with thousands of rows. Its columns are equally wide, so a browser need not look at all
    rows before it shows the first, and the style sheet has its titles for narrow screens: in each cell they are a third
    of the page. Where rows are blocks, a browser takes them for no table without the roles.
    """
    kind = f' class="long {long}"' if long else ""
    yield f'<table{kind} role="table"><caption class="visually-hidden">{text(caption)}</caption>'
    yield '<thead role="rowgroup"><tr role="row">'
    for title in titles:
        yield f'<th scope="col" role="columnheader">{text(title)}</th>'
    yield '</tr></thead><tbody role="rowgroup">\n'
    labels = ["" if long else f' data-title="{text(title)}"' for title in titles[1:]]
    for first, *others in rows:
        cells = "".join(
            f'<td role="cell"{label}>{text(value)}</td>' for label, value in zip(labels, others, strict=True)
        )
        yield f'<tr role="row"><th scope="row" role="rowheader">{text(first)}</th>{cells}</tr>\n'
    yield "</tbody></table>\n"


def titles_style(long: str, titles: Sequence[str]) -> str:
    """Return the style of a table with this `long`: the title of each cell but a row's heading."""
    return "".join(
        f'.{long} td:nth-of-type({number}) {{ --title: "{title}"; }}\n'
        for number, title in enumerate(titles[1:], 1)
    )


def section(name: str, title: str, *content: Iterable[str]) -> Iterator[str]:
    """Yield a section with a heading that can be linked to."""
    yield f'<section aria-labelledby="{name}"><h2 id="{name}">{text(title)}</h2>\n'
    for each in content:
        yield from each
    yield "</section>\n"


def form(path: str, key: str, *content: Iterable[str]) -> Iterator[str]:
    """Yield a form that is sent to a path of ours, with the key that only our own pages know."""
    yield f'<form action="{text(path)}" method="post" autocomplete="off">'
    if key:
        yield f'<input type="hidden" name="key" value="{text(key)}">'
    for each in content:
        yield from each
    yield "</form>\n"


def field(name: str, label: str, **attributes: object) -> Markup:
    """Return a text field with its label."""
    given = "".join(f' {each}="{text(value)}"' for each, value in attributes.items())
    return Markup(
        f'<span class="field"><label for="{text(name)}">{text(label)}</label> '
        f'<input id="{text(name)}" name="{text(name)}"{given}></span> '
    )


def choice(name: str, label: str, values: Iterable[tuple[str, str]], chosen: str = "") -> Markup:
    """Return a list to choose from, with its label: values, each with its text."""
    options = "".join(
        f'<option value="{text(value)}"{" selected" * (value == chosen)}>{text(shown)}</option>'
        for value, shown in values
    )
    return Markup(
        f'<span class="field"><label for="{text(name)}">{text(label)}</label> '
        f'<select id="{text(name)}" name="{text(name)}">{options}</select></span> '
    )


def button(shown: str, name: str = "", value: str = "", spoken: str = "") -> Markup:
    """Return a button that sends its form, with a value of its own. `spoken`: what a screen reader says instead."""
    own = f' name="{text(name)}" value="{text(value)}"' if name else ""
    label = f' aria-label="{text(spoken)}"' if spoken else ""
    return Markup(f"<button{own}{label}>{text(shown)}</button>")
