"""Each known format reads its lines; a client's text forges neither address nor status."""

import pytest

from sidecar.access.detect import AccessLog
from sidecar.access.formats import TEXT_FORMATS, unescaped

BY_NAME = {each.name: each for each in TEXT_FORMATS}
LINES = {
    "Nginx Proxy Manager": '[30/Nov/2026:06:33:20 +0000] - 200 200 - POST https blog.example.com "/wp-login.php" [Client 203.0.113.7] [Length 5100] [Gzip -] [Sent-to wordpress] "Mozilla/5.0" "-"',
    "Nginx Proxy Manager (standard)": '[30/Nov/2026:06:33:20 +0000] 200 - POST https blog.example.com "/wp-login.php" [Client 203.0.113.7] [Length 5100] [Gzip -] "Mozilla/5.0" "-"',
    "HAProxy httplog": '203.0.113.7:28974 [30/Nov/2026:06:33:20.000] www-https~ wordpress/wp1 0/0/1/231/110 200 5100 - - ---- 3/3/0/0/0 0/0 "POST /wp-login.php HTTP/1.1"',
    "Traefik CLF": '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100 "-" "Mozilla/5.0" 12 "blog@docker" "http://172.18.0.3:80" 110ms',
    "rt_cache": '203.0.113.7 0.112 MISS [30/Nov/2026:06:33:20 +0000] blog.example.com "POST /wp-login.php HTTP/2.0" 200 5112 "-" "Mozilla/5.0"',
    "ingress-nginx": '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100 "-" "Mozilla/5.0" 411 0.112 [blog-wordpress-80] [] 10.0.0.7:80 5100 0.112 200 0123456789abcdef',
    "vhost_combined": 'blog.example.com:443 203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100 "-" "Mozilla/5.0"',
    "combined": '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100 "-" "Mozilla/5.0"',
    "common": '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100',
    "like combined": '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000]  0.012 https "POST /wp-login.php HTTP/1.1" 200 5100 "-" "Mozilla/5.0"',
    "like vhost_combined": 'blog.example.com 203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100 "-" "Mozilla/5.0"',
}


@pytest.mark.parametrize("name", LINES)
def test_each_format_reads_its_own_line(name):
    (request,) = BY_NAME[name].requests(LINES[name])

    assert (request.client, request.method, request.path, request.status, request.time) == (
        "203.0.113.7",
        "POST",
        "/wp-login.php",
        200,
        1_796_020_400.0,
    )


@pytest.mark.parametrize("name", [name for name in LINES if name not in ("HAProxy httplog", "common")])
def test_the_user_agent_is_found_where_a_format_has_it(name):
    (request,) = BY_NAME[name].requests(LINES[name])

    assert request.user_agent == "Mozilla/5.0"


@pytest.mark.parametrize(
    "name", ["ingress-nginx", "vhost_combined", "combined", "common", "like combined", "like vhost_combined"]
)
def test_the_user_name_of_basic_auth_is_found_where_a_format_has_it(name):
    (named,) = BY_NAME[name].requests(LINES[name].replace(" - - [", " - editor [", 1))
    (unnamed,) = BY_NAME[name].requests(LINES[name])

    assert (named.user, unnamed.user) == ("editor", "")


def test_of_two_addresses_the_one_that_the_proxy_appended_is_the_client():
    line = LINES["combined"].replace("203.0.113.7", "192.0.2.1, 203.0.113.7")
    (request,) = BY_NAME["X-Forwarded-For first"].requests(line)

    assert (request.client, request.forwarded) == ("203.0.113.7", "192.0.2.1")


