"""What reads fail2ban.log reads the event log, and nothing that happens to the log happens to bans."""

import json
import logging
import re
import shutil
import socket
import subprocess
import time

import pytest

from sidecar.core.address import Address
from sidecar.core.allowed import Allow, Disallow
from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Ban, Hit, Origin, Turn, Unban
from sidecar.runtime.problems import Problems
from sidecar.telemetry import event_log
from sidecar.telemetry.event_log import Event, EventFormat, EventKind, EventLog, fail2ban_line, handler_for
from tests.support.waiting import wait_until

ANN, GATEWAY = Address("203.0.113.7"), Address("172.17.0.1")
SITE = Origin("docker", "blog", "stdout", ("login",))
NOW = 1_764_500_400.25


class Inputs:
    allowlist = Allowlist()


class Told(list):
    def problem_changed(self, name, sentence):
        self.append((name, sentence))


def hit(address=ANN, at=NOW - 1, **more):
    return Hit("login", address, at, SITE, "line", **more)


def ban(address=ANN, **more):
    return Ban("login", Address(address), NOW, NOW + 60, "failures", origin_name="blog", **more)


TURN = Turn(
    NOW,
    (ban(), ban("203.0.113.8", dry_run=True), Unban("login", ANN, NOW, "expired")),
    hits=(hit(), hit(success=True)),
    ignored=(hit(GATEWAY), hit(ANN)),
)


@pytest.fixture(autouse=True)
def utc(monkeypatch):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def log(tmp_path):
    made, told = [], Told()

    def log(event_format=EventFormat.FAIL2BAN, target=None):
        problem = Problems(told).problem("the event log", critical=False)
        handler = handler_for(str(target or tmp_path / "events.log"))
        made.append(EventLog(handler, event_format, Inputs(), problem))
        return made[-1]

    log.path, log.told = tmp_path / "events.log", told
    yield log
    for each in made:
        each.close()


def written(log):
    return log.path.read_text().splitlines()


def test_the_lines_of_a_turn_are_those_of_fail2ban(log):
    events = log()
    events.restored([ban()], NOW)
    events.apply(TURN)
    events.close()

    assert [re.sub(r"\[\d+\]", "[7]", line) for line in written(log)] == [
        "2025-11-30 11:00:00,250 fail2ban.actions        [7]: NOTICE  [login] Restore Ban 203.0.113.7",
        "2025-11-30 11:00:00,250 fail2ban.filter         [7]: INFO    [login] Found 203.0.113.7 - 2025-11-30 10:59:59",
        "2025-11-30 11:00:00,250 fail2ban.filter         [7]: INFO    [login] Ignore 172.17.0.1 by a private address",
        "2025-11-30 11:00:00,250 fail2ban.actions        [7]: NOTICE  [login] Ban 203.0.113.7",
        "2025-11-30 11:00:00,250 fail2ban.actions        [7]: NOTICE  [login] Would ban 203.0.113.8",
        "2025-11-30 11:00:00,250 fail2ban.actions        [7]: NOTICE  [login] Unban 203.0.113.7",
    ]


def test_what_people_allow_is_an_event_without_a_jail(log):
    changes = (Allow(ANN, NOW, comment="on\ncall"), Allow(GATEWAY, NOW), Disallow(ANN, NOW, "expired"))
    for event_format in EventFormat:
        events = log(event_format)
        events.apply(Turn(NOW, allow_changes=changes))
        events.close()

    lines = [re.sub(r"\[\d+\]", "[7]", line) for line in written(log)]
    assert lines[:3] == [
        "2025-11-30 11:00:00,250 fail2ban.server         [7]: INFO    Allow 203.0.113.7 - on\\ncall",
        "2025-11-30 11:00:00,250 fail2ban.server         [7]: INFO    Allow 172.17.0.1",
        "2025-11-30 11:00:00,250 fail2ban.server         [7]: INFO    Disallow 203.0.113.7 - expired",
    ]
    assert [json.loads(line)["event"] for line in lines[3:]] == ["allow", "allow", "disallow"]


