import gc
import threading
import weakref
from dataclasses import replace

import pytest

from sidecar.core.address import Address
from sidecar.core.events import Batch, Cursor, Framing, Hit, Origin, Read
from sidecar.filters.line_explainer import LineExplanation
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.runtime.loop import Inbox
from sidecar.runtime.problems import Problems
from sidecar.sources.dns import Resolver
from sidecar.sources.intake import Intake
from tests.support.problems import ProblemChanges

SITE = Origin("docker", "blog", "stdout", ("login",))
STAMP, AT = b"2026-11-22T08:40:04.500000000Z", 1_795_336_804.5
FAIL = "[Definition]\nfailregex = ^fail <HOST>$\n"


def batch(*lines, origin=SITE):
    return Batch(origin, b"".join(STAMP + b" " + line + b"\n" for line in lines), Framing.DOCKER)


def unheard():
    return Problems().problem("filtering")


@pytest.fixture
def inbox():
    return Inbox(max_messages=1)


@pytest.fixture
def intake(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL)
    return Intake(
        Matcher({"login": load("login", [tmp_path])}), inbox, Resolver(inbox), lambda: 9e9, unheard()
    )


def test_lines_of_evidence_are_explained_by_the_filters_in_force(intake):
    assert intake.explain("login", ["fail 203.0.113.7", "hello"]) == [
        LineExplanation(1, "^fail <HOST>$", None),
        None,
    ]
    assert intake.explain("manual", ["fail 203.0.113.7"]) == [None]


def test_a_batch_becomes_its_hits_and_its_cursor(intake, inbox):
    intake(batch(b"fail 203.0.113.7", b"hello", b"fail not-an-address"), Cursor("docker:1", b"7"))

    hit = Hit("login", Address("203.0.113.7"), AT, SITE, "fail 203.0.113.7")
    assert inbox.drain(timeout=0) == [Read(SITE, (hit,), Cursor("docker:1", b"7"))]


def test_a_batch_without_hits_still_hands_on_its_cursor(intake, inbox):
    intake(batch(b"hello"), Cursor("docker:1", b"7"))

    assert inbox.drain(timeout=0) == [Read(SITE, (), Cursor("docker:1", b"7"))]


def test_a_log_without_cursor_is_read_too(intake, inbox):
    intake(batch(b"hello"), None)

    assert inbox.drain(timeout=0) == [Read(SITE)]


def test_the_reader_waits_while_the_loop_is_behind(intake, inbox):
    intake(batch(b"first"), Cursor("docker:1", b"1"))
    reader = threading.Thread(target=intake, args=(batch(b"second"), Cursor("docker:1", b"2")))
    reader.start()
    taken = inbox.drain(timeout=60)
    reader.join(60)

    assert [read.cursor.state for read in [*taken, *inbox.drain(timeout=0)]] == [b"1", b"2"]


def test_after_the_loop_has_stopped_nothing_is_taken_and_nothing_waits(intake, inbox):
    intake(batch(b"first"), Cursor("docker:1", b"1"))
    inbox.close()
    intake(batch(b"fail 203.0.113.7"), Cursor("docker:1", b"2"))

    assert [read.cursor.state for read in inbox.drain(timeout=0)] == [b"1"]


class Asked(list):
    """A resolver that only keeps what it is asked."""

    def ask(self, name, hits):
        self.append((name, hits))


def test_names_are_handed_on_after_the_batch(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL + "usedns = yes\n")
    asked = Asked()
    matcher = Matcher({"login": load("login", [tmp_path])})
    Intake(matcher, inbox, asked, lambda: 9e9, unheard())(batch(b"fail ann.example"), None)

    assert inbox.drain(timeout=0) == [Read(SITE)]
    assert asked == [("ann.example", [Hit("login", Address(""), AT, SITE, "fail ann.example")])]


# Long lines of it are tried in the sandbox first.
SLOW = FAIL + "            ^(?:a+)+ <HOST>$\n"


