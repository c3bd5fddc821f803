"""What a person pastes from a server's configuration becomes a parser of that server's lines."""

import pytest

from sidecar.access.formats import declared
from sidecar.access.log_format import is_quick, other_patterns, pattern
from tests.support.effort import takes_less_than

COMBINED = (
    '203.0.113.7 - ann [24/Nov/2026:08:40:00 +0000] "POST /wp-login.php HTTP/1.1" 200 51 "-" "Mozilla/5.0"'
)


def first(text, line):
    (request, *_) = declared("x", text).requests(line)
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
        (
            '"$request" $status',
            "has no client address; add $remote_addr (nginx), %h (Apache) or %ci (HAProxy)",
        ),
        (
            "$remote_addr $request_uri $status",
            'has no method; add "$request" or $request_method (nginx), "%r" or %m (Apache)',
        ),
        ("%h %>s", 'has no request; add "$request" (nginx), "%r" (Apache) or %{+Q}r (HAProxy)'),
        ('$remote_addr "$request"', "has no status; add $status (nginx), %>s (Apache) or %ST (HAProxy)"),
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
        '$remote_addr "$request" $status $http_a,$http_b,$http_c x"',
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
        "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r",
    ],
)
@pytest.mark.parametrize(
    "rest",
    [
        "a " * 20_000,
        "." * 40_000,
        "[a] " * 10_000,
        '"' * 40_000,
        "- " * 20_000,
        " " * 40_000,
        '\\" 200 ' * 5_000,
    ],
)
def test_no_line_takes_long_with_a_quick_format(text, rest):
    assert is_quick(text)
    date = "[30/Nov/2026:06:33:20 +0000]"
    for match in [pattern(text).match, *(each.match for each in other_patterns(text))]:
        for line in (
            rest,
            f'203.0.113.7 - "GET / HTTP/1.1" 200 {rest}',
            f"203.0.113.7 - {rest}",
            f'203.0.113.7 - {rest} {date} "GET / HTTP/1.1" 200 5 "-" "x"',
            f'{rest} 203.0.113.7 - - {date} "GET / HTTP/1.1" 200 5 "-" "{rest}"',
            f'203.0.113.7:5 {date[:-7]}.123] a b/c 0/0/0/1/1 200 55 {rest} ---- 1/1/1/1/0 0/0 {{x}} "GET / HTTP/1.1"',
        ):
            assert takes_less_than(0.2, lambda line=line, match=match: match(line))


def test_texts_with_nothing_but_blanks_between_them_are_one():
    text = '$remote_addr [$time_local] "$request" $status $http_a  $http_user_agent $http_b'
    line = '203.0.113.7 [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 a b c'

    assert is_quick(text)
    assert first(text, line) == GUESS


GUESS = ("203.0.113.7", "POST", "/wp-login.php", 200)
SOZU = "2026-11-30T06:33:20.123Z 7 WRK-00 INFO access [a] - 203.0.113.7:40526 -> 10.0.0.5:80 POST /wp-login.php -> 200"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("log_format t '$remote_addr\\t$request_method\\t$request_uri\\t$status';", "203.0.113.7\tPOST\t/wp-login.php\t200"),
        ('accesslog.format = "%h %V %u %t \\"%r\\" %>s %b"', f"203.0.113.7 blog.example.com - {COMBINED[18:]}"),
        ("varnishncsa -F '%h %l %u %t \"%r\" %s'", COMBINED),
        ('CustomLog /dev/stdout "%h %l %u %t \\"%r\\" %>s %b" env=!quiet', COMBINED),
        ("$time_iso8601 $status $remote_addr $request_method $host$request_uri", "2026-11-30T06:33:20Z 200 203.0.113.7 POST blog.example.com/wp-login.php"),
        ("$time_iso8601 $word $word INFO access [$word] - $remote_addr:$remote_port -> $word $request_method $request_uri -> $status", SOZU),
    ],
)  # fmt: skip
def test_formats_of_other_servers(text, line):
    assert first(text, line) == GUESS


