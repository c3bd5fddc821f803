from sidecar.config.errors import ConfigError, ConfigErrors, unknown


def test_an_error_is_one_sentence_with_its_place():
    assert str(ConfigError("a.conf", "mail", "port", "wrong", 3)) == "a.conf:3: mail.port: wrong"
    assert str(ConfigError("a.conf", "", "", "wrong")) == "a.conf: wrong"
    assert (unknown("bantme", ["bantime"]), unknown("x", ["bantime"])) == (
        "unknown. Did you mean bantime?",
        "unknown",
    )


def test_errors_are_shown_together():
    wrong = (ConfigError("a.conf", "mail", "port", "wrong", 3), ConfigError("a.conf", "", "", "wrong"))

    assert str(ConfigErrors(wrong)) == "a.conf:3: mail.port: wrong\na.conf: wrong"


def test_an_error_in_json_has_no_line_where_none_is_known():
    error = ConfigError("a.conf", "mail", "port", "wrong")

    assert error.as_dict() == {
        "file": "a.conf",
        "section": "mail",
        "key": "port",
        "message": "wrong",
        "line": None,
    }
