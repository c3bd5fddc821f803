from datetime import UTC

import pytest

from sidecar.filters.line_explainer import explain_line
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher

NOW = 1_795_338_000.5


def test_a_line_has_its_expression_and_its_time():
    line = "[22-Nov-2026 08:40:04 UTC] wordpress(h)[8]: Authentication failure for admin from 203.0.113.7"
    found = explain_line(load("wordpress"), line, NOW, UTC)

    assert (found.failregex, found.at) == (2, 1_795_336_804.0)
    assert "Authentication failure for" in found.expression


def test_a_line_of_an_access_log_is_read_as_a_request():
    line = '203.0.113.7 - - [22/Nov/2026:08:40:04 +0000] "POST /wp-login.php HTTP/1.1" 200 3105 "-" "curl/8"'
    found = explain_line(load("wordpress-access"), line, NOW, UTC)

    assert found.at == 1_795_336_804.0
    assert found.failregex >= 1


def test_a_line_without_a_time_has_none_and_one_that_matches_nothing_no_explanation(tmp_path):
    (tmp_path / "x.conf").write_text("[Definition]\nfailregex = ^fail <HOST>$\n")
    log_filter = load("x", [tmp_path])

    assert explain_line(log_filter, "fail 203.0.113.7", NOW).at is None
    assert explain_line(log_filter, "hello", NOW) is None


@pytest.mark.parametrize(
    ("expression", "is_tried"), [("^fail <HOST>$", True), (r"^(a+)+x? ?fail <HOST> (b+)+$", False)]
)
def test_expressions_that_may_be_slow_are_not_tried_outside_of_the_sandbox(tmp_path, expression, is_tried):
    (tmp_path / "x.conf").write_text(f"[Definition]\nfailregex = {expression}\n")
    matcher = Matcher({"login": load("x", [tmp_path])})
    try:
        line = "fail 203.0.113.7" if is_tried else "aafail 203.0.113.7 bb"
        assert (matcher.explain("login", line, NOW) is not None) is is_tried
    finally:
        matcher.close()
