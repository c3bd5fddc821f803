"""The last entries of a log."""

from contextlib import closing

import pytest

from sidecar.sources.docker.tails import Answer, TerminalEntries, beginning, last_entries, window_with_room
from sidecar.sources.docker.wire import ProtocolError
from tests.sources.docker.asking import UnreadLog, at, damaged, write
from tests.sources.docker.standin import Container


def test_an_answer_is_read_no_further_than_its_beginning(engine, asking):
    log = UnreadLog(damaged(engine, 20, 50))
    with closing(Answer(asking, log, 30)) as answer:
        assert answer.begin() == at(41)
        assert [text[:30] for entries in answer.parts() for _, text in entries] == [*map(at, range(41, 71))]
        assert (answer.came, answer.highest, answer.is_short) == (30, at(70), False)


@pytest.mark.parametrize("tty", [False, True])
def test_the_bytes_of_entries_are_those_of_an_answer(engine, asking, tty):
    site = engine.run(Container("a", "site", tty=tty))
    write(engine, site, range(3))
    with closing(Answer(asking, UnreadLog(site), 2)) as answer:
        entries = [entry for part in answer.parts() for entry in part]
    said = asking.logs(site.id, 0, follow=False, tail=2)
    with closing(said):
        body = b"".join(iter(said.read, b""))

    assert answer.body(entries) == body


def test_an_answer_that_begins_in_the_damage_has_nothing_or_less(engine, asking):
    log = UnreadLog(damaged(engine, 20, 50))
    with closing(Answer(asking, log, 51)) as answer:
        assert answer.begin() == b""
        assert answer.is_short


def test_the_last_entries_say_whether_the_line_that_was_read_last_is_among_them(engine, asking):
    site = engine.run(Container("a", "site"))
    write(engine, site, range(50))
    log = UnreadLog(site, mark=at(40))

    assert [last_entries(asking, log, count).has_mark for count in (9, 10)] == [False, True]
    assert [last_entries(asking, log, count).is_whole for count in (50, 51)] == [False, True]
    assert beginning(asking, log) == at(0)


def test_a_window_has_room_and_no_damage(engine, asking):
    log = UnreadLog(damaged(engine, 20, 500))

    assert window_with_room(asking, log, 3) == 192
    assert window_with_room(asking, log, 500) == 500
    assert window_with_room(asking, log, 0) == 0


def test_a_terminals_line_without_an_end_is_refused(monkeypatch):
    monkeypatch.setattr("sidecar.sources.docker.tails.MAX_REST_BYTES", 10)
    entries = TerminalEntries()

    assert entries.feed(b"one\ntw") == [(1, b"one")]
    with pytest.raises(ProtocolError):
        entries.feed(b"o, and more")


class CutAnswer:
    """An Engine whose answer is cut."""

    complete, is_before_23 = False, True

    def logs(self, *_args, **_options):
        return self

    def read(self):
        return b""

    def close(self):
        pass


def test_a_connection_that_is_cut_is_no_damage(engine):
    """Taken for damage, it would end the search, and lines in between would be left out."""
    log = UnreadLog(engine.run(Container("a", "site")))

    with pytest.raises(ConnectionError):
        last_entries(CutAnswer(), log, 5)
