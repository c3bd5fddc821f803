"""What is banned from logs whose dates are in another time zone, old, or missing."""

import logging
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from sidecar.core.events import Batch, Framing, Origin, Written
from sidecar.filters import tags
from sidecar.filters.loader import Rule, load
from sidecar.filters.log_times import SAMPLES
from sidecar.filters.matcher import Matcher
from sidecar.runtime.problems import Problems
from tests.support.problems import ProblemChanges

NOW = datetime(2026, 11, 30, 6, 30, 0, tzinfo=UTC).timestamp()
ORIGIN = Origin("file", "/var/log/auth.log", "", ("wordpress",))
ACCESS = replace(ORIGIN, name="/var/log/access.log", jails=("wordpress-access",))
NEW_YORK, KOLKATA = timezone(timedelta(hours=-5)), timezone(timedelta(hours=5.5))
FAILED = "wordpress(example.com)[7]: Authentication failure for admin from 203.0.113.31"
# With a short expression, because it is compiled for each test.
SHORT = r"Authentication failure for .* from <HOST>$"
WORDPRESS = replace(
    load("wordpress"), failregex=(Rule(SHORT, re.compile(tags.regex(SHORT, names=False)), "", 1),)
)
FILTERS = {"wordpress": WORDPRESS, "wordpress-access": load("wordpress-access")}
PROBLEM = "time zone of /var/log/auth.log"
EARLIER, LATELY, JUST_NOW = Written.EARLIER, Written.LATELY, Written.JUST_NOW


class Log:
    """A matcher on a machine in UTC, and what it reports. `clock` is the time now."""

    def __init__(self, origin=ORIGIN, zone=None):
        self.changes, self.clock, self._origin = ProblemChanges(), NOW, origin
        self._problems = Problems(self.changes)
        self.matcher = self.new_matcher(zone)

    def new_matcher(self, zone=None):
        filters = {jail: replace(FILTERS[jail], zone=zone) for jail in self._origin.jails}
        return Matcher(filters, UTC, self._problems)

    def read(self, *lines, written=JUST_NOW):
        """Return the times of the hits, as seconds before now."""
        data = "".join(f"{line}\n" for line in lines).encode()
        scan = self.matcher.scan(Batch(self._origin, data, Framing.NONE, written), self.clock)
        return [self.clock - hit.at for hit in scan.hits]

    def wait(self, seconds=1.0):
        self.clock += seconds

    def syslog(self, zone, ago=0.0):
        return f"{datetime.fromtimestamp(self.clock - ago, zone):%b %e %H:%M:%S} web {FAILED}"

    def learn(self, zone):
        for _ in range(SAMPLES):
            self.read(self.syslog(zone))
            self.wait()


@pytest.fixture
def log():
    return Log()


def test_dates_are_read_in_the_configured_zone():
    log = Log(zone=NEW_YORK)

    assert log.read(log.syslog(NEW_YORK, ago=100)) == [100]
    log.learn(NEW_YORK)
    assert log.read(log.syslog(NEW_YORK, ago=100)) == [100]
    assert log.changes == []


@pytest.mark.parametrize(
    ("zone", "setting"), [(NEW_YORK, "UTC-0500"), (KOLKATA, "UTC+0530"), (ZoneInfo("Asia/Tokyo"), "UTC+0900")]
)
def test_a_log_of_another_zone_shows_it_and_is_read_in_it(log, zone, setting):
    offset = datetime.fromtimestamp(NOW, zone).utcoffset().total_seconds()
    assert log.read(log.syslog(zone)) == [-offset]
    log.wait()
    log.learn(zone)

    # Dates in the future count as now (`Guard.hit`), so these need no correction.
    ahead = max(0.0, offset)
    assert log.read(log.syslog(zone), log.syslog(zone, ago=3_000)) == [-ahead, 3_000 - ahead]
    ((name, sentence),) = log.changes
    assert name == PROBLEM
    assert f"set `logtimezone = {setting}`, or the zone's name, in [wordpress]" in sentence


def test_the_clock_of_a_log_may_be_some_seconds_late(log):
    for late in (0.2, 1.9, 8.0):
        log.read(log.syslog(NEW_YORK, ago=late))
        log.wait()

    assert [name for name, _ in log.changes] == [PROBLEM]


def test_old_lines_that_are_appended_later_are_no_other_zone(log):
    for minutes in (63, 47, 301, 122):
        assert log.read(log.syslog(UTC, ago=minutes * 60)) == [minutes * 60]
        log.wait()

    assert log.changes == []


def test_two_lines_are_too_few(log):
    for _ in range(SAMPLES - 1):
        log.read(log.syslog(NEW_YORK))
        log.wait()

    assert log.read(log.syslog(UTC)) == [0]
    assert log.changes == []


def test_many_lines_of_one_moment_are_one_sample(log):
    for _ in range(2 * SAMPLES):
        log.read(log.syslog(NEW_YORK))
        log.wait(0.1)

    assert log.changes == []


