import pytest

from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.filters.sessions import FORGOTTEN, MOST_SESSIONS, SessionTracker

SESSION = r"""[Definition]
prefregex = ^s<F-MLFID>\d+</F-MLFID>: <F-CONTENT>.+</F-CONTENT>$
failregex = ^wrong password(?: for <F-USER>\S+</F-USER>)?$
            ^<F-NOFAIL>hello</F-NOFAIL> <HOST>$
            ^<F-NOFAIL>tried</F-NOFAIL> <F-USER>\S+</F-USER>$
            ^<F-MLFFORGET><F-MLFGAINED>welcome</F-MLFGAINED></F-MLFFORGET> <F-USER>\S+</F-USER>$
            ^<F-NOFAIL><F-MLFFORGET>bye</F-MLFFORGET></F-NOFAIL>$
"""


@pytest.fixture
def session(tmp_path):
    (tmp_path / "x.conf").write_text(SESSION)
    return load("x", [tmp_path])


def play(rules, *lines, at=0.0):
    following = SessionTracker(rules)
    told = [following.decide(line, at) for line in lines]
    return [failure and (failure.address, failure.user) for failure in told]


def test_an_address_of_an_earlier_line_is_the_sessions(session):
    assert play(session, "s1: hello 203.0.113.7", "s2: wrong password", "s1: wrong password for ann") == [
        *(None, None),
        ("203.0.113.7", "ann"),
    ]


def test_a_failure_waits_for_its_address(session):
    assert play(session, "s1: wrong password for ann", "s1: hello 203.0.113.7") == [
        None,
        ("203.0.113.7", "ann"),
    ]


def test_a_login_makes_up_for_the_failure_that_waits(session):
    assert play(session, "s1: wrong password for ann", "s1: welcome ann", "s1: hello 203.0.113.7") == [
        None,
        None,
        None,
    ]


def test_a_second_user_in_one_session_is_a_guess_even_if_he_gets_in(session):
    assert play(session, "s1: hello 203.0.113.7", "s1: tried ann", "s1: welcome bob") == [
        None,
        None,
        ("203.0.113.7", "bob"),
    ]


def test_a_session_that_ended_or_is_old_is_forgotten(session):
    assert play(session, "s1: hello 203.0.113.7", "s1: bye", "s1: wrong password") == [None, None, None]

    following = SessionTracker(session)
    following.decide("s1: hello 203.0.113.7", 0.0)
    assert following.decide("s1: wrong password", FORGOTTEN + 1) is None


def test_only_so_many_sessions_are_remembered(session):
    crowd = [f"s{i}: hello 203.0.113.7" for i in range(2, MOST_SESSIONS + 2)]

    assert play(session, "s1: hello 203.0.113.8", *crowd, "s1: wrong password")[-1] is None


def test_a_window_of_lines_is_one_text_and_what_matched_leaves_it(tmp_path):
    (tmp_path / "x.conf").write_text(
        "[Definition]\nfailregex = ^from <HOST>$<SKIPLINES>^failed$\nmaxlines = 3\n"
    )
    rules = load("x", [tmp_path])

    assert play(rules, "from 203.0.113.7", "between", "failed", "failed") == [
        None,
        None,
        ("203.0.113.7", None),
        None,
    ]
    assert play(rules, "from 203.0.113.7", "one", "two", "failed") == [None] * 4


def test_the_matcher_remembers_per_origin_and_over_batches(session):
    matcher = Matcher({"a": session})

    def scan(name, *lines):
        data = "".join(f"{line}\n" for line in lines).encode()
        return [
            hit.address
            for hit in matcher.scan(Batch(Origin("docker", name, jails=("a",)), data, Framing.NONE), 0.0)
        ]

    assert scan("one", "s1: hello 203.0.113.7") == []
    assert scan("two", "s1: wrong password") == []
    assert scan("one", "noise", "s1: wrong password") == ["203.0.113.7"]
