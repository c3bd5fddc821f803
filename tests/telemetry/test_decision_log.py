import json
import logging
import math
import subprocess
import sys
import threading
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Ban, Turn, Unban
from sidecar.telemetry.decision_log import Aside, Journal, Json, ending

ANN = Address("203.0.113.7")


def test_a_line_for_each_decision_and_none_of_the_evidence(caplog):
    caplog.set_level(logging.INFO)
    ban = Ban("login", ANN, 0.0, 3600.0, "failures", 3, "blog", ("POST /wp-login.php evil",))
    Journal().apply(Turn(0.0, (ban, Unban("login", ANN, 9.0, "manual"))))

    assert caplog.messages == [
        "[login] Ban 203.0.113.7 until 1970-01-01 01:00:00 UTC (3 failures, the last in blog)",
        "[login] Unban 203.0.113.7 (manual)",
    ]


def test_by_hand_and_a_log_whose_name_breaks_a_line(caplog):
    caplog.set_level(logging.INFO)
    by_hand = Ban("manual", ANN, 0.0, math.inf, "manual")
    once = Ban("login", ANN, 0.0, math.inf, "failures", 1, "/log/a\nb")
    Journal().apply(Turn(0.0, (by_hand, once)))

    assert caplog.messages == [
        "[manual] Ban 203.0.113.7 for good (manual)",
        "[login] Ban 203.0.113.7 for good (1 failure, the last in /log/a\\nb)",
    ]


def test_many_that_other_nodes_made_are_one_line(caplog):
    caplog.set_level(logging.INFO)
    told = tuple(Ban("login", Address(f"198.18.0.{n}"), 0.0, math.inf, "fleet") for n in range(200))
    Journal().apply(Turn(0.0, (*told, Unban("login", ANN, 9.0, "manual"))))
    Journal().apply(Turn(0.0, told[:1]))

    assert caplog.messages == [
        "200 bans and unbans as other nodes told",
        "[login] Unban 203.0.113.7 (manual)",
        "[login] Ban 198.18.0.0 for good (fleet)",
    ]


def test_who_came_back_a_group_and_who_is_only_observed(caplog):
    caplog.set_level(logging.INFO)
    again = Ban("login", ANN, 0.0, math.inf, "failures", 3, "blog", ban_count=2)
    group = Ban("login", Address("203.0.113.0/24"), 0.0, math.inf, "group", 5, "blog")
    Journal().apply(Turn(0.0, (again, group, replace(again, dry_run=True, ban_count=1))))

    assert caplog.messages == [
        "[login] Ban 203.0.113.7 for good (3 failures, the last in blog, for the 2. time)",
        "[login] Ban 203.0.113.0/24 for good (5 of its hosts are banned)",
        "[login] Would ban 203.0.113.7 for good (3 failures, the last in blog)",
    ]


def test_for_good():
    assert ending(math.inf) == "for good"


def test_a_record_is_one_json_line_even_with_a_traceback():
    try:
        raise OSError("two\nlines")
    except OSError:
        record = logging.LogRecord(
            "sidecar.runtime.loop", logging.ERROR, "", 0, "%s broke", ("nft",), sys.exc_info()
        )
    line = Json().format(record)

    assert "\n" not in line
    assert json.loads(line)["message"] == "nft broke"
    assert json.loads(line)["exception"].endswith("OSError: two\nlines")


class Blocked(logging.Handler):
    """A pipe that nobody reads, until `read` is set."""

    def __init__(self):
        super().__init__()
        self.lines, self.read, self.reached = [], threading.Event(), threading.Event()

    def emit(self, record):
        self.reached.set()
        self.read.wait(5)
        self.lines.append(record.getMessage())


@pytest.fixture
def logger():
    logger = logging.Logger("apart")  # noqa: LOG001 - the root's handlers are not to see it
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_who_logs_never_waits_and_what_does_not_fit_is_counted_and_told(logger):
    pipe = Blocked()
    aside = Aside(pipe, most=2)
    logger.addHandler(aside)
    logger.info("first")
    pipe.reached.wait(5)
    for n in range(5):
        logger.info("line %d", n)
    assert (pipe.lines, aside.dropped) == ([], 3)

    pipe.read.set()
    aside.close()

    gap = "3 log lines are missing here: they were written faster than our stderr was read"
    assert pipe.lines == ["first", gap, "line 0", "line 1"]


def test_many_decisions_are_one_record_for_the_loop_and_a_line_each_in_the_log(logger, monkeypatch):
    monkeypatch.setattr("sidecar.telemetry.decision_log.log", logger)
    pipe = Blocked()
    pipe.read.set()
    logger.addHandler(aside := Aside(pipe, most=2))
    many = tuple(Unban("login", Address(f"198.18.0.{n}"), 9.0, "manual") for n in range(200))
    Journal().apply(Turn(0.0, many))  # however little room there is, one turn's lines have it
    aside.close()

    assert pipe.lines == [f"[login] Unban {each.address} (manual)" for each in many]
    assert aside.dropped == 0


def test_the_lines_of_a_turn_that_has_no_room_are_counted_one_by_one(logger, monkeypatch):
    monkeypatch.setattr("sidecar.telemetry.decision_log.log", logger)
    pipe = Blocked()
    logger.addHandler(aside := Aside(pipe, most=100))
    many = tuple(Unban("login", Address(f"198.18.0.{n}"), 9.0, "manual") for n in range(200))
    Journal().apply(Turn(0.0, many))
    assert pipe.reached.wait(5)
    Journal().apply(Turn(0.0, many))
    logger.info("and one more")
    pipe.read.set()
    aside.close()

    assert (len(pipe.lines), aside.dropped) == (201, 201)
    assert pipe.lines[-1].startswith("201 log lines are missing here")


def test_other_handlers_have_them_too(caplog):
    caplog.set_level(logging.INFO)
    many = tuple(Unban("login", Address(f"198.18.0.{n}"), 9.0, "manual") for n in range(101))
    Journal().apply(Turn(0.0, many))

    assert caplog.messages == ["\n".join(f"[login] Unban {each.address} (manual)" for each in many)]


def test_an_exit_does_not_wait_for_ever_for_a_pipe_that_nobody_reads(logger, monkeypatch):
    monkeypatch.setattr("sidecar.telemetry.decision_log.FAREWELL", 0.01)
    pipe = Blocked()
    logger.addHandler(aside := Aside(pipe))
    logger.info("first")
    aside.close()

    assert pipe.lines == []
    pipe.read.set()


PROGRAM = """
import logging
from sidecar.telemetry import decision_log
decision_log.set_up("INFO", as_json=False)
for n in range(1000):
    logging.getLogger("x").info("line %d", n)
assert decision_log.dropped() == 0
"""


def test_all_is_written_in_order_before_the_exit():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert [line.rpartition("INFO    MainThread: ")[2] for line in ran.stderr.splitlines()] == [
        f"line {n}" for n in range(1000)
    ]


def test_a_program_whose_stderr_nobody_reads_works_and_ends():
    program = PROGRAM.replace("%d", "%9000d").replace("\nassert", "\nprint('done', flush=True)\nassert")
    with subprocess.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout.readline() == "done\n"
        assert child.wait(20) == 0
