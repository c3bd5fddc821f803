"""The page in a real browser: accessible, usable by keyboard and on a phone, and nothing on it runs what others wrote."""

import contextlib
import http.server
import shutil
import threading
from importlib import resources

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from sidecar.web.page import LONG
from tests.web.served import HOSTILE, TOKEN, Commands, Looked, served

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
    # With the last one the browser does for a page what it does when a screen reader runs.
    for option in (
        "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu",
        "--force-renderer-accessibility",
    ):  # fmt: skip
        options.add_argument(option)
    browser = webdriver.Chrome(options, Service(paths[1]))
    # axe looks at every cell, and the machine may be busy.
    browser.set_script_timeout(300)
    yield browser
    browser.quit()


@pytest.fixture
def page(chromium):
    with served(Commands(count=30)) as address:
        chromium.set_window_size(*DESKTOP)
        chromium.get(address)
        yield chromium


def see(page, size, scheme):
    page.set_window_size(*size)
    page.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )


def serious(page):
    """What axe finds serious on a page."""
    page.execute_script(AXE)
    return [each for each in page.execute_async_script(RUN_AXE) if each[0] in ("serious", "critical")]


def awaited(page, selector):
    """Return the element, once the page that a form led to has it."""
    found = WebDriverWait(page, 60, ignored_exceptions=[WebDriverException]).until(
        lambda page: page.find_elements("css selector", selector)
    )
    return found[0]


def log_in(page, address):
    page.get(f"{address}/login")
    page.find_element("name", "token").send_keys(TOKEN, Keys.ENTER)
    awaited(page, "#changes")


