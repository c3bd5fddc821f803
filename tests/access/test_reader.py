import random
import re
from datetime import timedelta, timezone

import pytest

from sidecar.access.detect import VOTES, AccessLog
from sidecar.access.formats import known
from sidecar.access.reader import MAX_PLAIN_CHARS, Reading, RequestReader
from sidecar.core.address import parse_address

COMBINED = '203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "POST //wp-login.php HTTP/1.1" 200 51 "-" "{}"'
# 30 November 2026, 06:33:20 UTC.
WHEN = 1_796_020_400.0
LOGIN = "203.0.113.7 POST /wp-login.php 200 ?"


@pytest.fixture
def reader():
    return RequestReader(AccessLog())


def test_a_line_is_read_as_its_canonical_line_and_its_time(reader):
    assert reader.readings(COMBINED.format("curl")) == (Reading(f'{LOGIN} - "curl"', WHEN, ""),)


def test_what_is_no_request_has_no_reading(reader):
    assert reader.readings("PHP Warning: x") == ()


def test_a_line_that_can_be_read_in_two_ways_has_both_readings(reader):
    forged = '" "GET /wp-admin/profile.php HTTP/1.1" 200 "'
    paths = [reading.canonical.split(" ")[2] for reading in reader.readings(COMBINED.format(forged))]

    assert paths[:2] == ["/wp-login.php", "/wp-admin/profile.php"]


@pytest.mark.parametrize(("peer", "told_apart"), [("192.0.2.1", "192.0.2.1"), ("203.0.113.7", "")])
def test_the_peer_is_named_only_where_it_is_not_the_client(peer, told_apart):
    log = AccessLog(known("mine", '$remote_addr $realip_remote_addr "$request" $status'))
    line = f'203.0.113.7 {peer} "POST /wp-login.php HTTP/1.1" 200'

    assert [reading.peer for reading in RequestReader(log).readings(line)] == [told_apart]


def test_a_date_without_a_zone_is_in_the_zone_of_its_log():
    reader = RequestReader(AccessLog(zone=timezone(timedelta(hours=2))))

    assert reader.time("30/Nov/2026:08:33:20") == WHEN
    assert reader.time("30/Nov/2026:06:33:20 +0000") == WHEN
    assert reader.time("yesterday") is None


def test_a_filter_may_ask_for_the_user_name_that_a_client_sent(reader):
    named = COMBINED.format("curl").replace(" - - [", " - an admin [")

    assert [each.with_user for each in reader.readings(named)] == [f'{LOGIN} - "curl" an%20admin']
    assert [each.with_user for each in reader.readings(COMBINED.format("curl"))] == [f'{LOGIN} - "curl"']


AGENTS = (
    "curl",
    "Mozilla/5.0 (X11; [1])",
    "",
    "-",
    "a b",
    " ",
    "é",
    '\\"',
    "a\\x22",
    '" 200 "',
    "POST /x HTTP/1.1",
)
TARGETS = (
    *(
        "//wp-login.php",
        "/x/../wp-login.php?a=%20b",
        "/wp-login.php/a;b",
        "/é",
        "*",
        "",
        "/a b",
        "http://a/b?c#d",
    ),
    *('/"', "/\\", "/wp-login.php [30/Nov/2026:06:33:21 +0000]", "/%00", "/?203.0.113.9"),
)
CLIENTS = (
    "203.0.113.7",
    "198.51.100.255",
    "999.1.1.1",
    "2001:db8::7",
    "::1",
    "-",
    "host.example",
)


def combined(rnd):
    """A line of a log in the format `combined`, or nearly so."""
    return (
        f"{rnd.choice(CLIENTS)} - {rnd.choice(('-', '-', 'ann', 'a b', 'é'))} [30/Nov/2026:06:33:{rnd.randrange(70):02d} "
        f'{rnd.choice(("+0000", "+0000", "+0530", ""))}] "{rnd.choice(("GET", "POST", "post"))} {rnd.choice(TARGETS)} HTTP/1.1" '
        f'{rnd.choice((200, 302, 401))} {rnd.choice((0, 51, 5_000, "-"))} "{rnd.choice(AGENTS)}" "{rnd.choice(AGENTS)}"'
        f"{rnd.choice(('', '', '', ' 0.1', ' '))}"
    )


def settled():
    """A reader of a log that has been in the format `combined` for long."""
    reader = RequestReader(AccessLog())
    for _ in range(VOTES):
        reader.readings(COMBINED.format("curl"))
    assert reader.log.is_combined
    return reader


def test_plain_lines_with_the_same_key_stand_for_the_same_request_of_their_own_clients_at_their_own_times():
    rnd = random.Random(11)
    reader, by_key, same = settled(), {}, 0
    for _ in range(10_000):
        # Lines of another format, one after the other, would change the log's.
        line = combined(rnd) if rnd.random() < 0.5 else COMBINED.format(rnd.choice(AGENTS))
        plain, parsed = reader.plain(line), reader.readings(line)
        if plain:
            client, time, key = plain
            # The client may have written a later date into the request.
            assert all(each.time >= time and not each.peer for each in parsed), line
            assert all(each.canonical.startswith(f"{client} ") for each in parsed), line
            rest = [(each.canonical[len(client) :], each.user) for each in parsed]
            same += key in by_key
            assert by_key.setdefault(key, rest) == rest, line
    assert same > 1_000
    assert len(by_key) > 50


# What a plain line is, in one expression.
PLAIN = re.compile(
    r"(\d{1,3}(?:\.\d{1,3}){3}) - (-|[\w.@+-]{1,60}) "
    r"\[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"([^"\\]*)" (\d{3}) \d+ "[^"\\]*" "([^"\\]*)"',
    re.ASCII,
)
# Characters that make a line another one.
ODD = (*'" \\[]-.0aé²\x00', " 200 ", '" "', " - ", "\u2028")


def test_a_line_is_plain_where_the_expression_says_so():
    rnd = random.Random(5)
    reader = settled()
    found = {True: 0, False: 0}
    for _ in range(30_000):
        line = combined(rnd) if rnd.random() < 0.3 else COMBINED.format(rnd.choice(AGENTS))
        for _ in range(rnd.choice((0, 0, 1, 1, 2))):
            at = rnd.randrange(len(line))
            line = line[:at] + rnd.choice(ODD) + line[at + rnd.randrange(2) :]
        plain, expected = reader.plain(line), PLAIN.fullmatch(line)
        if expected:
            client, user, date, request, status, agent = expected.groups()
            address, time = parse_address(client), reader.time(date)
            known = (
                None if address is None or time is None else (address, time, (user, request, status, agent))
            )
            assert (line, plain) == (line, known)
        else:
            assert (line, plain) == (line, None)
        found[plain is not None] += 1
    assert min(found.values()) > 5_000


def test_a_long_line_is_not_plain():
    assert settled().plain(COMBINED.format("x" * MAX_PLAIN_CHARS)) is None


def test_users_and_dates_that_are_remembered_are_bounded(monkeypatch):
    monkeypatch.setattr("sidecar.access.reader.MAX_DATES", 2)
    reader = settled()
    lines = [COMBINED.format("curl").replace("33:20", f"33:{second}") for second in range(21, 30)]

    assert [reader.plain(line)[1] - WHEN for line in lines] == [*range(1, 10)]
    assert len(reader._dates) <= 2
