"""Only a person with the token changes anything, by a form of our own page; each change is a command's."""

import logging
import re
import socket
from http import HTTPStatus
from urllib.parse import urlsplit

import pytest
import requests

from tests.web.served import HOSTILE, TOKEN, Commands, served


class Browser:
    """A session of requests that sends what a browser does."""

    def __init__(self, address):
        self.address = address
        self.session = requests.Session()

    def get(self, path="/", **more):
        return self.session.get(self.address + path, timeout=30, **more)

    def send(self, path, headers=(), **form):
        sent = {"Origin": self.address} | dict(headers)
        return self.session.post(self.address + path, form, headers=sent, timeout=30)

    def log_in(self, token=TOKEN):
        return self.send("/login", token=token)

    @property
    def key(self):
        return re.search(r'name="key" value="([^"]+)"', self.get().text)[1]


@pytest.fixture
def commands():
    return Commands()


@pytest.fixture
def browser(commands):
    with served(commands, TOKEN) as address:
        yield Browser(address)


def test_without_a_token_the_page_has_no_form_and_takes_none(commands):
    with served(commands) as address:
        browser = Browser(address)
        assert 'method="post"' not in browser.get().text
        assert "/login" not in browser.get().text
        assert "set WP_SIDECAR_WEB_TOKEN" in browser.get("/login").text
        assert browser.log_in("").status_code == HTTPStatus.FORBIDDEN
        assert browser.send("/unban", ban="198.51.0.1 wordpress").status_code == HTTPStatus.FORBIDDEN
    assert commands.asked == []


def test_the_token_gives_the_forms_and_logging_out_takes_them(browser):
    assert 'method="post"' not in browser.get().text
    assert "/login" in browser.get().text
    page = browser.log_in()

    assert (page.status_code, urlsplit(page.url).path) == (HTTPStatus.OK, "/")
    assert page.text.count('method="post"') == 5
    assert TOKEN not in page.text
    (cookie,) = browser.session.cookies
    browser.send("/logout", key=browser.key)
    assert 'method="post"' not in browser.get().text
    # The session itself is over, and not only the browser's cookie.
    assert 'method="post"' not in browser.get(cookies={cookie.name: cookie.value}).text


def test_a_wrong_token_gives_nothing(browser):
    answer = browser.log_in("not-the-token-of-this-test")

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "this is not the token" in answer.text
    assert "Set-Cookie" not in answer.headers


def test_a_ban_is_made_as_the_command_does(browser, commands):
    browser.log_in()
    page = browser.send(
        "/ban", key=browser.key, address="203.0.113.9", jail="", reason="spam", **{"for": "1h"}
    )

    assert commands.asked == [
        {"do": "ban", "who": "203.0.113.9", "jail": "", "for": 3_600.0, "reason": "web: spam"}
    ]
    assert "203.0.113.9 is banned in manual." in page.text


def test_a_ban_is_lifted_as_the_command_does(browser, commands, caplog):
    browser.log_in()
    with caplog.at_level(logging.INFO, "sidecar.web"):
        page = browser.send("/unban", key=browser.key, ban="198.51.0.1 wordpress")

    assert commands.asked == [{"do": "unban", "who": "198.51.0.1", "jail": "wordpress", "web": True}]
    assert "198.51.0.1 is unbanned in wordpress." in page.text
    assert "web: 127.0.0.1 sent /unban: 198.51.0.1 is unbanned in wordpress" in caplog.messages


def test_an_address_is_allowed_and_taken_back_as_the_commands_do(browser, commands):
    browser.log_in()
    page = browser.send("/allow", key=browser.key, allow="203.0.113.9", comment="Ann", **{"allow-for": "8h"})
    assert "203.0.113.9 is allowed; 203.0.113.9 is unbanned in wordpress." in page.text
    assert "Take back 203.0.113.9" in page.text
    page = browser.send("/disallow", key=browser.key, allowed="203.0.113.9")
    assert "203.0.113.9 is allowed no more." in page.text
    assert "Take back" not in page.text

    assert commands.asked == [
        {"do": "allow", "who": "203.0.113.9", "for": 28_800.0, "comment": "web: Ann"},
        {"do": "disallow", "who": "203.0.113.9"},
    ]


def test_doctor_looks_again_for_whoever_has_the_token(browser, commands):
    browser.log_in()

    assert "doctor looks at everything." in browser.send("/doctor", key=browser.key).text
    assert "doctor has just looked: wait a minute." in browser.send("/doctor", key=browser.key).text
    assert commands.asked == []


