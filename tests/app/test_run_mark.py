"""The next run says that the last one was killed, and not that it ended, or that the machine did."""

import contextlib
import signal

import pytest

from sidecar.app.run_mark import KILLED, RunMark
from tests.support.running import Running
from tests.support.waiting import wait_until


@pytest.fixture
def boot(tmp_path):
    path = tmp_path / "boot_id"
    path.write_text("first\n")
    return path


@pytest.fixture
def state(tmp_path):
    path = tmp_path / "state"
    path.mkdir()
    return path


def test_a_run_that_did_not_end_is_said(state, boot, caplog):
    RunMark(state, boot).set()
    assert caplog.messages == []
    RunMark(state, boot)
    assert caplog.messages == [KILLED]


def test_a_run_that_ended_is_not(state, boot, caplog):
    mark = RunMark(state, boot)
    mark.set()
    mark.close()
    RunMark(state, boot).close()
    assert (caplog.messages, [*state.iterdir()]) == ([], [])


def test_a_reboot_kills_no_run(state, boot, caplog):
    RunMark(state, boot).set()
    boot.write_text("second\n")
    RunMark(state, boot)
    assert caplog.messages == []


@pytest.mark.parametrize("there", ["folder", "nothing"])
def test_what_cannot_be_written_is_the_stores_to_report(state, boot, caplog, there):
    if there == "folder":
        (state / "running").mkdir()
    else:
        state.rmdir()
    mark = RunMark(state, boot)
    mark.set()
    mark.close()
    assert caplog.messages == []


def test_a_start_that_fails_is_not_one_that_was_killed(state, boot, caplog):
    RunMark(state, boot)
    RunMark(state, boot)
    assert caplog.messages == []


def test_a_daemon_that_is_killed_is_said_by_the_next(tmp_path):
    with contextlib.closing(Running(tmp_path)) as running:
        running.start()
        running.end(signal.SIGKILL)
        running.start()
        wait_until(lambda: KILLED in running.stderr())
        assert running.end() == 0
        assert not (tmp_path / "state" / "running").exists()
