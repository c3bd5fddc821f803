"""The page's doctor runs apart, seldom, and whatever it writes is bounded and has no secret."""

import json
import sys

import pytest

from sidecar.advice.finding import Finding
from sidecar.web import doctor as module
from sidecar.web.doctor import MAX_CHARS, MAX_FINDINGS, Checkup, Doctor, read_findings
from tests.support.waiting import wait_until

FOUND = {"subject": "blog", "ok": False, "sentence": "its log cannot be read", "change": "Give it a driver"}


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """Makes a doctor that runs a program; it writes a line to `runs` each time."""
    made = []

    def make(program):
        one = Doctor([])
        runs = tmp_path / "runs"
        one._command = [sys.executable, "-c", f"open({str(runs)!r}, 'a').write('x')\n{program}"]
        one.runs = lambda: len(runs.read_text()) if runs.exists() else 0
        made.append(one)
        return one

    monkeypatch.setattr(module, "PAUSE_S", 3_600.0)
    yield make
    for one in made:
        one.close()


def ended(doctor, timeout=60):
    wait_until(lambda: not doctor.latest().is_running, timeout=timeout)
    return doctor.latest()


def writes(*findings):
    return f"print({json.dumps({'findings': findings})!r})"


def test_it_looks_when_somebody_asks_and_keeps_what_it_found(doctor):
    one = doctor(writes(FOUND))
    assert one.latest() == Checkup(is_running=True)
    checkup = ended(one)

    assert checkup.findings == (Finding(**FOUND),)
    assert checkup.at > 1e9
    assert not checkup.error


def test_however_many_ask_it_runs_once(doctor):
    one = doctor(writes(FOUND))
    for _ in range(50):
        one.latest()
        one.again()
    ended(one)
    for _ in range(50):
        one.latest()
        one.again()

    assert one.runs() == 1


def test_it_looks_again_when_that_is_due(doctor, monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e9)
    one = doctor(writes(FOUND))
    one.latest()
    ended(one)
    assert one.runs() == 1
    assert one.again().is_running
    ended(one)

    assert one.runs() == 2


def test_a_long_run_makes_a_long_pause(doctor, monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "SHARE", 1e-9)
    one = doctor(writes(FOUND))
    one.latest()
    ended(one)

    assert not one.again().is_running


@pytest.mark.parametrize(
    "program", ["", "print('x')", "print('[]')", "print('{\"findings\": [1]}')", "raise SystemExit(3)"]
)
def test_one_that_fails_says_so(doctor, program):
    one = doctor(program)
    one.latest()

    assert ended(one) == Checkup(error="doctor failed: `wp-sidecar doctor` says more")


def test_one_that_never_ends_is_ended(doctor, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT_S", 0.1)
    one = doctor("import signal; signal.pause()")
    one.latest()

    assert ended(one).error


def test_one_that_writes_without_end_is_ended(doctor):
    one = doctor("while True: print('x' * 10_000)")
    one.latest()

    assert ended(one).error


def test_it_ends_with_the_daemon(doctor):
    one = doctor("import signal; signal.pause()")
    one.latest()
    one.close()

    assert ended(one).error
    assert not one.again().is_running


def test_a_program_that_is_missing_is_an_error():
    one = Doctor([])
    one._command = ["/no/such/program"]

    assert one.latest().error == "doctor cannot be run: No such file or directory"


def test_it_is_asked_for_the_daemon_s_own_configuration():
    assert Doctor(["--socket", "/run/s"])._command[1:] == [
        "-m", "sidecar.web.low_priority", "doctor", "--json", "--socket", "/run/s",
    ]  # fmt: skip


def test_secrets_and_control_characters_are_left_out():
    sentence = "https://hooks.example/T0/B0/secret and redis://:pass@host/0 \x1b[2J"
    written = json.dumps({"findings": [FOUND | {"sentence": sentence, "change": "x " * 5_000}] * 2_000})
    found = read_findings(written.encode())

    assert len(found) == MAX_FINDINGS
    assert "secret" not in found[0].sentence
    assert "pass" not in found[0].sentence
    assert "\x1b" not in found[0].sentence
    assert len(found[0].change) < MAX_CHARS


def test_the_real_command_says_that_no_daemon_runs(tmp_path, monkeypatch):
    """It has the lowest priority, so it may take long on a busy machine."""
    monkeypatch.setattr(module, "TIMEOUT_S", 600.0)
    one = Doctor(["--socket", str(tmp_path / "none.sock")])
    one._command = ["unshare", "--net", "--", *one._command]
    try:
        one.latest()
        checkup = ended(one, 600)
    finally:
        one.close()

    assert not checkup.error
    assert any("no daemon answers" in each.sentence for each in checkup.findings)
