from datetime import timedelta, timezone

import pytest

from sidecar.access.detect import AccessLog
from sidecar.access.formats import known
from sidecar.access.reader import Reading, RequestReader

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

    assert paths == ["/wp-login.php", "/wp-admin/profile.php"]


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
    assert [each.with_user for each in reader.readings(COMBINED.format("curl"))] == [f'{LOGIN} - "curl" -']
