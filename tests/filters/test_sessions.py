import pytest

from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters import sessions
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.filters.redos_sandbox import GuardedFilter, RegexSandbox
from sidecar.filters.sessions import (
    MAX_SESSIONS,
    SESSION_TIMEOUT_S,
    SessionTracker,
    SessionTrackers,
)

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


def play(log_filter, *lines, at=0.0):
    tracker = SessionTracker(log_filter)
    failures = [tracker.decide(line, at) for line in lines]
    return [failure and (failure.address, failure.user) for failure in failures]


def test_a_session_has_the_address_of_an_earlier_line(session):
    assert play(session, "s1: hello 203.0.113.7", "s2: wrong password", "s1: wrong password for ann") == [
        *(None, None),
        ("203.0.113.7", "ann"),
    ]


def test_a_failure_waits_for_its_address(session):
    assert play(session, "s1: wrong password for ann", "s1: hello 203.0.113.7") == [
        None,
        ("203.0.113.7", "ann"),
    ]


def test_a_login_cancels_the_failure_that_waits(session):
    assert play(session, "s1: wrong password for ann", "s1: welcome ann", "s1: hello 203.0.113.7") == [
        None,
        None,
        None,
    ]


def test_a_second_user_in_one_session_is_a_guess_even_if_the_login_works(session):
    assert play(session, "s1: hello 203.0.113.7", "s1: tried ann", "s1: welcome bob") == [
        None,
        None,
        ("203.0.113.7", "bob"),
    ]


def test_a_session_that_ended_or_is_old_is_dropped(session):
    assert play(session, "s1: hello 203.0.113.7", "s1: bye", "s1: wrong password") == [None, None, None]

    tracker = SessionTracker(session)
    tracker.decide("s1: hello 203.0.113.7", 0.0)
    assert tracker.decide("s1: wrong password", SESSION_TIMEOUT_S + 1) is None


def test_only_so_many_sessions_are_remembered(session):
    crowd = [f"s{i}: hello 203.0.113.7" for i in range(2, MAX_SESSIONS + 2)]

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


def trackers(log_filter):
    return SessionTrackers(log_filter, GuardedFilter(log_filter, 0, RegexSandbox({}), None))


def log(name, stream="", jails=("a",)):
    return Origin("docker", name, stream, jails)


def test_each_log_has_a_tracker_of_its_own_whichever_jails_look_at_it(session):
    found = trackers(session)

    assert found.of(log("one")) is found.of(log("one", jails=("a", "b")))
    assert len({id(found.of(each)) for each in (log("one"), log("two"), log("one", "stderr"))}) == 3


def test_only_so_many_trackers_are_kept(session, monkeypatch):
    monkeypatch.setattr(sessions, "MAX_TRACKERS", 2)
    found = trackers(session)
    first = found.of(log("0"))
    found.of(log("1"))
    found.of(log("2"))

    assert found.of(log("0")) is not first


def test_trackers_know_what_those_before_them_knew(session):
    before, after = trackers(session), trackers(session)
    before.of(log("one")).decide("s1: hello 203.0.113.7", 0.0)
    after.continue_from(before)

    assert after.of(log("one")).decide("s1: wrong password", 0.0).address == "203.0.113.7"
    assert after.of(log("two")).decide("s1: wrong password", 0.0) is None


def test_the_matcher_remembers_per_log_and_over_batches(session):
    matcher = Matcher({"a": session})

    def scan(name, *lines):
        data = "".join(f"{line}\n" for line in lines).encode()
        return [hit.address for hit in matcher.scan(Batch(log(name), data, Framing.NONE), 0.0).hits]

    assert scan("one", "s1: hello 203.0.113.7") == []
    assert scan("two", "s1: wrong password") == []
    assert scan("one", "noise", "s1: wrong password") == ["203.0.113.7"]
