"""The page in a real browser: accessible, usable by keyboard and on a phone, and nothing on it runs what others wrote."""

import shutil
from importlib import resources

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

from tests.web.served import Commands, served

PHONE, DESKTOP = (390, 844), (1280, 900)
AXE = (resources.files("axe_core_python") / "axe.min.js").read_text()
RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run().then(found => done(found.violations.map(each => [each.impact, each.id, each.nodes[0].html])));
"""


@pytest.fixture(scope="module")
def chromium():
    paths = shutil.which("chromium"), shutil.which("chromedriver")
    assert all(paths), "install chromium and chromium-driver (make setup does)"
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    for option in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(option)
    browser = webdriver.Chrome(options, Service(paths[1]))
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium):
    with served(Commands(count=30)) as address:
        chromium.set_window_size(*DESKTOP)
        chromium.get(address)
        yield chromium


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, size, scheme):
    page.set_window_size(*size)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    page.execute_script(AXE)

    found = page.execute_async_script(RUN_AXE)
    assert [each for each in found if each[0] in ("serious", "critical")] == []


def test_a_phone_needs_no_sideways_scrolling(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": PHONE[0], "height": PHONE[1], "deviceScaleFactor": 2, "mobile": True},
    )
    try:
        assert page.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_search_by_keyboard(page):
    page.switch_to.active_element.send_keys(Keys.TAB)
    assert page.switch_to.active_element.text == "Skip to the bans"
    page.switch_to.active_element.send_keys(Keys.TAB)
    field = page.switch_to.active_element
    assert field.accessible_name == "Address, jail or container"
    field.send_keys("198.51.0.29", Keys.ENTER)

    rows = page.find_elements("css selector", "#bans ~ table tbody th")
    assert [row.text for row in rows] == ["198.51.0.29"]


def test_nothing_that_others_wrote_runs(page):
    assert page.title == "wp-sidecar: not healthy, 1 banned"
    assert page.find_elements("tag name", "img") == []
    assert [
        entry
        for entry in page.get_log("browser")
        if entry["level"] == "SEVERE" and "favicon" not in entry["message"]
    ] == []


def test_the_page_renews_itself_and_says_when_the_daemon_is_gone(chromium):
    with served(Commands(count=2)) as address:
        chromium.get(address)
        state = chromium.find_element("id", "state")
        chromium.execute_script("document.querySelector('main').textContent = ''")
        chromium.execute_async_script("refresh().then(arguments[0])")
        assert "198.51.0.1" in chromium.find_element("tag name", "main").text
    chromium.execute_async_script("refresh().then(arguments[0])")

    assert state.text == "wp-sidecar does not answer; this page is old"


def test_it_is_whole_without_its_script(chromium):
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        with served(Commands(count=2)) as address:
            chromium.get(f"{address}/?q=198.51.0.1")
            assert "198.51.0.1" in chromium.find_element("tag name", "main").text
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_ten_thousand_bans(chromium):
    with served(Commands(count=10_000)) as address:
        chromium.get(address)
        assert len(chromium.find_elements("css selector", "#bans ~ table tbody tr")) == 10_000
