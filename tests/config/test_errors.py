from sidecar.config.errors import ConfigError, ConfigErrors, unknown


def test_a_mistake_as_a_sentence():
    assert str(ConfigError("a.conf", "mail", "port", "wrong", 3)) == "a.conf:3: mail.port: wrong"
    assert str(ConfigError("a.conf", "", "", "wrong")) == "a.conf: wrong"
    assert (unknown("bantme", ["bantime"]), unknown("x", ["bantime"])) == (
        "unknown. Did you mean bantime?",
        "unknown",
    )


def test_all_of_them_are_said():
    wrong = (ConfigError("a.conf", "mail", "port", "wrong", 3), ConfigError("a.conf", "", "", "wrong"))

    assert str(ConfigErrors(wrong)) == "a.conf:3: mail.port: wrong\na.conf: wrong"
