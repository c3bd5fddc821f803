from sidecar.cli.text import safe, when


def test_nothing_that_a_terminal_obeys_is_written():
    assert safe("GET /wp-login.php") == "GET /wp-login.php"
    assert (
        safe("Köln \x1b]0;x\x07\r\n\t\x9b\u202e\ud800\u2028")
        == "Köln \\x1b]0;x\\x07\\r\\n\\t\\x9b\\u202e\\ud800\\u2028"
    )


def test_a_time_that_no_calendar_has_is_seconds():
    assert len(when(0)) == len("1970-01-01 00:00:00")
    assert when(1e20) == "100000000000000000000 s"
