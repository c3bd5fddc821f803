"""Lines that real servers wrote of hostile requests: caddy, haproxy, nginx, traefik and varnish, in front of a backend
that received a password with each."""

import pytest

from sidecar.access.detect import VOTES, AccessLog

# Lines of readers, which show the log's format, and one of a guess that 203.0.113.9 made.
LINES = {
    "Caddy passes # on as part of the path": (
        '{{"ts":1796085996.75,"logger":"http.log.access.all","request":{{"remote_ip":"{}","method":"GET","uri":"/"}},"status":200}}',
        '{"ts":1796085996.91,"logger":"http.log.access.all","request":{"remote_ip":"203.0.113.9","method":"POST","uri":"/#/../wp-login.php?x=\\""},"status":200}',
    ),
    "Varnish takes http/1.1": (
        '{} - - [01/Dec/2026:00:46:24 +0000] "GET http://blog.example.com/ HTTP/1.1" 200 18 "-" "Mozilla/5.0"',
        r'203.0.113.9 - - [01/Dec/2026:00:46:25 +0000] "POST http://localhost/\"%20302/../wp-login.php http/1.1" 200 18 "-" "x"',
    ),
    "nginx takes HTTP/1.10": (
        '2026-12-01T00:45:42+00:00 | {} | blog.example.com | "GET / HTTP/1.1" | 200 | 18 | 0.021 | "-" | "Mozilla/5.0"',
        '2026-12-01T00:45:43+00:00 | 203.0.113.9 | blog.example.com | "POST /wp-login.php?x=] HTTP/1.10" | 200 | 18 | 0.021 | "-" | "x"',
    ),
    "Traefik takes quotes and blanks in a target over HTTP/2": (
        '{} - - [01/Dec/2026:00:39:57 +0000] "GET / HTTP/1.1" 200 18 "-" "-" 36 "wp@file" "http://127.0.0.1:9000" 9ms',
        '203.0.113.9 - - [01/Dec/2026:00:39:58 +0000] "POST /wp-login.php?x=" HTTP/1.1" 302 1 HTTP/2.0" 200 18 "-" "-" 37 "wp@file" "http://127.0.0.1:9000" 9ms',
    ),
    "the same, with all that stands behind a status": (
        '{} - - [01/Dec/2026:00:39:57 +0000] "GET / HTTP/1.1" 200 18 "-" "-" 36 "wp@file" "http://127.0.0.1:9000" 9ms',
        '203.0.113.9 - - [01/Dec/2026:00:39:58 +0000] "POST /wp-login.php?x=" 302 1 "-" "-" 1 "-" "-" 1ms HTTP/2.0" 200 18 "-" "-" 37 "wp@file" "http://127.0.0.1:9000" 9ms',
    ),
    "HAProxy escapes no backslash": (
        '<134>1 2026-12-01T00:59:28.53+00:00 - haproxy 2774 - - {{"time":"01/Dec/2026:00:59:28.523","client":"{}","method":"GET","uri":"/","status":200,"ua":"-"}}',
        r'<134>1 2026-12-01T00:59:28.56+00:00 - haproxy 2774 - - {"time":"01/Dec/2026:00:59:28.547","client":"203.0.113.9","method":"POST","uri":"/wp-login.php?x=#22\","status":200,"ua":"-"}',
    ),
    "Varnish takes a host with blanks": (
        'blog.example.com {} - - [01/Dec/2026:00:42:22 +0000] "GET http://blog.example.com/ HTTP/1.1" 200 18 "-" "Mozilla/5.0"',
        'a b 203.0.113.9 - bob [01/Dec/2026:00:42:23 +0000] "POST http://a b/wp-login.php HTTP/1.1" 200 18 "-" "x"',
    ),
    "Varnish with X-Forwarded-For first, escaped": (
        '{} - - [01/Dec/2026:00:42:22 +0000] "GET http://blog.example.com/ HTTP/1.1" 200 18 "-" "Mozilla/5.0"',
        r'\",\"status\":302,\"x\":\", 203.0.113.9 - - [01/Dec/2026:00:42:23 +0000] "POST http://blog.example.com/wp-login.php HTTP/2.0" 200 18 "-" "x"',
    ),
}