@contextlib.contextmanager
def other_site(html):
    """Serve a page of somebody else's on this host, so a browser sends it the cookies of ours."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(page, size, scheme):
    see(page, size, scheme)

    assert serious(page) == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_forms(chromium, size, scheme):
    with served(Commands(count=5), TOKEN) as address:
        see(chromium, size, scheme)
        chromium.get(f"{address}/login")
        assert serious(chromium) == []
        chromium.find_element("name", "token").send_keys("wrong", Keys.ENTER)
        awaited(chromium, "[role=alert]")
        assert serious(chromium) == []
        log_in(chromium, address)
        chromium.find_element("name", "address").send_keys("203.0.113.9", Keys.ENTER)
        assert awaited(chromium, "#notice").text.endswith("203.0.113.9 is banned in manual.")
        assert serious(chromium) == []


def test_a_ban_is_lifted_by_keyboard_and_without_the_script(chromium):
    chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    commands = Commands(count=3)
    try:
        with served(commands, TOKEN) as address:
            chromium.get(address)
            for _ in range(2):
                chromium.switch_to.active_element.send_keys(Keys.TAB)
            assert chromium.switch_to.active_element.text == "Log in"
            chromium.switch_to.active_element.send_keys(Keys.ENTER)
            awaited(chromium, "[name=token]")
            chromium.switch_to.active_element.send_keys(Keys.TAB)
            assert chromium.switch_to.active_element.accessible_name == "Token (WP_SIDECAR_WEB_TOKEN)"
            chromium.switch_to.active_element.send_keys(TOKEN, Keys.ENTER)
            awaited(chromium, "#changes")
            for _ in range(20):
                chromium.switch_to.active_element.send_keys(Keys.TAB)
                if chromium.switch_to.active_element.accessible_name.startswith("Unban"):
                    break
            assert chromium.switch_to.active_element.accessible_name == "Unban 198.51.0.0 in wordpress"
            chromium.switch_to.active_element.send_keys(Keys.ENTER)
            assert awaited(chromium, "#notice").text.endswith("198.51.0.0 is unbanned in wordpress.")
            rows = chromium.find_elements("css selector", "#bans ~ form table tbody th")
            assert [row.text for row in rows] == ["198.51.0.1", "198.51.0.2"]
    finally:
        chromium.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert [each["do"] for each in commands.asked] == ["unban"]


def test_the_page_leaves_what_is_being_typed(chromium):
    with served(Commands(count=3), TOKEN) as address:
        log_in(chromium, address)
        chromium.find_element("name", "reason").send_keys("half a rea")
        chromium.execute_script("document.activeElement.blur()")
        chromium.execute_async_script("refresh().then(arguments[0])")

        assert chromium.find_element("name", "reason").get_property("value") == "half a rea"


def test_no_script_reads_the_cookie(chromium):
    with served(Commands(count=3), TOKEN) as address:
        log_in(chromium, address)

        assert chromium.get_cookies()
        assert chromium.execute_script("return document.cookie") == ""


@pytest.mark.parametrize("path", ["/unban", "/ban", "/logout"])
def test_another_site_on_this_host_cannot_use_the_session(chromium, path):
    """Cookies know no ports, so a browser sends the session's with this form. What it says of the form's page counts."""
    commands = Commands(count=3)
    with served(commands, TOKEN) as address:
        log_in(chromium, address)
        key = chromium.find_element("name", "key").get_property("value")
        stolen = (
            f'<form method="post" action="{address}{path}"><input name="key" value="{key}">'
            '<input name="ban" value="198.51.0.1 wordpress"><input name="address" value="203.0.113.9"></form>'
            "<script>document.forms[0].submit()</script>"
        )
        with other_site(stolen) as evil:
            chromium.get(evil)
            WebDriverWait(chromium, 60).until(lambda page: "came from another page" in page.page_source)
        chromium.get(address)
        assert chromium.find_elements("id", "changes")
    assert commands.asked == []


def test_no_other_site_frames_the_page(chromium):
    with served(Commands(count=3), TOKEN) as address:
        log_in(chromium, address)
        frame = f'<iframe src="{address}" onload="document.title = \'loaded\'"></iframe>'
        with other_site(frame) as evil:
            chromium.get(evil)
            WebDriverWait(chromium, 60).until(lambda page: page.title == "loaded")
            chromium.switch_to.frame(0)
            # Chromium shows a page of its own instead.
            assert "banned" not in chromium.page_source
            chromium.switch_to.default_content()


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
    page.switch_to.active_element.send_keys(Keys.ENTER)
    WebDriverWait(page, 60).until(lambda page: page.current_url.endswith("#bans"))
    page.switch_to.active_element.send_keys(Keys.TAB)
    field = page.switch_to.active_element
    assert field.accessible_name == "Address, jail or container"
    field.send_keys("198.51.0.29", Keys.ENTER)

    awaited(page, "#q[value='198.51.0.29']")
    rows = page.find_elements("css selector", "#bans ~ table tbody th")
    assert [row.text for row in rows] == ["198.51.0.29"]


# What a log's client, a container or a label may be named, to run, to restyle, or to pretend to be a form of ours.
HOSTILE_TEXTS = (
    HOSTILE,
    "<script>document.title='taken'</script>",
    "</td></table></form><form action=//evil.example><button>Log in</button></form>",
    "<style>*{display:none}</style>",
    "' onmouseover='document.title=1' x='",
    '" autofocus onfocus="document.title=1',
    "javascript:document.title='taken'",
    "<svg/onload=document.title=1>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "\u202egnp.exe\x1b[2J\0\r\n",
    "\ud800&lt;img src=x&gt;<!--",
)


@pytest.mark.parametrize("token", ["", TOKEN])
@pytest.mark.parametrize("hostile", HOSTILE_TEXTS)
def test_nothing_that_others_wrote_runs_or_restyles(chromium, hostile, token):
    commands = Commands(
        streams=[{"container": hostile, "state": hostile, "format": hostile, "read": 2, "understood": 1}],
        labels={hostile: [hostile]},
        health={"live": True, "ready": False, "why": [hostile]},
        remarks=[hostile],
    )
    commands.doctor = Looked(hostile)
    commands.bans = [each | {"site": hostile, "reason": hostile, "jail": hostile} for each in commands.bans]
    with served(commands, token) as address:
        if token:
            log_in(chromium, address)
        # What earlier pages said.
        chromium.get_log("browser")
        chromium.get(f"{address}/?q=198.51")
        forms = [each.get_attribute("action") for each in chromium.find_elements("tag name", "form")]

        assert chromium.title == "wp-sidecar: not healthy, 1 banned"
        assert chromium.find_element("tag name", "main").is_displayed()
        assert all(each.startswith(address) for each in forms)
        assert len(forms) == (6 if token else 1)
        assert chromium.find_elements("css selector", "img, style, base, main script, meta[http-equiv]") == []
        assert (
            chromium.execute_script(
                "return [...document.querySelectorAll('*')].flatMap(each => each.getAttributeNames())"
                ".filter(name => name.startsWith('on') || name === 'autofocus' || name === 'style')"
            )
            == []
        )
        said = [entry for entry in chromium.get_log("browser") if "favicon" not in entry["message"]]
        assert [entry for entry in said if entry["level"] == "SEVERE"] == []


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


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_a_long_list_is_a_table_for_screen_readers_too(chromium, size):
    with served(Commands(count=LONG)) as address:
        see(chromium, size, "light")
        chromium.get(address)
        # The page renews itself only while nobody is on it, so no element changes under the test.
        chromium.find_element("id", "q").send_keys("")
        table = awaited(chromium, "table.long")
        row = table.find_elements("css selector", "tbody tr")[-1]

        assert (table.aria_role, row.aria_role) == ("table", "row")
        cells = [cell.aria_role for cell in row.find_elements("css selector", "th, td")]
        assert cells == ["rowheader", *["cell"] * 7]
        assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert serious(chromium) == []


def test_ten_thousand_bans(chromium):
    with served(Commands(count=10_000)) as address:
        chromium.get(address)
        assert len(chromium.find_elements("css selector", "#bans ~ table tbody tr")) == 10_000
