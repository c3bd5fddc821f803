"""The whole daemon on log files whose dates are in another time zone, weeks old, or missing."""

from __future__ import annotations

import time
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.support.running import Running
from tests.support.waiting import wait_until

ANN, BOB = "203.0.113.7", "203.0.113.8"
NEW_YORK = ZoneInfo("America/New_York")
FAILED = "wordpress(example.com)[7]: Authentication failure for admin from {}\n"
REQUEST = '{} 0.112 MISS [{}] blog.example.com "POST /wp-login.php HTTP/2.0" 200 5112 "-" "Mozilla/5.0"\n'


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    running = Running(tmp_path)
    yield running
    running.close()


def write(daemon, *lines):
    with daemon.log.open("a") as log:
        log.write("".join(lines))


def in_new_york(address):
    return f"{datetime.now(NEW_YORK):%b %e %H:%M:%S} web {FAILED.format(address)}"


def test_a_host_five_hours_behind_is_banned_with_its_time_zone_configured(daemon):
    daemon.configure("logtimezone = America/New_York")
    daemon.start()
    write(daemon, in_new_york(ANN) * 3)

    wait_until(lambda: daemon.banned() == [ANN])
    assert daemon.ask("health")["why"] == []


def test_a_host_five_hours_behind_is_reported_and_banned_once_its_log_shows_the_time_zone(daemon):
    daemon.start()

    def is_banned():
        write(daemon, in_new_york(ANN))
        time.sleep(0.5)
        return daemon.banned() == [ANN]

    wait_until(is_banned)

    (why,) = daemon.ask("health")["why"]
    # New York has daylight saving time.
    offset = f"UTC{datetime.now(NEW_YORK):%z}"
    assert f"set `logtimezone = {offset}`" in why
    daemon.configure(f"logtimezone = {offset}")
    assert daemon.ask("reload")["ok"]
    assert daemon.ask("health")["why"] == []


def test_failures_that_were_in_a_file_when_it_was_first_read_ban_nobody_unless_they_are_recent(daemon):
    weeks_ago = [f"{day:02}/Nov/2025:06:00:00 +0000" for day in (2, 7, 12, 17, 24)]
    write(daemon, *(REQUEST.format(ANN, date) for date in weeks_ago), FAILED.format(ANN) * 5)
    daemon.start()
    wait_until(lambda: "had failures when it was first read that have no date" in daemon.stderr())

    def is_banned():
        write(daemon, FAILED.format(BOB))
        time.sleep(0.3)
        return daemon.banned()

    wait_until(is_banned)
    assert daemon.banned() == [BOB]
