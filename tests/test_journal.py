import json
import logging
import math
import sys

from sidecar.core.events import Ban, Turn, Unban, Who
from sidecar.journal import Journal, Json, ending

ANN = Who("203.0.113.7")


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


def test_for_good():
    assert ending(math.inf) == "for good"


def test_a_record_is_one_json_line_even_with_a_traceback():
    try:
        raise OSError("two\nlines")
    except OSError:
        record = logging.LogRecord("sidecar.loop", logging.ERROR, "", 0, "%s broke", ("nft",), sys.exc_info())
    line = Json().format(record)

    assert "\n" not in line
    assert json.loads(line)["message"] == "nft broke"
    assert json.loads(line)["exception"].endswith("OSError: two\nlines")
