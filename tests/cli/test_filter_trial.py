import io
import os
import time

import pytest

from sidecar.cli.filter_trial import decide_in_time, load_trial, time_limit
from sidecar.config.errors import ConfigErrors
from sidecar.control.exit_codes import ExitCode, Failed
from sidecar.core.events import Framing
from sidecar.filters.redos_sandbox import RegexTimeoutError

STALLS = "fail " + "a" * 400 + " x"


@pytest.fixture
def trial(here):
    def trial(name, **more):
        return load_trial(os.environ, name, **more)

    return trial


def test_each_line_has_a_verdict_in_its_order(trial):
    lines = trial("wordpress", transport=Framing.NONE).verdicts(
        io.BytesIO(b"fail 203.0.113.7\nfine\nfail 203.0.113.8")
    )

    assert [(line.text, line.verdict.id) for line in lines] == [
        ("fail 203.0.113.7", "203.0.113.7"),
        ("fine", None),
        ("fail 203.0.113.8", "203.0.113.8"),
    ]


def test_a_line_that_stalls_has_no_verdict(trial, here):
    (here / "slow.conf").write_text("[Definition]\nfailregex = ^fail (?:a+)+ <HOST>$\n")
    slow = trial("slow")

    line = slow.verdict(STALLS, Framing.NONE, slow.tracker())
    assert (line.stalled, line.verdict.matched) == (True, False)
    assert decide_in_time(slow.rules, STALLS) is None
    assert decide_in_time(slow.rules, "fail a 203.0.113.7").address == "203.0.113.7"


def spin(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_the_time_limit_is_of_processor_time_and_ends_with_its_block():
    with pytest.raises(RegexTimeoutError), time_limit():
        spin(10.0)
    with time_limit():
        spin(0.01)
    spin(0.4)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"options": ["mode"]}, "--set: expected key=value"),
        ({"now": "soon"}, "--now: expected 2026-11-22T08:40:04"),
        ({"zone": "Mars"}, r"--timezone: expected a time zone such as UTC, UTC\+0200 or Europe/Berlin"),
    ],
)
def test_an_option_that_cannot_be_read_is_wrong_usage(trial, options, sentence):
    with pytest.raises(Failed, match=sentence) as failed:
        trial("wordpress", **options)
    assert failed.value.code == ExitCode.USAGE


def test_a_filter_that_does_not_exist_is_no_input_and_one_with_an_error_is_configuration(trial):
    with pytest.raises(Failed, match="there is no filter `wordpres`") as failed:
        trial("wordpres")
    assert failed.value.code == ExitCode.NO_INPUT
    with pytest.raises(ConfigErrors, match="is not a valid regular expression"):
        trial("broken")
    with pytest.raises(ConfigErrors, match="option: "):
        trial("wordpress", options=["failregex=("])


def test_a_time_is_seconds_or_a_date_in_the_zone(trial):
    assert trial("wordpress", now="1732264800").now == 1732264800
    assert trial("wordpress", now="2024-11-22T09:40:00", zone="Europe/Berlin").now == 1732264800
    assert trial("wordpress", now="2024-11-22T08:40:00+00:00", zone="+0300").now == 1732264800
