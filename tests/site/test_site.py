"""The docs as a site: MkDocs builds it from the repository's own files, and refuses a link that leads nowhere."""

import re
import shutil
import subprocess
import sys

import pytest

from tests.support.markdown import pages
from tests.support.paths import ROOT

SOURCES = (
    "mkdocs.yml",
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs",
    "charts",
    "dashboards",
    "wordpress",
)


def build(checkout, folder):
    """Build the site of a checkout, and return MkDocs' exit code and words."""
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    code, words = build(ROOT, folder)
    assert code == 0, words
    return folder


def test_each_page_of_docs_is_in_the_site(site):
    docs = [page.relative_to(ROOT / "docs") for page in pages() if page.is_relative_to(ROOT / "docs")]

    assert len(docs) > 25
    assert [page for page in docs if not (site / page.with_suffix(".html")).exists()] == []


def test_the_readme_is_the_first_page_and_leads_to_the_others(site):
    first = (site / "index.html").read_text()

    assert 'href="uninstall.html"' in first
    assert 'href="repository/CONTRIBUTING.html"' in first
    assert "repository/wordpress/mu-plugins/wp-sidecar.php" in (site / "wordpress.html").read_text()
    assert (site / "repository/wordpress/mu-plugins/wp-sidecar.php").exists()


def test_each_runbook_of_an_alert_is_a_place_of_the_site(site):
    """As WP_SIDECAR_RUNBOOK_URL leads there: `…/troubleshooting.html#nobody-is-banned`."""
    runbooks = re.findall(r"runbook_url: docs/(\S+)\.md#(\S+)", (ROOT / "dashboards/alerts.yml").read_text())
    places = {page: re.findall(r' id="([^"]+)"', (site / f"{page}.html").read_text()) for page, _ in runbooks}

    assert list(places) == ["troubleshooting"]
    assert len(runbooks) > 15
    assert [anchor for page, anchor in runbooks if anchor not in places[page]] == []


def test_a_page_loads_nothing_from_elsewhere(site):
    loaded = r'<(?:script|img|iframe)[^>]* src="(\w+:)?//|<link[^>]* rel="stylesheet"[^>]* href="(\w+:)?//'

    # The chart's README has badges, which are pictures of another host; helm-docs writes them.
    own = [page for page in site.rglob("*.html") if "charts" not in page.relative_to(site).parts]

    assert [page.name for page in own if re.search(loaded, page.read_text())] == []


@pytest.mark.parametrize("link", ["nowhere.md", "configuration.md#nothing", "how-to/caddy.md#nothing"])
def test_a_link_that_leads_nowhere_fails(link, tmp_path):
    for name in SOURCES:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    with (tmp_path / "docs/faq.md").open("a") as page:
        page.write(f"\n[a link]({link})\n")

    code, words = build(tmp_path, tmp_path / "site")
    assert code == 1
    assert link in words
