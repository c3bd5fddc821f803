import pytest

from sidecar.access.detect import CHANGED_AFTER, AccessLog
from sidecar.access.formats import known
from sidecar.access.request import MAX_READINGS
from tests.support.effort import takes_less_than

COMBINED = (
    '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5100 "-" "Mozilla/5.0"'
)
VHOST = f"blog.example.com {COMBINED}"
CADDY = '{"ts":1796020400.0,"logger":"http.log.access","request":{"remote_ip":"203.0.113.7","method":"POST","uri":"/wp-login.php"},"status":200}'


def read(log, *lines):
    return [request.client for line in lines for request in log.requests(line)]


def test_the_first_line_names_the_format():
    log = AccessLog()

    assert (log.format, read(log, COMBINED), log.format) == ("", ["203.0.113.7"], "combined")


def test_lines_of_others_are_read_and_the_majority_names_the_format():
    log = AccessLog()
    read(log, CADDY, COMBINED, COMBINED)

    assert (log.format, log.read, log.understood) == ("combined", 3, 3)


def test_a_running_log_may_change_its_format():
    log = AccessLog()
    read(log, *[COMBINED] * 300)
    assert log.format == "combined"
    read(log, *[CADDY] * CHANGED_AFTER)

    assert log.format == "Caddy JSON"


def test_a_host_header_that_is_an_address_names_nobody():
    """Where the first field is known to be the Host header, an address in it is a host too."""
    log = AccessLog()
    read(log, *[VHOST] * 3)

    assert read(log, VHOST.replace("blog.example.com", "192.0.2.1")) == ["203.0.113.7"]


def test_what_is_not_understood_is_kept_as_an_example():
    log = AccessLog()
    read(log, COMBINED, "PHP Warning: one", "two", "three", "four " + "x" * 1000)

    assert (log.read, log.understood) == (5, 1)
    assert [example[:5] for example in log.examples] == ["two", "three", "four "]
    assert max(map(len, log.examples)) == 300


def test_a_declared_format_is_the_only_one():
    log = AccessLog(known("mine", "$status $remote_addr $request_method $request_uri"))

    assert read(log, "200 203.0.113.7 POST /wp-login.php", COMBINED) == ["203.0.113.7"]
    assert (log.format, log.understood) == ("mine", 1)


def test_a_declared_format_may_begin_like_a_wrapper():
    log = AccessLog(known("mine", "$remote_addr | $request_method $request_uri $status"))

    assert read(log, "203.0.113.7 | POST /wp-login.php 200") == ["203.0.113.7"]


# An unquoted header before or beside the peer, as people add it; the peer is behind it.
HEADER_AND_PEER = (
    '{} 203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "x"',
    '[{}] 203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "x"',
    '{} - 203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "x"',
)


@pytest.mark.parametrize("header", ["192.0.2.1 x", "192.0.2.1 a.b - ", "192.0.2.1 [x] y", "2001:db8::9 x y"])
@pytest.mark.parametrize("layout", HEADER_AND_PEER)
@pytest.mark.parametrize("before", [0, 3, 150])
def test_a_header_that_begins_like_a_line_names_nobody_else(layout, header, before):
    log = AccessLog()
    for _ in range(before):
        log.requests(layout.format("-"))

    named = {each.client for _ in range(60) for each in log.requests(layout.format(header))}
    assert named <= {"203.0.113.7"}


def test_a_user_name_that_is_an_address_excuses_nothing_in_a_new_log():
    assert read(AccessLog(), COMBINED.replace(" - - ", " - 192.0.2.1 ")) == ["203.0.113.7"]


def test_a_clock_or_a_word_in_the_place_of_the_address_is_none():
    log = AccessLog()
    rest = '203.0.113.7 - - [24/Nov/2026:08:40:00 +0000] "POST /wp-login.php HTTP/1.1" 200 5 "-" "x"'

    assert [
        each.client for each in log.requests(f"2026-11-24 08:40:00.123456789 blog.example.com {rest}")
    ] == ["203.0.113.7"]
    assert log.requests(f"a b c, {rest}") == ()


def test_a_declared_log_that_begins_with_the_client_may_have_quotes_as_they_came():
    """Caddy's transform encoder in the format `combined`."""
    log = AccessLog(known("ours", '$remote_addr - $remote_user [$time_local] "$request" $status $bytes_sent'))
    line = '203.0.113.7 - " 302 "x [24/Nov/2026:08:40:00 +0000] "POST /wp-login.php HTTP/1.1" 200 5'
    assert log.requests(line) == (), "the format may not fit at all"
    assert log.requests(COMBINED)

    for _ in range(CHANGED_AFTER + 1):
        assert ("203.0.113.7", 200) in [(each.client, each.status) for each in log.requests(line)]
    assert log.format == "ours"