def test_another_matcher_is_used_from_the_next_batch_on(tmp_path, intake, inbox):
    (tmp_path / "login.conf").write_text(FAIL.replace("^fail", "^wrong"))
    intake(batch(b"fail 203.0.113.7", b"wrong 203.0.113.8"), None)
    intake.reconfigure(Matcher({"login": load("login", [tmp_path])}))
    taken = inbox.drain(timeout=0)
    intake(batch(b"fail 203.0.113.7", b"wrong 203.0.113.8"), None)

    assert [[hit.address for hit in read.hits] for read in [*taken, *inbox.drain(timeout=0)]] == [
        ["203.0.113.7"],
        ["203.0.113.8"],
    ]


def test_a_scan_that_is_under_way_is_finished_by_the_matcher_it_began_with(tmp_path):
    """Then that one is closed, and with it its sandbox."""
    (tmp_path / "login.conf").write_text(SLOW)
    began, go_on, inbox = threading.Event(), threading.Event(), Inbox()

    # It is asked when a scan begins.
    def clock() -> float:
        began.set()
        assert go_on.wait(60)
        return 9e9

    before, after = (Matcher({"login": load("login", [tmp_path])}) for _ in range(2))
    intake = Intake(before, inbox, Resolver(inbox), clock, unheard())
    line = b"a" * 60 + b" 203.0.113.7"
    reader = threading.Thread(target=intake, args=(batch(b"fail 203.0.113.7", line), None))
    reader.start()
    assert began.wait(60)
    intake.reconfigure(after)
    assert before.usage == {"login": (0.0, 0)}
    go_on.set()
    reader.join(60)

    (read,) = inbox.drain(timeout=60)
    assert len(read.hits) == 2
    assert before.usage["login"][1] == 2
    assert before.sandbox_pid is None
    intake.close()


def test_a_matcher_that_is_not_used_any_more_is_freed(tmp_path, inbox):
    """Its patterns are megabytes."""
    (tmp_path / "login.conf").write_text(SLOW)
    first = Matcher({"login": load("login", [tmp_path])})
    gone, intake = weakref.ref(first), Intake(first, inbox, Resolver(inbox), lambda: 9e9, unheard())
    del first
    gc.disable()
    try:
        intake(batch(b"fail 203.0.113.7", b"a" * 60 + b" 203.0.113.7"), None)
        inbox.drain(timeout=0)
        intake.reconfigure(Matcher({"login": load("login", [tmp_path])}))
        assert gone() is None
    finally:
        gc.enable()


def test_figures_do_not_fall_when_the_matcher_changes(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL)
    intake = Intake(
        Matcher({"login": load("login", [tmp_path])}), inbox, Resolver(inbox), lambda: 9e9, unheard()
    )
    for _ in range(3):
        intake(batch(b"fail 203.0.113.7", b"fail 999.1.1.1"), None)
        inbox.drain(timeout=0)
        intake.reconfigure(Matcher({"login": load("login", [tmp_path])}))

    assert (intake.usage["login"][1], intake.invalid) == (6, 3)
    assert intake.usage["login"][0] > 0


