"""The page says what the commands say, and nothing that comes from outside is markup in it."""

import re
from html.parser import HTMLParser
from http import HTTPStatus

import pytest

from sidecar.web.page import BAN_TITLES, LONG, MAX_ROWS
from tests.web.served import HOSTILE, Commands, get


class Text(HTMLParser):
    """The text, the tags and the attributes of a page."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags, self.attributes = "", [], []
        self.feed(page)

    def handle_data(self, data):
        self.text += data

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]


def test_it_has_the_state_the_logs_the_policy_the_bans_and_the_events():
    response, body = get()
    text = " ".join(Text(body).text.split())

    assert (response.status, response.content_type) == (HTTPStatus.OK, "text/html; charset=utf-8")
    for part in (
        "not healthy, 1 banned",
        "the firewall table [red]is gone[/red]",
        "Failures 31",
        "Bans 3",
        "Packets dropped 20",
        "combined",
        "7 of 8",
        "3 in 3h",
        "7 in 3h, for good",
        "ago",
        "80, 443",
        "2 wrong of 4 findings",
        "host: the clock is years behind. Set it.",
        "bans close the ports that lead to it: 80.",
        "for good",
        "dry run",
        "of all public IPv4 addresses: ignoreip (25 %)",
        "198.51.0.0",
        "a, “b”",
        "1,234",
        "203.0.113.7 unbanned",
        "wp-sidecar 0.1.0",
    ):
        assert part in text, part


def test_a_container_is_no_markup():
    _, body = get()
    found = Text(body)

    assert HOSTILE in found.text
    assert "img" not in found.tags
    assert not any(name.startswith("on") for name in found.attributes)


def test_nothing_is_loaded_from_elsewhere_and_no_script_or_style_is_inline():
    response, body = get()

    assert response.headers["Content-Security-Policy"].startswith(
        "default-src 'none'; style-src 'self'; script-src 'self'"
    )
    assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
    assert "style=" not in body
    assert "<script src=" in body
    assert body.count("<script") == 1


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("", 300),
        ("q=", 300),
        ("q=198.51.1.", 44),
        ("q=198.51.0.7", 1 + 10 + 0),
        ("q=WORDPRESS", 300),
        ("q=%22%3E%3Cscript%3E", 0),
        ("q=" + "9" * 10_000, 0),
        ("a&b;;&q", 300),
    ],
)
def test_a_search_finds_addresses_jails_and_containers(query, rows):
    _, body = get(Commands(count=300), query=query)

    assert body.count('<th scope="row" role="rowheader">198.51.') == rows
    assert "<script>" not in body


def test_the_order_is_chosen_and_an_unknown_one_is_the_first():
    commands = Commands(count=1)

    for query, chosen in (("order=newest", "newest"), ("order=x%22%3E", "ends"), ("", "ends")):
        _, body = get(commands, query=query)
        assert re.findall(r'<option value="(\w+)" selected>', body) == [chosen]
    assert commands.orders == ["newest", None, None]


def test_the_style_sheet_has_the_titles_of_the_bans():
    _, css = get(path="/style.css")
    for number, title in enumerate([*BAN_TITLES[1:], "lift"], 1):
        assert f'.bans td:nth-of-type({number}) {{ --title: "{title}"; }}' in css

    _, body = get(Commands(count=LONG))
    assert '<table class="long bans" role="table">' in body
    assert body.count('<td role="cell">') == LONG * len(BAN_TITLES[1:])


def test_a_long_list_says_how_many_more_there_are():
    _, body = get(Commands(count=MAX_ROWS + 5))

    assert body.count('<th scope="row" role="rowheader">198.51.') == MAX_ROWS
    assert "5 more" in body


def test_without_anything_each_part_says_so():
    status = {"streams": [], "health": {"live": True, "ready": True, "why": []}, "bans": 0}
    _, body = get(Commands(count=0, **status))
    text = Text(body).text

    for part in ("healthy, 0 banned", "None.", "No log is read.", "No address is banned."):
        assert part in text
