"""Our own pages as tests read them: prose, code blocks, links, headings."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.paths import ROOT

_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\[(?:[^\[\]]|!?\[[^\[\]]*\])*\]\(([^()\s]+)\)")
_HEADING = re.compile(r"^#{1,6} +(.+?) *$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block of code."""

    language: str
    text: str


def pages() -> list[Path]:
    """Return every page that people read: README, docs, and what lies beside them."""
    beside = [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        ROOT / "CHANGELOG.md",
        *ROOT.glob("charts/*/README.md"),
    ]
    return [*beside, *sorted(ROOT.glob("docs/**/*.md"))]


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(*found.groups()) for found in _FENCE.finditer(text)]


def prose(text: str) -> str:
    """Return a page without its fenced blocks."""
    return _FENCE.sub("", text)


def code_spans(text: str) -> list[str]:
    """Return the code within the lines of a page."""
    return _SPAN.findall(prose(text))


def links(text: str) -> list[str]:
    """Return the targets of the links and pictures of a page."""
    return _LINK.findall(_SPAN.sub("code", prose(text)))


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, where GitHub and MkDocs agree on them."""
    headings = _HEADING.findall(prose(text))
    return set(_numbered(headings, _github, "-")) & set(_numbered(headings, _mkdocs, "_"))


def _numbered(headings: list[str], slug: Callable[[str], str], before_number: str) -> list[str]:
    seen: dict[str, int] = {}
    found = []
    for heading in headings:
        name = slug(re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", ""))
        found.append(f"{name}{before_number}{seen[name]}" if seen.get(name) else name)
        seen[name] = seen.get(name, 0) + 1
    return found


def _github(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _mkdocs(heading: str) -> str:
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", heading).strip().lower())
