"""What the how-tos tell people to write into the jails file is valid."""

import pytest

from sidecar.config.reader import read
from tests.support.markdown import blocks, pages
from tests.support.paths import ROOT

JAILS = [
    pytest.param(block.text, id=f"{page.stem}-{n}")
    for page in pages()
    if page.parent.name == "how-to"
    or page.name in ("coming-from-fail2ban.md", "troubleshooting.md", "faq.md")
    for n, block in enumerate(blocks(page.read_text()))
    if block.language == "ini"
]


@pytest.mark.parametrize("text", JAILS)
def test_the_jails_that_docs_show_have_no_error(text, tmp_path):
    file = tmp_path / "jails.conf"
    file.write_text(text)

    assert read({}, jails=file, filters=ROOT / "filters", look=False).errors == ()
