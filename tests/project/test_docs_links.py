"""Each link of our pages leads somewhere, on GitHub and in the site that MkDocs makes of them."""

from tests.support.markdown import anchors, blocks, code_spans, links, pages
from tests.support.paths import ROOT

PAGE = """
# One: `two`
See [a](b.md#c), ![picture](d.png), [![e](f.svg)](g.md) and `[no](code.md)`.
```yaml
image: "[no](block.md)"
```
## A / B
## Same
## Same
"""


def test_a_page_is_read():
    assert links(PAGE)[:2] == ["b.md#c", "d.png"]
    assert links(PAGE)[2:] == ["g.md"]
    assert anchors(PAGE) == {"one-two", "same"}
    assert [(block.language, block.text) for block in blocks(PAGE)] == [("yaml", 'image: "[no](block.md)"\n')]
    assert code_spans(PAGE) == ["two", "[no](code.md)"]


def broken_links(page):
    for link in links(page.read_text()):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path) if path else page
        if not target.exists():
            yield f"{page.relative_to(ROOT)}: {link}: no such file"
        elif anchor and anchor not in anchors(target.read_text()):
            yield f"{page.relative_to(ROOT)}: {link}: no such heading"


def test_each_link_has_its_file_and_its_heading():
    assert len(pages()) > 20
    assert [fault for page in pages() for fault in broken_links(page)] == []


def test_each_page_of_docs_is_reached_from_the_readme():
    seen, ahead = set(), [ROOT / "README.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        targets = (link.partition("#")[0] for link in links(page.read_text()) if "://" not in link)
        ahead += [page.parent / target for target in targets if target]

    assert [
        str(page.relative_to(ROOT))
        for page in pages()
        if page.is_relative_to(ROOT / "docs") and page not in seen
    ] == []


def test_each_test_that_a_page_names_is_there():
    named = {span for page in pages() for span in code_spans(page.read_text()) if span.startswith("tests/")}

    assert len(named) > 40
    assert [name for name in sorted(named) if not any(ROOT.glob(name.partition("::")[0]))] == []
