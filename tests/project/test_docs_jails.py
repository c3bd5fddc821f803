"""What the pages for users of fail2ban, and of the how-tos, say about the jails file is true."""

import shutil

import pytest
import yaml

from sidecar.config.jail_keys import ACTION_KEYS, FILTER_KEYS, IGNORED_KEYS
from sidecar.config.reader import read
from tests.support.markdown import blocks, pages
from tests.support.paths import ROOT

FROM_FAIL2BAN = (ROOT / "docs/coming-from-fail2ban.md").read_text()
# These have no row: nobody looks for them in a jail.
SERVERS_OWN = {"allowipv6", "stacksize"}

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


def test_each_key_of_fail2ban_has_its_place_in_the_table():
    keys = {*ACTION_KEYS, *FILTER_KEYS, *IGNORED_KEYS} - SERVERS_OWN

    assert [key for key in sorted(keys) if f"`{key}`" not in FROM_FAIL2BAN] == []


def test_a_hosts_fail2ban_is_read_as_the_page_says(tmp_path):
    """With the distribution's own files, where the page mounts them, and a jail.local over them."""
    folder = tmp_path / "fail2ban"
    shutil.copytree("/etc/fail2ban", folder)
    (folder / "jail.local").write_text(
        "[wordpress]\nenabled = true\nmaxretry = 2\nlogpath = /not/mounted.log\n"
    )
    service = yaml.safe_load(blocks(FROM_FAIL2BAN)[0].text)["services"]["wp-sidecar"]
    environ = {
        key: path.replace("/etc/fail2ban", str(folder)) for key, path in service["environment"].items()
    }

    settings = read(environ)
    (jail,) = [jail for jail in settings.jails if jail.name == "wordpress"]
    assert settings.errors == ()
    # The last two are of fail2ban's own jail.conf.
    assert (jail.maxretry, jail.findtime, jail.bantime) == (2, 600.0, 600.0)
    assert any("/not/mounted.log" in note and "discovered containers" in note for note in settings.notes)
