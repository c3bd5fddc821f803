"""The page as the web server serves it."""

from http import HTTPStatus

import pytest
import requests

from sidecar.web import application
from tests.web.served import TOKEN, Commands, get, served


@pytest.mark.parametrize(
    ("path", "content_type"), [("/style.css", "text/css"), ("/page.js", "text/javascript")]
)
def test_its_style_and_script_are_files(path, content_type):
    response, body = get(path=path)

    assert response.content_type.startswith(content_type)
    assert body


def test_it_is_served_beside_the_metrics():
    with served(Commands()) as address:
        answer = requests.get(f"{address}/?q=198", timeout=60)
        assert (answer.status_code, answer.headers["X-Content-Type-Options"]) == (HTTPStatus.OK, "nosniff")
        assert "198.51.0.0" in answer.text
        assert requests.get(f"{address}/metrics", timeout=60).status_code == HTTPStatus.OK


def test_the_page_is_made_so_often_a_minute_for_all_and_always_for_who_is_logged_in(monkeypatch):
    # So few that they come within a minute on any machine.
    monkeypatch.setattr(application, "PAGES_A_MINUTE", 3)
    commands = Commands()
    with served(commands, TOKEN) as address:
        for _ in range(3):
            assert requests.get(address, timeout=60).status_code == HTTPStatus.OK
        answer = requests.get(address, timeout=60)
        assert (answer.status_code, answer.headers["Retry-After"]) == (HTTPStatus.TOO_MANY_REQUESTS, "60")
        with requests.Session() as session:
            session.post(f"{address}/login", {"token": TOKEN}, headers={"Origin": address}, timeout=60)
            assert session.get(address, timeout=60).status_code == HTTPStatus.OK
