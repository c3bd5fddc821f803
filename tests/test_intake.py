import threading

import pytest

from sidecar.core.events import Batch, Cursor, Framing, Hit, Origin, Read, Who
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.intake import Intake
from sidecar.loop import Inbox

SITE = Origin("docker", "blog", "stdout", ("login",))
STAMP, AT = b"2026-11-22T08:40:04.500000000Z", 1_795_336_804.5
FAIL = "[Definition]\nfailregex = ^fail <HOST>$\n"


def batch(*lines, origin=SITE):
    return Batch(origin, b"".join(STAMP + b" " + line + b"\n" for line in lines), Framing.DOCKER)


@pytest.fixture
def inbox():
    return Inbox(size=1)


@pytest.fixture
def intake(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL)
    return Intake(Matcher({"login": load("login", [tmp_path])}), inbox, lambda: 9e9)


def test_a_batch_becomes_its_hits_and_how_far_was_read(intake, inbox):
    intake(batch(b"fail 203.0.113.7", b"hello", b"fail not-an-address"), Cursor("docker:1", b"7"))

    hit = Hit("login", Who("203.0.113.7"), AT, SITE, "fail 203.0.113.7")
    assert inbox.drain(timeout=0) == [Read(SITE, (hit,), Cursor("docker:1", b"7"))]


def test_a_batch_without_hits_still_says_how_far_was_read(intake, inbox):
    intake(batch(b"hello"), Cursor("docker:1", b"7"))

    assert inbox.drain(timeout=0) == [Read(SITE, (), Cursor("docker:1", b"7"))]


def test_a_log_without_cursor_is_read_too(intake, inbox):
    intake(batch(b"hello"), None)

    assert inbox.drain(timeout=0) == [Read(SITE)]


def test_the_reader_waits_while_the_loop_is_behind(intake, inbox):
    intake(batch(b"first"), Cursor("docker:1", b"1"))
    reader = threading.Thread(target=intake, args=(batch(b"second"), Cursor("docker:1", b"2")))
    reader.start()
    taken = inbox.drain(timeout=5)
    reader.join(5)

    assert [read.cursor.state for read in [*taken, *inbox.drain(timeout=0)]] == [b"1", b"2"]


def test_once_the_loop_has_stopped_nothing_is_taken_and_nobody_waits(intake, inbox):
    intake(batch(b"first"), Cursor("docker:1", b"1"))
    inbox.close()
    intake(batch(b"fail 203.0.113.7"), Cursor("docker:1", b"2"))

    assert [read.cursor.state for read in inbox.drain(timeout=0)] == [b"1"]


def test_names_are_handed_on_after_the_batch_and_come_back_through_the_inbox(tmp_path, inbox):
    (tmp_path / "login.conf").write_text(FAIL + "usedns = yes\n")
    asked = []
    matcher = Matcher({"login": load("login", [tmp_path])})
    Intake(matcher, inbox, lambda: 9e9, lambda *what: asked.append(what))(batch(b"fail ann.example"), None)

    assert inbox.drain(timeout=0) == [Read(SITE)]
    assert asked == [("ann.example", [Hit("login", Who(""), AT, SITE, "fail ann.example")])]
