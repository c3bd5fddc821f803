"""MkDocs' hooks: the site is made of the same files that people read in the repository.

README is the first page. Files outside of docs that a page links to are in the site under `repository/`, and links are
rewritten to where their files are there.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

DOCS: Final = Path(__file__).resolve().parent
ROOT: Final = DOCS.parent
README: Final = ROOT / "README.md"

# A link to a file: what stands before its path, the path, and the anchor with the closing bracket.
LINK: Final = re.compile(r"(\]\()(?![\w+.-]+:|#)([^)\s#]+)((?:#[^)\s]*)?\))")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the README, and what pages link to outside of docs."""
    found, ahead = {README}, [README, *DOCS.rglob("*.md")]
    while ahead:
        for target in _linked(ahead.pop()):
            if target not in found and not target.is_relative_to(DOCS):
                found.add(target)
                ahead += [target] if target.suffix == ".md" else []
    for file in sorted(found):
        files.append(File.generated(config, _place(file), content=file.read_text()))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001
    """Lead each link to where its file is in the site."""
    here = page.file.src_uri

    def moved(link: re.Match[str]) -> str:
        target = (_origin(here).parent / link[2]).resolve()
        if not target.is_file():
            return link[0]
        return f"{link[1]}{os.path.relpath(_place(target), Path(here).parent)}{link[3]}"

    return LINK.sub(moved, markdown)


def _linked(page: Path) -> Iterator[Path]:
    """Return the files of the repository that a page links to."""
    for link in LINK.finditer(page.read_text()):
        target = (page.parent / link[2]).resolve()
        if target.is_file():
            yield target


def _place(file: Path) -> str:
    """Return where a file of the repository is in the site."""
    if file == README:
        return "index.md"
    if file.is_relative_to(DOCS):
        return file.relative_to(DOCS).as_posix()
    return f"repository/{file.relative_to(ROOT).as_posix()}"


def _origin(place: str) -> Path:
    """Return the file of the repository that is at this place of the site."""
    if place == "index.md":
        return README
    inside, outside = DOCS / place, ROOT / place.removeprefix("repository/")
    return outside if place.startswith("repository/") else inside