@pytest.mark.parametrize("written", [EARLIER, LATELY])
def test_lines_that_were_not_written_just_now_show_nothing(log, written):
    for _ in range(2 * SAMPLES):
        log.read(log.syslog(NEW_YORK), written=written)
        log.wait()

    assert log.changes == []


def test_a_date_that_names_its_zone_shows_nothing_and_is_never_shifted():
    log = Log(ACCESS)
    line = '203.0.113.31 - - [30/Nov/2026:01:30:00 {}] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "x"'
    for _ in range(2 * SAMPLES):
        log.read(line.format("+0000"))
        log.wait()

    assert log.changes == []
    log.clock = NOW
    assert log.read(line.format("-0500")) == [0]


def test_requests_are_read_in_the_zone_that_their_log_shows():
    log = Log(ACCESS)
    text = '203.0.113.31 - - [{:%d/%b/%Y:%H:%M:%S}] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "x"'

    def line(ago=0.0):
        return text.format(datetime.fromtimestamp(log.clock - ago, NEW_YORK))

    assert log.read(line()) == [5 * 3_600]
    for _ in range(SAMPLES):
        log.wait()
        log.read(line())
    assert log.read(line(), line(ago=60)) == [0, 60]
    assert [name for name, _ in log.changes] == ["time zone of /var/log/access.log"]


def test_requests_are_read_in_the_configured_zone():
    log = Log(ACCESS, zone=NEW_YORK)
    line = '203.0.113.31 - - [30/Nov/2026:01:30:00] "POST /wp-login.php HTTP/1.1" 200 5112 "-" "x"'

    assert log.read(line) == [0]


def test_a_log_may_change_its_zone_as_in_summer(log):
    log.learn(NEW_YORK)
    log.learn(timezone(timedelta(hours=-4)))
    assert log.read(log.syslog(timezone(timedelta(hours=-4)))) == [0]

    log.wait()
    log.learn(UTC)
    assert log.changes[-1] == (PROBLEM, None)
    assert log.read(log.syslog(UTC)) == [0]


def test_old_lines_that_are_appended_do_not_undo_what_a_log_has_shown(log):
    log.learn(NEW_YORK)
    for minutes in (63, 47, 301, 122):
        log.read(log.syslog(NEW_YORK, ago=minutes * 60))
        log.wait()

    assert log.read(log.syslog(NEW_YORK)) == [0]
    assert [sentence is None for _, sentence in log.changes] == [False]


def test_dates_that_visitors_write_into_undated_lines_make_no_failure_look_older(log):
    forged = "{:%b %e %H:%M:%S} wordpress(h)[7]: a visitor's line"
    for _ in range(2 * SAMPLES):
        log.read(forged.format(datetime.fromtimestamp(log.clock, KOLKATA)))
        log.wait()

    assert [sentence is None for _, sentence in log.changes] == [False]
    assert log.read(log.syslog(UTC)) == [0]


def test_a_reload_that_sets_the_zone_ends_the_problem(log):
    log.learn(NEW_YORK)
    after = log.new_matcher(NEW_YORK)
    after.continue_from(log.matcher)
    log.matcher = after

    assert log.read(log.syslog(NEW_YORK)) == [0]
    assert [sentence is None for _, sentence in log.changes] == [False, True]


def test_a_reload_that_sets_another_zone_keeps_the_problem(log):
    log.learn(NEW_YORK)
    after = log.new_matcher(KOLKATA)
    after.continue_from(log.matcher)
    log.matcher = after

    assert log.read(log.syslog(NEW_YORK)) == [0]
    assert [sentence is None for _, sentence in log.changes] == [False, True, False]


def test_a_failure_without_a_date_counts_now_only_if_it_was_written_since_the_log_is_followed(log, caplog):
    with caplog.at_level(logging.WARNING):
        assert log.read(FAILED, FAILED, FAILED, written=EARLIER) == []
        assert log.read(FAILED, written=EARLIER) == []

    assert [record.getMessage().partition(" that have no date")[0] for record in caplog.records] == [
        "/var/log/auth.log had failures when it was first read"
    ]
    assert log.read(FAILED, written=LATELY) == [0]
    assert log.read(FAILED, written=JUST_NOW) == [0]


def test_a_failure_of_the_past_counts_at_its_date(log):
    assert log.read(log.syslog(UTC, ago=86_400), written=EARLIER) == [86_400]


def test_a_date_in_the_future_is_unknown_in_the_past_of_a_log(log):
    assert log.read(log.syslog(UTC, ago=-30), written=EARLIER) == [-30]
    assert log.read(log.syslog(UTC, ago=-3_600), written=EARLIER) == []


def test_an_attacker_who_writes_dates_into_undated_lines_excuses_nothing(log):
    forged = FAILED.replace("admin", "2026-11-30 01:30:00")
    for _ in range(2 * SAMPLES):
        log.read(forged)
        log.wait()

    assert log.read(FAILED, forged) == [0, 0]
    assert log.changes == []
