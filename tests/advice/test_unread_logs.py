import pytest

from sidecar.advice.unread_logs import (
    idle_filter,
    json_file_wrapping,
    matched_nothing,
    not_understood,
    setting_of_container,
    setting_of_file,
)


def test_a_log_that_is_not_understood_comes_with_example_lines_and_the_setting():
    assert not_understood("nginx", 200, ["GET / 200", "a\x1b[31m\nb"], setting_of_container("nginx")) == (
        "the log of nginx is not understood: of 200 lines none is a request in a known format, or a plugin's message, so "
        "failed logins do not count. Set the label `wp-sidecar.log-format` of nginx to the server's `log_format`, "
        "`LogFormat` or `log-format`; or have the log of its web server read (docs/sources.md, Front ends). It has lines like "
        r'"GET / 200"; "a\x1b[31m\nb"'
    )


def test_it_says_which_site_is_behind_and_which_configured_format_does_not_fit():
    sentence = not_understood(
        "nginx", 200, ["x" * 1_000], setting_of_file(["a", "b"]), behind="blog", declared="logformat of a"
    )

    assert "the log of nginx, in front of blog, is not understood" in sentence
    assert "The logformat of a does not fit. Set `logformat` in [a], [b] to " in sentence
    assert sentence.endswith(f'"{"x" * 160}"')


@pytest.mark.parametrize(
    "line",
    [
        '[2026-12-01T04:37:20.526Z] "GET / HTTP/1.1" 404 - 0 18 80 79 "203.0.113.200" "curl" "23a04adf" "a" "127.0.0.1:9000"',
        '[2026-12-01T04:37:20.526Z] "POST /wp-login.php HTTP/2" 503 UF,URX via_upstream - "-" 0 18 8 7 "-" "curl" "23a04adf"',
    ],
)
def test_envoys_text_cannot_be_declared(line):
    sentence = not_understood("gateway", 200, [line], setting_of_container("gateway"))

    assert "It looks like Envoy's text" in sentence
    assert "`accessLogEncoding: JSON`" in sentence
    assert "Set the label" not in sentence


def test_filters_that_match_nothing():
    assert matched_nothing("probes", "mine", 100) == (
        "the filter mine of [probes] has matched none of 100 lines that have its words: its failregex does not fit the log, "
        "or its ignoreregex fits too often. Try `wp-sidecar test-filter mine` on it"
    )
    assert idle_filter("probes", "mine", 25_000).startswith(
        "the filter mine of [probes] has matched none of 25,000 lines. If there were attacks, it does not fit: "
    )
    assert json_file_wrapping("probes", "mine") == (
        "the filter mine of [probes] expects lines as Docker's json-file driver stores them "
        '({"log":"...), but lines of containers are read without that. Remove {"log":" and what belongs to it from its '
        "failregex"
    )