@pytest.mark.parametrize("name", LINES)
def test_a_guess_is_its_clients(name):
    usual, guess = LINES[name]
    log = AccessLog()
    for number in range(25):
        assert log.requests(usual.format(f"198.51.100.{number + 1}"))

    requests = log.requests(guess)

    assert {each.client for each in requests} == {"203.0.113.9"}
    assert ("POST", "/wp-login.php", 200) in {(each.method, each.path, each.status) for each in requests}


def test_the_client_stands_behind_all_addresses_of_a_header():
    """lighttpd with X-Forwarded-For before the client. The first lines may be of another format."""
    log = AccessLog()
    rest = 'blog.example.com - [01/Dec/2026:00:42:22 +0000] "POST /wp-login.php HTTP/1.1" 200 18 "-" "x"'
    for number in range(25):
        log.requests(f"10.0.0.5 198.51.100.{number} {rest}")

    requests = log.requests(f"192.0.2.1, 192.0.2.2 203.0.113.9 {rest}")

    assert [each.client for each in requests] == ["203.0.113.9"]


@pytest.mark.parametrize(
    "begin",
    ["a b 192.0.2.1 203.0.113.9 - -", "a b 203.0.113.9 - 192.0.2.1", "192.0.2.1 192.0.2.2 203.0.113.9 - -"],
)
def test_a_host_with_blanks_beside_a_second_address_names_nobody(begin):
    """The second may be in the host, or in the user name."""
    log = AccessLog()
    rest = '[01/Dec/2026:00:42:22 +0000] "POST http://a b/wp-login.php HTTP/1.1" 200 18 "-" "x"'
    for number in range(25):
        log.requests(f"blog.example.com 198.51.100.{number} - - {rest}")

    assert log.requests(f"{begin} {rest}") == ()


def test_a_forged_line_in_a_header_names_nobody():
    """Varnish with X-Forwarded-For first, before anybody sent two addresses."""
    log = AccessLog()
    for number in range(25):
        log.requests(f'198.51.100.{number} - - [01/Dec/2026:00:42:22 +0000] "GET / HTTP/1.1" 200 18 "-" "x"')
    line = r'x\" 192.0.2.1 - - [01/Jan/2020:00:00:00 +0000] \"POST /wp-login.php HTTP/1.1\" 200 5, 203.0.113.9 - - [01/Dec/2026:00:42:23 +0000] "POST http://a/wp-login.php HTTP/2.0" 200 18 "-" "x"'

    assert {each.client for each in log.requests(line)} <= {"203.0.113.9"}


def test_requests_without_a_host_do_not_teach_a_log_that_lines_begin_with_the_client():
    """nginx's `$host` is empty where it could not read a request."""
    log = AccessLog()
    rest = '[01/Dec/2026:00:45:42 +0000] "POST /wp-login.php HTTP/1.1" {} 18 "-" "x" 0.010 0.010'
    for number in range(250):
        log.requests(f"blog.example.com 198.51.100.7 - - {rest.format(302)}")
        assert [each.client for each in log.requests(f" 203.0.113.{number} - - {rest.format(400)}")] == [
            f"203.0.113.{number}"
        ]
    guesses = [log.requests(f"{host} 203.0.113.9 - - {rest.format(200)}") for host in ("192.0.2.1", "[::1]")]

    assert [{each.client for each in guess} for guess in guesses] == [{"203.0.113.9"}] * 2


def test_scattered_lines_of_another_format_outvote_nothing():
    log = AccessLog()
    combined = '198.51.100.7 - - [01/Dec/2026:00:45:42 +0000] "GET / HTTP/1.1" 200 18 "-" "x"'
    for _ in range(3 * VOTES):
        log.requests(combined)
        log.requests('{"remote_addr":"203.0.113.9","request":"GET / HTTP/1.1","status":200}')
        log.requests(combined)

    assert log.format == "combined"


@pytest.mark.parametrize("agent", ['GET / HTTP/1.1" 302 0', 'x" "POST /wp-login.php HTTP/1.1" 200 "'])
def test_an_address_behind_the_request_is_nobodys(agent):
    """Envoy's text. The address is a header, and quotes in headers are as they came."""
    line = f'[2026-12-01T05:04:57.059Z] "POST /wp-login.php HTTP/1.1" 200 - 21 18 57 57 "192.0.2.1" "{agent}" "ada6" "a" "127.0.0.1:9000"'

    assert AccessLog().requests(line) == ()