def test_a_suspended_filter_is_tried_by_the_next_matcher(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(SLOW)
    changes = ProblemChanges()
    problems = Problems(changes)
    slow = Matcher({"login": load("login", [tmp_path])}, problems=problems)
    intake = Intake(slow, inbox, Resolver(inbox), lambda: 9e9, unheard())
    intake(batch(*[b"a" * 60 + b"!a 203.0.113.7"] * 8), None)
    inbox.drain(timeout=0)
    intake.reconfigure(Matcher({"login": load("login", [tmp_path])}))
    intake(batch(b"fail 203.0.113.7"), None)

    assert [(name, sentence is None) for name, sentence in changes] == [
        ("filter login", False),
        ("filter login", True),
    ]
    assert [len(read.hits) for read in inbox.drain(timeout=0)] == [1]


SESSIONS = """
[Definition]
failregex = ^s<F-MLFID>\\d+</F-MLFID> <F-NOFAIL>from</F-NOFAIL> <HOST>$
            ^s<F-MLFID>\\d+</F-MLFID> failed$
"""


def test_sessions_are_known_to_the_next_matcher(tmp_path, inbox):
    """The address stands in another line than the failure; in between, other filters and jails come and go."""
    (tmp_path / "login.conf").write_text(FAIL)
    (tmp_path / "ssh.conf").write_text(SESSIONS)
    first = Matcher({"ssh": load("ssh", [tmp_path])})
    intake = Intake(first, inbox, Resolver(inbox), lambda: 9e9, unheard())
    intake(batch(b"s1 from 203.0.113.7", origin=replace(SITE, jails=("ssh",))), None)
    taken = inbox.drain(timeout=0)
    intake.reconfigure(Matcher({"login": load("login", [tmp_path]), "ssh": load("ssh", [tmp_path])}))
    intake(batch(b"s1 failed", origin=replace(SITE, jails=("login", "ssh"))), None)

    assert [[hit.address for hit in read.hits] for read in [*taken, *inbox.drain(timeout=0)]] == [
        [],
        ["203.0.113.7"],
    ]


def test_a_filter_that_has_changed_knows_no_earlier_session(tmp_path, inbox):
    (tmp_path / "ssh.conf").write_text(SESSIONS)
    intake = Intake(Matcher({"ssh": load("ssh", [tmp_path])}), inbox, Resolver(inbox), lambda: 9e9, unheard())
    origin = replace(SITE, jails=("ssh",))
    intake(batch(b"s1 from 203.0.113.7", origin=origin), None)
    inbox.drain(timeout=0)
    (tmp_path / "ssh.conf").write_text(SESSIONS.replace("failed$", "failed[.]?$"))
    intake.reconfigure(Matcher({"ssh": load("ssh", [tmp_path])}))
    intake(batch(b"s1 failed", origin=origin), None)

    assert [read.hits for read in inbox.drain(timeout=0)] == [()]


class FailingMatcher(Matcher):
    """Cannot scan as long as `error` is set."""

    error = None

    def scan(self, batch, now):
        if self.error:
            raise self.error
        return super().scan(batch, now)


def test_a_filter_that_fails_batch_after_batch_is_a_problem_until_it_works(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL)
    problems, clock = Problems(), [0.0]
    matcher = FailingMatcher({"login": load("login", [tmp_path])})
    intake = Intake(matcher, inbox, Resolver(inbox), lambda: clock[0], problems.problem("filtering"))
    matcher.error = KeyError("date")

    for count in range(1, 5):
        with pytest.raises(KeyError):
            intake(batch(b"fail 203.0.113.7"), None)
        assert problems.critical == (count >= 3)
    assert problems.sentences[0].startswith(
        "the last 4 batches of lines of blog could not be filtered (KeyError('date')): its failures do not count"
    )

    matcher.error = None
    intake(batch(b"hello"), None)
    assert not problems.critical
    inbox.drain(timeout=0)


def test_a_failing_log_that_has_gone_is_forgotten(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL)
    problems, clock = Problems(), [0.0]
    matcher = FailingMatcher({"login": load("login", [tmp_path])})
    intake = Intake(matcher, inbox, Resolver(inbox), lambda: clock[0], problems.problem("filtering"))
    matcher.error = KeyError("date")
    for _ in range(3):
        with pytest.raises(KeyError):
            intake(batch(b"fail 203.0.113.7"), None)
    matcher.error = None

    other = replace(SITE, name="other")
    intake(batch(b"hello", origin=other), None)
    inbox.drain(timeout=0)
    assert problems.critical
    clock[0] = 601
    intake(batch(b"hello", origin=other), None)
    inbox.drain(timeout=0)
    assert not problems.critical


def test_lines_that_the_search_lost_are_counted_behind_the_hits_and_across_a_reload(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL)
    first, second = (Matcher({"login": load("login", [tmp_path])}) for _ in range(2))
    intake = Intake(first, inbox, Resolver(inbox), lambda: 9e9, unheard())
    first.audit = lambda *_: setattr(first._audit, "lost", len(inbox.drain(timeout=0)))
    intake(batch(b"hello"), None)
    intake.reconfigure(second)
    second._audit.lost = 2

    assert intake.lost_lines == 3
