"""The undamaged end of a log is found, also while the log grows."""

import threading
from contextlib import closing, contextmanager
from itertools import count

import pytest

from sidecar.sources.docker.api import DockerHost
from sidecar.sources.docker.connection import Interrupt
from sidecar.sources.docker.cursor import DockerCursor
from sidecar.sources.docker.tails import last_entries, undamaged_end, window_with_room
from tests.sources.docker.running import AT
from tests.sources.docker.standin import Container, stamp

SECOND = 10**9


class UnreadLog:
    """What is asked about a log whose last line that was read is this one."""

    def __init__(self, container, mark=b""):
        self.container, self.cursor = container.id, DockerCursor(0, mark)


@pytest.fixture
def asking(engine):
    with closing(DockerHost(engine.url).open(Interrupt())) as asking:
        yield asking


def at(number):
    return stamp(AT + number * SECOND)


def write(engine, container, numbers):
    for number in numbers:
        engine.write(container, b"%d" % number, at=AT + number * SECOND)


def damaged(engine, before, behind):
    """A container with so many lines before the damage, and behind it."""
    site = engine.run(Container("a", "site"))
    site.damage_ends = True
    write(engine, site, range(before))
    site.damage = len(site.frames)
    write(engine, site, range(before, before + 1 + behind))
    return site


@pytest.mark.parametrize("behind", [1, 2, 7, 8, 9, 100, 1000])
def test_the_end_begins_right_behind_the_damage(engine, asking, behind):
    log = UnreadLog(damaged(engine, 20, behind))
    found = undamaged_end(asking, log, last_entries(asking, log, 1))

    assert (found.count, found.first, found.is_whole) == (behind, at(21), False)


def test_a_log_without_damage_is_whole(engine, asking):
    site = engine.run(Container("a", "site"))
    write(engine, site, range(50))
    log = UnreadLog(site)

    assert undamaged_end(asking, log, last_entries(asking, log, 1)).is_whole


def test_the_search_ends_at_the_line_that_was_read_last(engine, asking):
    log = UnreadLog(damaged(engine, 20, 500), mark=at(500))
    found = undamaged_end(asking, log, last_entries(asking, log, 1))

    assert found.has_mark
    assert found.count <= 64
    assert window_with_room(asking, log, found) >= 21


@contextmanager
def growing(engine, site, first, pause_s):
    """Lines are written to the log, numbered from `first` on, as long as the `with` lasts."""
    over = threading.Event()

    def grow():
        for number in count(first):
            if over.wait(pause_s):
                return
            write(engine, site, [number])

    writer = threading.Thread(target=grow)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def test_no_line_is_left_out_while_the_log_grows(engine, asking):
    site = damaged(engine, 20, 300)
    log = UnreadLog(site)
    newest = last_entries(asking, log, 1)
    with growing(engine, site, 1000, 0.005):
        found = undamaged_end(asking, log, newest)

    assert found.first == at(21)
    assert b"".join(found.body).count(b"\n") == found.count


@pytest.mark.parametrize("behind", [3, 20, 500])
def test_the_line_that_was_read_last_is_found_behind_the_damage_while_the_log_grows(engine, asking, behind):
    """The damage is this many lines before it. An answer that begins a line too early is of no use."""
    site = damaged(engine, 20, behind + 3000)
    log = UnreadLog(site, mark=at(20 + behind))
    with growing(engine, site, 5000, 0.02):
        found = undamaged_end(asking, log, last_entries(asking, log, 1))

    assert found.has_mark
    assert at(20) < found.first <= at(20 + behind)


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
