from http import HTTPStatus

from sidecar.web.response import HEADERS, page_response, redirect


def test_every_response_has_the_headers_that_restrain_a_browser():
    for response in (page_response(b"x", HTTPStatus.FORBIDDEN, {"Allow": "POST"}), redirect("/", "a=1")):
        assert response.headers.items() >= HEADERS.items()


def test_a_redirect_leads_elsewhere_and_sets_a_cookie_only_if_there_is_one():
    assert redirect("/", "a=1").headers["Set-Cookie"] == "a=1"
    assert redirect("/").headers["Location"] == "/"
    assert "Set-Cookie" not in redirect("/").headers