@pytest.mark.parametrize(
    ("path", "form", "sentence"),
    [
        ("/ban", {"address": "10.0.0.1"}, "10.0.0.1 is never banned: it is a private address"),
        ("/ban", {"address": "203.0.113.9", "for": "soon"}, "expected a duration such as 600"),
        ("/ban", {}, "name an address or a network"),
        ("/ban", {"address": "9" * 1_000}, "name an address or a network"),
        ("/unban", {}, "name an address or a network"),
        ("/allow", {}, "name an address or a network"),
        ("/disallow", {}, "name an address or a network"),
        ("/unban", {"ban": "9" * 1_000}, "name an address or a network"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(browser, path, form, sentence):
    browser.log_in()

    assert sentence in browser.send(path, key=browser.key, **form).text


def test_no_form_is_about_every_address(browser, commands):
    browser.log_in()
    for ban in ("", " ", " wordpress", "\0"):
        browser.send("/unban", key=browser.key, ban=ban)

    assert all(each["who"] for each in commands.asked)


@pytest.mark.parametrize("path", ["/ban", "/unban", "/allow", "/disallow", "/doctor", "/logout"])
def test_a_get_changes_nothing(browser, commands, path):
    browser.log_in()
    answer = browser.get(f"{path}?address=203.0.113.9&ban=198.51.0.1+wordpress&key={browser.key}")

    assert (answer.status_code, answer.headers["Allow"]) == (HTTPStatus.METHOD_NOT_ALLOWED, "POST")
    assert commands.asked == []
    assert browser.key


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/ban", "/unban", "/allow", "/disallow", "/doctor", "/logout", "/login"])
def test_another_site_cannot_use_a_person_s_browser(browser, commands, path, headers):
    browser.log_in()
    form = {"key": browser.key, "address": "203.0.113.9", "ban": "198.51.0.1 wordpress", "token": TOKEN}
    answer = browser.send(path, headers, **form)

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert "this form came from another page" in answer.text
    assert commands.asked == []
    assert browser.key


@pytest.mark.parametrize("key", ["", "x", None])
def test_a_form_without_the_session_s_key_is_refused(browser, commands, key):
    browser.log_in()
    answer = browser.send("/unban", ban="198.51.0.1 wordpress", **({} if key is None else {"key": key}))

    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert commands.asked == []


def test_a_name_that_points_here_is_refused_before_anything_is_read(browser, commands):
    browser.log_in()
    answer = browser.send(
        "/unban", {"Host": "evil.example", "Origin": "http://evil.example"}, key=browser.key
    )

    assert answer.status_code == HTTPStatus.MISDIRECTED_REQUEST
    assert commands.asked == []


def test_the_cookie_is_for_tls_alone_where_the_browser_came_by_it(browser):
    host = urlsplit(browser.address).netloc
    answer = browser.session.post(
        f"{browser.address}/login", {"token": TOKEN},
        headers={"Origin": f"https://{host}"}, allow_redirects=False, timeout=30,
    )  # fmt: skip

    assert answer.status_code == HTTPStatus.SEE_OTHER
    assert answer.headers["Set-Cookie"].endswith("HttpOnly; SameSite=Strict; Secure")


def test_tries_are_limited_and_a_session_goes_on(browser):
    browser.log_in()
    for _ in range(5):
        browser.log_in("not-the-token-of-this-test")

    assert "too many wrong tokens" in browser.log_in().text
    assert browser.key


def test_what_others_wrote_is_text_in_the_answers_too(browser):
    browser.log_in()
    page = browser.send("/ban", key=browser.key, address="203.0.113.9", jail=HOSTILE)

    assert "is banned in &lt;img" in page.text
    assert "<img" not in page.text


@pytest.mark.parametrize("path", ["/", "/login", "/ban", "/style.css"])
def test_every_answer_forbids_frames_and_foreign_scripts(browser, path):
    headers = browser.get(path).headers

    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_long_form_is_not_read(browser):
    browser.log_in()

    assert browser.send("/ban", address="9" * 5_000).status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def hung_up(connection):
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


def test_forms_that_never_come_make_room(browser):
    """Clients that promise a form and send none are hung up on, and others are answered meanwhile."""
    where = urlsplit(browser.address)
    slow = [socket.create_connection((where.hostname, where.port)) for _ in range(40)]
    for each in slow:
        each.sendall(b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\ntoken=")
    try:
        assert browser.log_in().status_code == HTTPStatus.OK
        for each in slow:
            each.settimeout(60)
            assert hung_up(each)
    finally:
        for each in slow:
            each.close()