def test_a_host_that_is_a_date_makes_no_line_older():
    log = AccessLog()
    line = '2026-11-30T06:33:20Z 203.0.113.7 HOST "POST /wp-login.php HTTP/1.1" 200 5100'
    log.requests(line.replace("HOST", "blog.example.com"))

    found = log.requests(line.replace("HOST", "2020-01-01T00:00:00Z"))
    assert [(each.client, each.time) for each in found] == [("203.0.113.7", 1_796_020_400.0)]


REQUEST_AGAIN = '"GET /a HTTP/1.1" 200 1 "-" "x" [30/Nov/2026:06:33:20 +0000] '


@pytest.mark.parametrize(
    "line",
    [
        COMBINED[:-1] + '" ' + REQUEST_AGAIN * 800,
        COMBINED.replace(" [", f" {REQUEST_AGAIN * 800}[", 1),
        "2026-11-30T06:33:20+00:00 | " + COMBINED.replace(" - - ", " | ") + REQUEST_AGAIN * 800,
        CADDY[:-1] + "".join(f',"request":{{"uri":"/{n}","method":"GET"}}' for n in range(800)) + "}",
        "client=203.0.113.7 status=200 " + "".join(f'request="GET /{n} HTTP/1.1" ' for n in range(800)),
    ],
)
def test_a_line_stands_for_no_more_requests_than_one_more_than_are_looked_at(line):
    """Each is tried by each filter, and a client may write 64 KiB."""
    log = AccessLog()
    log.requests(line)

    assert len(log.requests(line)) <= MAX_READINGS + 1


DATE = "[30/Nov/2026:06:33:20 +0000]"
# A client fills a field with one of these. Some of them begin what another field is.
PARTS = [
    " ", '"', "\\", '" ', "- ", ", ", "[", "a", "{ ", "203.0.113.9 - ", f"{DATE} ", f'- {DATE} "', '" 200 ', ": ", "-|",
    '"GET /a HTTP/1.1" 200 ', ' HTTP/1.1" 200 ', '"a":"b",', "a=b ", "a:b\t", "/../", "%2e", "::1 ",
]  # fmt: skip
# Where it stands in the line.
PLACES = {
    "nothing else": "TEXT",
    "begin": f'TEXT 203.0.113.7 - - {DATE} "POST /wp-login.php HTTP/1.1" 200 5 "-" "M"',
    "user": f'203.0.113.7 - TEXT {DATE} "POST /wp-login.php HTTP/1.1" 200 5 "-" "M"',
    "target": f'203.0.113.7 - - {DATE} "POST /TEXT HTTP/1.1" 200 5 "-" "M"',
    "end": f'203.0.113.7 - - {DATE} "POST /wp-login.php HTTP/1.1" 200 5 "-" "M" "TEXT"',
    "host": f'203.0.113.7 - - {DATE} TEXT "POST /wp-login.php HTTP/1.1" 200 5 "-" "M"',
    "bars": "2026-11-30T06:33:20+00:00|203.0.113.7|TEXT|POST /wp-login.php HTTP/1.1|200|TEXT",
    "HAProxy": f'203.0.113.7:5 {DATE[:-7]}.123] a b/c 0/0/0/1/1 200 5 TEXT ---- 1/1/1/1/0 0/0 {{x}} "POST /wp-login.php HTTP/1.1"',
    "NPM": f'{DATE} - 200 200 - POST https TEXT "/wp-login.php" [Client 203.0.113.7] [Length 5] [Gzip -] [Sent-to a] "TEXT" "-"',
}


@pytest.mark.parametrize("place", PLACES)
def test_no_text_of_a_client_makes_a_line_slow(place):
    """`re` holds up all threads. A line has 64 KiB at most; most of the time goes into searching it for dates."""
    slow = []
    for part in PARTS:
        filled = PLACES[place].replace("TEXT", part * (32_768 // len(part)))[:65_536]
        for lines in ((), [COMBINED] * 200, [VHOST] * 200):
            log = AccessLog()
            read(log, *lines)
            if not takes_less_than(0.25, lambda log=log, line=filled: log.requests(line)):
                slow.append((part, lines[:1]))
    assert slow == []
