import json
import logging
import subprocess
import sys
import threading

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Turn, Unban
from sidecar.telemetry.decision_log import DecisionLog
from sidecar.telemetry.logging import BackgroundHandler, JsonFormatter, TextFormatter

ANN = Address("203.0.113.7")


def test_a_record_is_one_json_line_even_with_a_traceback():
    try:
        raise OSError("two\nlines")
    except OSError:
        record = logging.LogRecord(
            "sidecar.runtime.loop", logging.ERROR, "", 0, "%s broke", ("nft",), sys.exc_info()
        )
    line = JsonFormatter().format(record)

    assert "\n" not in line
    assert json.loads(line)["message"] == "nft broke"
    assert json.loads(line)["exception"].endswith("OSError: two\nlines")


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("%s: stopped with 3 messages not sent", "alerts to webhook: stopped with 3 messages not sent"),
        ("%s failed and is restarted in 1 s", "alerts to webhook failed and is restarted in 1 s"),
        ("%ss failed", "alerts to webhook: alerts to webhooks failed"),
        ("joined%.0s", "alerts to webhook: joined"),
    ],
)
def test_the_name_of_a_service_stands_once_in_a_line_of_its_thread(message, line):
    record = logging.LogRecord("x", logging.WARNING, "", 0, message, ("alerts to webhook",), None)
    record.created, record.msecs, record.threadName = 0.0, 7.0, "alerts to webhook"

    assert TextFormatter().format(record) == f"1970-01-01T00:00:00.007Z WARNING {line}"


class Blocked(logging.Handler):
    """A pipe that nobody reads, until `read` is set."""

    def __init__(self):
        super().__init__()
        self.lines, self.read, self.reached = [], threading.Event(), threading.Event()

    def emit(self, record):
        self.reached.set()
        self.read.wait(60)
        self.lines.append(record.getMessage())


@pytest.fixture
def logger():
    logger = logging.Logger("apart")  # noqa: LOG001 - the root's handlers are not to see it
    yield logger
    for handler in logger.handlers:
        handler.close()


def test_logging_never_waits_and_what_does_not_fit_is_counted_and_reported(logger):
    pipe = Blocked()
    handler = BackgroundHandler(pipe, max_waiting=2)
    logger.addHandler(handler)
    logger.info("first")
    pipe.reached.wait(60)
    for n in range(5):
        logger.info("line %d", n)
    assert (pipe.lines, handler.dropped) == ([], 3)

    pipe.read.set()
    handler.close()

    gap = "3 log lines are missing here, because they could not be written in time"
    assert pipe.lines == ["first", gap, "line 0", "line 1"]


def test_many_decisions_are_one_record_for_the_loop_and_a_line_each_in_the_log(logger, monkeypatch):
    monkeypatch.setattr("sidecar.telemetry.decision_log.log", logger)
    pipe = Blocked()
    pipe.read.set()
    logger.addHandler(handler := BackgroundHandler(pipe, max_waiting=2))
    many = tuple(Unban("login", Address(f"198.18.0.{n}"), 9.0, "manual") for n in range(200))
    DecisionLog().apply(Turn(0.0, many))  # however little room there is, one turn's lines have it
    handler.close()

    assert pipe.lines == [f"[login] Unban {each.address} (manual)" for each in many]
    assert handler.dropped == 0


def test_the_lines_of_a_turn_that_has_no_room_are_counted_one_by_one(logger, monkeypatch):
    monkeypatch.setattr("sidecar.telemetry.decision_log.log", logger)
    pipe = Blocked()
    logger.addHandler(handler := BackgroundHandler(pipe, max_waiting=100))
    many = tuple(Unban("login", Address(f"198.18.0.{n}"), 9.0, "manual") for n in range(200))
    DecisionLog().apply(Turn(0.0, many))
    assert pipe.reached.wait(60)
    DecisionLog().apply(Turn(0.0, many))
    logger.info("and one more")
    pipe.read.set()
    handler.close()

    assert (len(pipe.lines), handler.dropped) == (201, 201)
    assert pipe.lines[-1].startswith("201 log lines are missing here")


def test_an_exit_does_not_wait_for_ever_for_a_pipe_that_nobody_reads(logger, monkeypatch):
    monkeypatch.setattr("sidecar.telemetry.logging.EXIT_TIMEOUT_S", 0.01)
    pipe = Blocked()
    logger.addHandler(handler := BackgroundHandler(pipe))
    logger.info("first")
    handler.close()

    assert pipe.lines == []
    pipe.read.set()


PROGRAM = """
import logging
from sidecar.telemetry.logging import configure_logging, records_dropped
configure_logging("INFO", as_json=False)
for n in range(1000):
    logging.getLogger("x").info("line %d", n)
assert records_dropped() == 0
"""


def test_everything_is_written_in_order_before_the_exit():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)

    assert [line.rpartition("INFO    MainThread: ")[2] for line in ran.stderr.splitlines()] == [
        f"line {n}" for n in range(1000)
    ]


def test_a_program_whose_stderr_nobody_reads_works_and_ends():
    program = PROGRAM.replace("%d", "%9000d").replace("\nassert", "\nprint('done', flush=True)\nassert")
    with subprocess.Popen([sys.executable, "-c", program], stdout=-1, stderr=-1, text=True) as child:
        assert child.stdout.readline() == "done\n"
        assert child.wait(60) == 0
