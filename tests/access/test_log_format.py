"""What a person pastes from a server's configuration becomes a parser of that server's lines."""

import pytest

from sidecar.access.formats import TextFormat
from sidecar.access.log_format import is_quick, pattern
from tests.support.effort import takes_less_than

COMBINED = (
    '203.0.113.7 - ann [24/Nov/2026:08:40:00 +0000] "POST /wp-login.php HTTP/1.1" 200 51 "-" "Mozilla/5.0"'
)


def first(text, line):
    (request, *_) = TextFormat("x", pattern(text)).requests(line)
    return request.client, request.method, request.path, request.status


@pytest.mark.parametrize(
    "text",
    [
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"',
        """log_format main '$remote_addr - $remote_user [$time_local] "$request" '
                      '$status $body_bytes_sent "$http_referer" '
                      '"$http_user_agent" "$http_x_forwarded_for"';""".replace(
            ' "$http_x_forwarded_for"', ""
        ),
        'log_format c escape=default "$remote_addr - $remote_user [$time_local] \\"$request\\" $status $body_bytes_sent";',
        '%h %l %u %t "%r" %>s %b "%{Referer}i" "%{User-Agent}i"',
        'LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined',
        '%a %l %u %t "%r" %s %b',
    ],
)
def test_combined_in_the_spellings_of_configurations(text):
    assert first(text, COMBINED) == ("203.0.113.7", "POST", "/wp-login.php", 200)


@pytest.mark.parametrize(
    ("text", "line", "request_"),
    [
        (
            "$status|$request_method|$request_uri|$remote_addr",
            "403|POST|/wp-login.php?a=b|203.0.113.7",
            ("203.0.113.7", "POST", "/wp-login.php", 403),
        ),
        (
            "[$time_local] $remote_addr $status $request_method $request_uri $http_user_agent",
            "[24/Nov/2026:08:40:00 +0000] 203.0.113.7 200 POST /wp-login.php Mozilla/5.0 (X11) 302",
            ("203.0.113.7", "POST", "/wp-login.php", 200),
        ),
        (
            'log_format j escape=json \'{"visitor":"$remote_addr","line":"$request","answer":$status,"who":"$http_user_agent"}\';',
            r'{"visitor":"203.0.113.7","line":"POST /wp-login.php HTTP/2.0","answer":200,"who":"\",\"visitor\":\"192.0.2.1"}',
            ("203.0.113.7", "POST", "/wp-login.php", 200),
        ),
        (
            '[$time_iso8601] ${remote_addr} "$request" $status',
            '[2026-11-24T08:40:00+00:00] 2001:db8::7 "GET / HTTP/2.0" 304',
            ("2001:db8::7", "GET", "/", 304),
        ),
        (
            '%{%Y-%m-%d}t %h "%m %U%q %H" %>s',
            '2026-11-24 203.0.113.7 "POST /wp-login.php?x HTTP/1.1" 200',
            ("203.0.113.7", "POST", "/wp-login.php", 200),
        ),
        (
            '"%{X-Forwarded-For}i" %h %u "%r" %>s %D',
            '"192.0.2.1, 192.0.2.2" 203.0.113.7 - "POST /wp-login.php HTTP/1.1" 200 5112',
            ("203.0.113.7", "POST", "/wp-login.php", 200),
        ),
    ],
)
def test_formats_of_ones_own(text, line, request_):
    assert first(text, line) == request_


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('"$request" $status', "has no client address; add $remote_addr (nginx) or %h (Apache)"),
        (
            "$remote_addr $request_uri $status",
            'has no method; add "$request" or $request_method (nginx), "%r" or %m (Apache)',
        ),
        ("%h %>s", 'has no request; add "$request" (nginx) or "%r" (Apache)'),
        ('$remote_addr "$request"', "has no status; add $status (nginx) or %>s (Apache)"),
    ],
)
def test_what_a_format_lacks_is_named(text, sentence):
    with pytest.raises(ValueError, match="has no") as error:
        pattern(text)

    assert str(error.value) == sentence


def test_a_format_in_which_an_address_could_be_forged_is_refused():
    with pytest.raises(ValueError, match="could be forged"):
        pattern('$http_x_forwarded_for $remote_addr - $remote_user [$time_local] "$request" $status')


def test_the_last_address_is_the_servers_where_the_request_stands_before_it():
    line = "200|POST|/wp-login.php?|192.0.2.1|203.0.113.7"

    assert first("$status|$request_method|$request_uri|$remote_addr", line)[0] == "203.0.113.7"


def test_a_header_before_the_address_forges_nothing():
    text = '"$http_host" $remote_addr "$request" $status'

    assert first(
        text, r'"\x22 192.0.2.1 \x22GET / HTTP/1.1\x22 302" 203.0.113.7 "POST /wp-login.php HTTP/1.1" 200'
    ) == (
        "203.0.113.7",
        "POST",
        "/wp-login.php",
        200,
    )


@pytest.mark.parametrize(
    "text",
    [
        '$remote_addr "$request" $status $scheme.$scheme.$scheme.$scheme x',
        '$remote_addr "$request" $status $http_a $http_b $http_c x"',
        '$host$host$host $remote_addr "$request" $status',
        '%h "%r" %>s %{a}t %{b}t %{c}t x"',
        '%h "%r" %>s %u %q',
    ],
)
def test_values_that_nothing_separates_are_slow(text):
    assert not is_quick(text)


@pytest.mark.parametrize(
    "text",
    [
        '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"',
        '%v:%p %h %l %u %t "%r" %>s %O "%{Referer}i" "%{User-Agent}i"',
        '$host $remote_addr [$time_local] "$request" $status',
        '$remote_addr "$request" $status $request_time [$proxy_upstream_name] $upstream_addr $upstream_status $req_id',
        '%h "%r" %>s [%{%Y-%m-%d}t] %b',
        '$remote_addr "$request" $status ' + "$scheme " * 40 + "x",
    ],
)
@pytest.mark.parametrize("rest", ["a " * 20_000, "." * 40_000, "[a] " * 10_000, '"' * 40_000, "- " * 20_000])
def test_no_line_takes_long_with_a_quick_format(text, rest):
    assert is_quick(text)
    match = pattern(text).match
    for line in (rest, f'203.0.113.7 - "GET / HTTP/1.1" 200 {rest}', f"203.0.113.7 - {rest}"):
        assert takes_less_than(0.2, lambda line=line: match(line))
