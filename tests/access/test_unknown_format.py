"""A line of no known format is read by what its fields are."""

import pytest

from sidecar.access.unknown_format import UnknownFormat

REQUEST = '"POST /wp-login.php HTTP/1.1"'


def read(line, place=None):
    return [
        (each.client, each.method, each.path, each.status)
        for each in UnknownFormat(place=place).requests(line)
    ]


FOUND = [("203.0.113.7", "POST", "/wp-login.php", 200)]


@pytest.mark.parametrize(
    "line",
    [
        f"203.0.113.7 {REQUEST} 200",
        f'"203.0.113.7","{REQUEST[1:]},"200"',
        f"2026-11-30T06:33:20Z|0.012|203.0.113.7|{REQUEST}|200",
        f"blog.example.com:443 - 203.0.113.7 - ann {REQUEST} 0.012 HIT 200 5112",
        f"[203.0.113.7] [blog.example.com] {REQUEST} [200] 200",
        '203.0.113.7 "POST" "/wp-login.php" "HTTP/1.1" "200"',
        f"203.0.113.7 [30/Nov/2026:06:33:20 +0000] 200 0.110 {REQUEST}",
    ],
)
def test_fields_in_any_order(line):
    assert read(line) == FOUND


@pytest.mark.parametrize(
    "line",
    [
        "",
        "PHP Warning: something in /var/www",
        f"{REQUEST} 200 203.0.113.7",
        f'"x" "y" 203.0.113.7 {REQUEST} 200',
        f"a b 203.0.113.7 {REQUEST} 200",
        f"[client x] 203.0.113.7 {REQUEST} 200",
        f"1 {REQUEST} 200",
        "203.0.113.7 GET",
        f"203.0.113.7 {REQUEST} ok",
        f'"192.0.2.1" - 203.0.113.7 {REQUEST} 200',
        "203.0.113.7 POST /wp-login.php HTTP/1.1 200",
        # php-fpm, of a request that the web server's log has as well.
        '203.0.113.7 -  30/Nov/2026:06:33:20 +0000 "POST /wp-login.php" 200',
        # The rest of a line that was cut in a client's text.
        '192.0.2.1 x POST /wp-login.php HTTP/1.1 200 " 200 5112 "POST /wp-login.php HTTP/1.1" "200"',
        f"192.0.2.1 203.0.113.7 {REQUEST} 200",
        f"192.0.2.1, 203.0.113.7 {REQUEST} 200",
    ],
)
def test_what_is_uncertain_is_no_request(line):
    assert read(line) == []


def test_in_a_known_log_the_client_stands_in_its_place():
    first = UnknownFormat().of_log(f"0.012 203.0.113.7 blog.example.com {REQUEST} 200")
    second = UnknownFormat().of_log(f"blog.example.com 203.0.113.7 {REQUEST} 200")

    assert (first.place, second.place, UnknownFormat().of_log("x").place) == (1, 1, None)
    assert read(f"0.012 203.0.113.7 192.0.2.1 {REQUEST} 200", 1) == FOUND
    assert read(f"192.0.2.1 203.0.113.7 {REQUEST} 200", 1) == FOUND
    # What stands before the client may be a header with a blank in it.
    assert read(f"x 192.0.2.1 203.0.113.7 {REQUEST} 200", 1) == []


def test_a_text_of_the_client_that_looks_like_a_request_only_adds():
    line = f'203.0.113.7 "GET / HTTP/1.1" {REQUEST} 200 "GET /x HTTP/1.1" 302'

    assert FOUND[0] in read(line)
    assert {each[0] for each in read(line)} == {"203.0.113.7"}


def test_a_user_name_is_no_status():
    assert read(f"203.0.113.7 - 302 [30/Nov/2026:06:33:20 +0000] 200 {REQUEST}") == FOUND


def test_the_latest_date_counts():
    (request,) = UnknownFormat().requests(
        f"203.0.113.7 [01/Jan/2020:00:00:00 +0000] {REQUEST} 200 [30/Nov/2026:06:33:20 +0000]"
    )

    assert request.time == 1_796_020_400.0


def test_a_line_that_was_cut_within_the_request_has_no_status_to_excuse_it():
    long = f'203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php?{"a" * 1000}'

    assert read(long) == [("203.0.113.7", "POST", "/wp-login.php", 0)]
    assert read(long[:200]) == []


def test_a_size_behind_the_request_is_no_status():
    """Apache's `ssl_request_log` beside the access log."""
    for number in ("302", "-"):
        line = f'[30/Nov/2026:06:33:20 +0000] 203.0.113.7 TLSv1.3 TLS_AES_256_GCM_SHA384 "POST /wp-login.php HTTP/1.1" {number}'
        assert UnknownFormat().requests(line) == ()