def test_json_has_the_same_and_the_container(log):
    events = log(EventFormat.JSON)
    events.apply(TURN)
    events.close()

    found = [json.loads(line) for line in written(log)]
    assert [each["event"] for each in found] == ["found", "ignored", "ban", "would_ban", "unban"]
    assert found[2] == {
        "time": "2025-11-30T11:00:00.250+00:00",
        "event": "ban",
        "jail": "login",
        "address": "203.0.113.7",
        "container": "blog",
        "detail": "",
    }
    assert found[4]["detail"] == "expired"


def test_fail2bans_own_recidive_finds_the_bans_and_nothing_else(log):
    events = log()
    events.restored([ban("203.0.113.9")], NOW)
    events.apply(TURN)
    events.close()

    command = ["fail2ban-regex", "--print-all-matched", str(log.path), "/etc/fail2ban/filter.d/recidive.conf"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    matched = done.stdout.partition("Matched line(s):")[2]

    assert "Lines: 6 lines, 0 ignored, 1 matched, 5 missed" in done.stdout, done.stdout
    assert "[login] Ban 203.0.113.7" in matched


def test_logwatch_counts_the_bans(log, tmp_path):
    events = log()
    events.apply(TURN)
    events.close()
    script = "/usr/share/logwatch/scripts/services/fail2ban"
    assert shutil.which("perl") and shutil.os.path.exists(script), "install logwatch (make setup does)"

    done = subprocess.run(
        ["perl", script],
        input=log.path.read_text(),
        capture_output=True,
        text=True,
        check=True,
        env={"PERL5LIB": "/usr/share/logwatch/lib", "LOGWATCH_DETAIL_LEVEL": "10"},
    )

    assert re.search(r"login:\s+\[\s*1:1\s*\]|login.*\n.*203\.0\.113\.7", done.stdout), done.stdout


def test_syslog_gets_each_line(log, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(60)
        events = log(target=f"syslog://127.0.0.1:{receiver.getsockname()[1]}")
        events.apply(TURN)
        first = receiver.recv(1000)

    # Facility daemon, severity info.
    assert first.startswith(b"<30>2025-11-30 11:00:00,250 fail2ban.filter")


def test_a_file_is_rotated(log, monkeypatch):
    monkeypatch.setattr(event_log, "MAX_FILE_BYTES", 500)
    events = log()
    for _ in range(10):
        events.apply(TURN)
    events.close()

    assert sorted(path.name for path in log.path.parent.iterdir()) == [
        "events.log", *(f"events.log.{n}" for n in range(1, 6)),
    ]  # fmt: skip
    assert log.path.stat().st_size <= 500


def test_a_log_that_cannot_be_written_is_a_problem_until_it_can(log, monkeypatch):
    events = log(target="/dev/full")
    events.apply(TURN)
    wait_until(lambda: log.told)

    [(name, sentence)] = log.told[:1]
    assert name == "the event log"
    assert sentence.startswith(
        "events are not written: [Errno 28] No space left on device; correct WP_SIDECAR_EVENT_LOG"
    )

    monkeypatch.setattr(event_log, "RECOVERED_AFTER_S", -1.0)
    events.apply(Turn(NOW))
    assert log.told[-1] == ("the event log", None)


def test_a_log_that_is_blocked_drops_lines_and_blocks_nobody(log):
    class Blocked(logging.Handler):
        def emit(self, record):
            time.sleep(3600)

    events = EventLog(Blocked(), EventFormat.FAIL2BAN, Inputs(), Problems().problem("the event log"))
    for _ in range(30_000):
        events.apply(TURN)

    assert events.dropped > 0


def test_a_failure_of_a_year_that_no_calendar_has_is_written():
    assert event_log._local(1e30) == event_log._local(1e18)
    assert "Found 203.0.113.7" in fail2ban_line(Event(EventKind.FOUND, "login", ANN, NOW, detail="x"))
