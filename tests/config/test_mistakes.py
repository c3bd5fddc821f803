from sidecar.config.mistakes import Mistake, Mistakes, unknown


def test_a_mistake_as_a_sentence():
    assert str(Mistake("a.conf", "mail", "port", "wrong", 3)) == "a.conf:3: mail.port: wrong"
    assert str(Mistake("a.conf", "", "", "wrong")) == "a.conf: wrong"
    assert (unknown("bantme", ["bantime"]), unknown("x", ["bantime"])) == (
        "unknown. Did you mean bantime?",
        "unknown",
    )


def test_all_of_them_are_said():
    wrong = (Mistake("a.conf", "mail", "port", "wrong", 3), Mistake("a.conf", "", "", "wrong"))

    assert str(Mistakes(wrong)) == "a.conf:3: mail.port: wrong\na.conf: wrong"