@pytest.mark.parametrize("client", ["203.0.113.7", "2001:db8::7"])
@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            'log-format "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"',
            'CLIENT:40526 [30/Nov/2026:06:33:20.123] www~ wp/<NOSRV> 0/0/1/-1/+5 200 512 - - ---- 1/1/0/0/+3 0/0 "POST /wp-login.php HTTP/1.1"',
        ),
        (
            'log-format "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r"',
            'CLIENT:40526 [30/Nov/2026:06:33:20.123] www~ wp/1 0/0/1/5/5 200 512 - - ---- 1/1/0/0/0 0/0 {b|192.0.2.1} "POST /wp-login.php HTTP/1.1"',
        ),
        ("log-format %ci\\ [%T]\\ %ST\\ %HM\\ %HU\\ %HV", "CLIENT [30/Nov/2026:06:33:20 +0000] 200 POST /wp-login.php?x=\\ HTTP/1.1"),
        (
            'log-format %{+Q}o\\ %{-Q}ci\\ -\\ -\\ [%T]\\ %r\\ %ST\\ %B\\ \\"\\"\\ %ft',
            'CLIENT - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php?x=\\ HTTP/1.1" 200 512 "" "www"',
        ),
        (
            'log-format "%[src] %[date,http_date]x %[status] %[method] %[capture.req.hdr(0)] %{+Q}[capture.req.uri]"',
            'CLIENT Monx 200 POST x#22 302 y "/wp-login.php"',
        ),
    ],
)  # fmt: skip
def test_haproxys_formats(text, line, client):
    assert first(text, line.replace("CLIENT", client)) == (client, *GUESS[1:])


def test_a_servers_own_format_is_quick_in_a_label():
    assert is_quick(
        "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %{+Q}r"
    )
    assert is_quick("$remote_addr $status $request_method $host$request_uri")


def test_a_backslash_at_the_end_of_a_header_hides_nothing_where_the_server_does_not_escape_it():
    """H2O and Varnish."""
    line = COMBINED.replace('"-"', '"\\"').replace("ann", "a\\")

    assert first('%h %l %u %t "%r" %s %b "%{Referer}i" "%{User-agent}i"', line) == GUESS


def test_a_header_alone_names_the_client_that_the_proxy_appended():
    text = '"$proxy_add_x_forwarded_for" [$time_local] "$request" $status'
    rest = '[24/Nov/2026:08:40:00 +0000] "POST /wp-login.php HTTP/1.1" 200'

    assert first(text, f'"203.0.113.7" {rest}') == GUESS
    assert first(text, f'"192.0.2.1, x\\x22 192.0.2.2, 203.0.113.7" {rest}') == GUESS
    assert declared("x", text).requests(f'"192.0.2.1, unknown" {rest}') == ()


@pytest.mark.parametrize(
    "text",
    [
        '[%START_TIME%] "%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL%" %RESPONSE_CODE% "%REQ(X-FORWARDED-FOR)%"',
        "%DOWNSTREAM_REMOTE_ADDRESS% %RESPONSE_CODE%",
    ],
)
def test_envoys_text_can_be_forged_and_its_json_cannot(text):
    with pytest.raises(ValueError, match="have it write JSON instead"):
        pattern(text)


def test_what_is_in_the_way_is_named():
    with pytest.raises(ValueError, match=r"\(%\{X-Forwarded-For\}i and %u\)"):
        pattern('%{X-Forwarded-For}i %l %u %t "%r" %s')


def test_a_quote_hides_nothing_where_the_format_has_none():
    """Zoraxy."""
    text = "[$word $word] [client: $remote_addr] [useragent: $http_user_agent] $request_method $request_uri $status"
    line = '[2026-11-30 06:33:20.123456] [client: 203.0.113.7] [useragent: " \\] GET / 302] POST /wp-login.php 200'

    assert first(text, line) == GUESS


@pytest.mark.parametrize(
    ("text", "line"),
    [
        # What stands behind the request, in the agent.
        ("$remote_addr | $request | $status | $http_user_agent", "203.0.113.7 | REQUEST | 200 | x | 302 | y"),
        ("$remote_addr\\t$request_method\\t$uri\\t$status\\t$http_user_agent", "203.0.113.7\tPOST\t/wp-login.php\t200\tx\t-\ty"),
        # The same in the target, where a server takes blanks in it.
        ("$remote_addr | $request | $status | $http_user_agent", "203.0.113.7 | POST /wp-login.php?a | 302 | b HTTP/1.1 | 200 | x"),
        # Quotes as they came.
        ('$remote_addr "$request" $status', '203.0.113.7 "POST /wp-login.php?"a":"b" HTTP/1.1" 200'),
        ("$remote_addr $request_method $host$request_uri $status [$http_user_agent]", '203.0.113.7 POST x?/wp-login.php 200 ["] GET y/ 302 []'),
    ],
)  # fmt: skip
def test_whatever_stands_in_other_fields_a_guess_is_one_way_to_read_the_line(text, line):
    requests = declared("x", text).requests(line.replace("REQUEST", "POST /wp-login.php HTTP/1.1"))

    assert {each.client for each in requests} == {"203.0.113.7"}
    assert GUESS in {(each.client, each.method, each.path, each.status) for each in requests}