@pytest.mark.parametrize(
    ("was", "forged"),
    [
        # A user name of Basic auth, as nginx and Apache write it.
        (" - - [", r" - x [01/Jan/2020:00:00:00 +0000] \x22GET / HTTP/1.1\x22 302 - ["),
        (" - - [", r" - x [01/Jan/2020:00:00:00 +0000] \"GET / HTTP/1.1\" 302 - ["),
        # A user agent and a referrer.
        ('"Mozilla/5.0"', r'"\x22 \x22GET / HTTP/1.1\x22 302"'),
        ('"-"', r'"\" 302 \"GET / HTTP/1.1\" 302 1"'),
        # The request itself.
        ("/wp-login.php", r"/wp-login.php?\x22 302 1"),
    ],
)
def test_escaped_text_of_a_client_is_no_field(was, forged):
    line = LINES["combined"].replace(was, forged, 1)
    (request,) = BY_NAME["combined"].requests(line)

    assert (request.client, request.method, request.path, request.status) == (
        "203.0.113.7",
        "POST",
        "/wp-login.php",
        200,
    )
    assert request.time == 1_796_020_400.0


def test_a_line_with_raw_quotes_is_read_in_each_way():
    r"""Traefik's CLF escapes nothing: a user name may hold a whole request."""
    user = 'x [01/Jan/2020:00:00:00 +0000] "GET / HTTP/1.1" 302 1 "-" "-'
    line = LINES["Traefik CLF"].replace(" - - [", f" - {user} [")
    readings = {
        (request.client, request.method, request.path, request.status)
        for name in ("Traefik CLF", "combined", "like combined")
        for request in BY_NAME[name].requests(line)
    }

    assert ("203.0.113.7", "POST", "/wp-login.php", 200) in readings
    assert {client for client, *_ in readings} == {"203.0.113.7"}


@pytest.mark.parametrize(
    ("request_", "read"),
    [
        ("POST  /wp-login.php  HTTP/1.1", ("POST", "/wp-login.php")),
        (r"POST\t/wp-login.php HTTP/1.1", ("POST", "/wp-login.php")),
        ("POST /wp-login.php", ("POST", "/wp-login.php")),
        ("POST /wp-login.php HTTP/0.9", ("POST", "/wp-login.php")),
        ("POST http://x/wp-login.php HTTP/1.1", ("POST", "/wp-login.php")),
        ("POST /a b/../wp-login.php HTTP/1.1", ("POST", "/wp-login.php")),
        (r"\x16\x03\x01", ("", "/\x16\x03\x01")),
        ("-", ("", "/-")),
        ("", ("", "/")),
    ],
)
def test_request_lines_as_clients_send_them(request_, read):
    line = LINES["combined"].replace("POST /wp-login.php HTTP/1.1", request_)
    (request,) = BY_NAME["combined"].requests(line)

    assert (request.method, request.path) == read


@pytest.mark.parametrize(
    "line",
    [
        "",
        "PHP Warning: something in /var/www",
        'unix: - - [30/Nov/2026:06:33:20 +0000] "GET / HTTP/1.1" 200 5 "-" "-"',
        '- - - [30/Nov/2026:06:33:20 +0000] "GET / HTTP/1.1" 200 5 "-" "-"',
        '127.0.0.1 -  30/Nov/2026:06:33:20 +0000 "GET /index.php',
    ],
)
def test_what_is_no_record_is_none(line):
    assert [name for name, each in BY_NAME.items() if each.requests(line)] == []


def test_servers_escapes():
    assert unescaped(r"a\x22b\"c\\d\n") == 'a"b"c\\d\n'


def test_a_longer_number_is_no_status():
    line = '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "GET /wp-json/ HTTP/1.1" 4012 589 "-" "x"'

    assert [name for name, each in BY_NAME.items() if each.requests(line)] == []


@pytest.mark.parametrize(
    "line",
    [
        # A user name in a server that does not escape quotes, and a Host behind the date.
        '203.0.113.7 - x [01/Jan/2020:00:00:00 +0000] "GET / HTTP/1.1" 302 5 [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5 "-" "x"',
        '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] [01/Jan/2020:00:00:00+0000] "POST /wp-login.php HTTP/1.1" 200 5 "-" "x"',
    ],
)
def test_a_date_that_a_client_wrote_makes_no_failure_look_older(line):
    log = AccessLog()
    log.requests(LINES["combined"])

    assert {(each.client, each.time) for each in log.requests(line)} == {("203.0.113.7", 1_796_020_400.0)}
