"""Only a form that a page of ours made is read."""

from http import HTTPStatus

import pytest

from sidecar.runtime.http_server import HttpRequest
from sidecar.web.forms import FORM, BadForm, came_over_tls, is_from_our_page, read

HOST = "sidecar.example.net:9734"
OURS = {"Host": HOST, "Origin": f"http://{HOST}", "Content-Type": FORM}


def sent(body=b"a=1", **headers):
    return HttpRequest("POST", "/ban", OURS | headers, body)


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({"Origin": f"http://{HOST}"}, True),
        ({"Origin": f"https://{HOST.upper()}"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        # A proxy may change `Host`; then the browser's word is enough.
        ({"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy.example.net"}, True),
        ({}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": "http://sidecar.example.net"}, False),
        ({"Origin": f"http://{HOST}.evil.example"}, False),
        ({"Origin": f"ftp://{HOST}"}, False),
        ({"Sec-Fetch-Site": "same-site", "Origin": f"http://{HOST}"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": f"http://{HOST}"}, False),
        ({"Sec-Fetch-Site": "none", "Origin": f"http://{HOST}"}, False),
    ],
)
def test_a_browser_says_which_page_made_a_form(headers, is_ours):
    assert is_from_our_page({"Host": HOST} | headers) is is_ours


def test_without_a_host_no_page_is_ours():
    assert not is_from_our_page({"Origin": "http://None"})
    assert not is_from_our_page({"Origin": "http://", "Host": ""})


def test_the_fields_are_read():
    assert read(sent(b"address=+203.0.113.7+&for=&reason=%C3%BC%26")) == {
        "address": "203.0.113.7",
        "for": "",
        "reason": "ü&",
    }


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (sent(Origin="https://evil.example"), HTTPStatus.FORBIDDEN),
        (sent(None), HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        (sent(**{"Content-Type": "text/plain"}), HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        (sent(**{"Content-Type": "application/json"}), HTTPStatus.UNSUPPORTED_MEDIA_TYPE),
        (sent(b"a=1&" * 50), HTTPStatus.BAD_REQUEST),
        (sent(b"\xff"), HTTPStatus.BAD_REQUEST),
    ],
)
def test_what_is_no_form_of_ours_is_refused(request_, status):
    with pytest.raises(BadForm) as raised:
        read(request_)

    assert raised.value.status == status


def test_tls_is_what_the_browser_used():
    assert came_over_tls({"Origin": "https://sidecar.example.net"})
    assert not came_over_tls({"Origin": "http://sidecar.example.net"})
    assert not came_over_tls({})
