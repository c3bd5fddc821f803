"""That requests are those of the real curl is tested in tests/alerts/test_http_template.py."""

import pytest

from sidecar.config.curl_lines import request
from sidecar.config.shell_words import commands
from sidecar.core.actions import BodyPart, RequestTemplate


def of(line):
    (command,) = commands(line)
    return request(command.words)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("curl https://a.example/x", RequestTemplate("https://a.example/x", "GET")),
        ("curl -sSfLk -m 5 --retry 3 -o /dev/null a.example", RequestTemplate("http://a.example", "GET")),
        (
            "curl -sXPUT -d a=1 --url https://a.example",
            RequestTemplate("https://a.example", "PUT", (), (BodyPart("a=1"),)),
        ),
        (
            """curl -d 'payload={"text": "<ip>"}' https://a.example""",
            RequestTemplate("https://a.example", "POST", (), (BodyPart('{"text": "<ip>"}', "payload"),)),
        ),
        (
            "curl --data-urlencode a=b --data-urlencode =c --data-urlencode d https://a.example",
            RequestTemplate(
                "https://a.example", "POST", (),
                (BodyPart("b", "a", encoded=True), BodyPart("c", encoded=True), BodyPart("d", encoded=True)),
            ),
        ),
        (
            "curl -F a=b --form-string c=@d https://a.example",
            RequestTemplate("https://a.example", "POST", (), (BodyPart("b", "a"), BodyPart("@d", "c")), multipart=True),
        ),
        (
            "curl -G -d a=<ip> --data-urlencode 'b=x <ip>' 'https://a.example/?c=d'",
            RequestTemplate("https://a.example/?c=d&a=<ip>&b=x+<ip>", "GET"),
        ),
        (
            "curl -H 'A:  b' -u me:secret -A agent https://a.example/<ip>",
            RequestTemplate(
                "https://a.example/<ip>", "GET",
                (("A", "b"), ("Authorization", "Basic bWU6c2VjcmV0"), ("User-Agent", "agent")),
            ),
        ),
    ],
)  # fmt: skip
def test_a_line_is_a_request(line, found):
    assert of(line) == found


def test_json_has_its_headers_unless_they_are_given():
    assert dict(of("curl --json {} https://a.example").headers) == {
        "Content-Type": "application/json",
        "Accept": "application/json",
    }
    given = of("curl -H 'content-type: application/x-json' --json {} https://a.example").headers
    assert given == (("content-type", "application/x-json"), ("Accept", "application/json"))


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("curl -d a=b", "has no URL"),
        ("curl -d @- https://a.example", "a file or standard input cannot be sent"),
        ("curl --data-urlencode text@file https://a.example", "a file cannot be sent"),
        ("curl -F 'a=@file' https://a.example", "a file cannot be sent"),
        ("curl ftp://a.example", "only http and https"),
        ("curl file:///etc/passwd", "only http and https"),
        ("curl --proxy http://p https://a.example", "--proxy of curl is not known"),
        ("curl -: https://a.example", "-: of curl is not known"),
    ],
)
def test_what_cannot_be_sent_is_said(line, sentence):
    with pytest.raises(ValueError, match=sentence):
        of(line)
