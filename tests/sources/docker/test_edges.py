"""Where a damaged log can be read on is found by the beginnings of answers, also while the log grows."""

import random
from contextlib import closing

import pytest

from sidecar.sources.docker.edges import (
    MAX_BEGINNINGS,
    MIN_ROOM,
    answer_after,
    answer_behind,
    answer_from,
    answers_around,
    close,
)
from tests.sources.docker.asking import UnreadLog, at, counted, damaged, growing, write
from tests.sources.docker.standin import Container


def is_before(number):
    return lambda stamp: stamp <= at(number)


@pytest.mark.parametrize("behind", [1, 2, 7, 8, 9, 100, 1000])
@pytest.mark.parametrize("before", [1, 20, 500])
def test_the_answer_begins_right_behind_the_damage(engine, asking, before, behind):
    log = UnreadLog(damaged(engine, before, behind))
    for too_many in {behind + 1, behind + 1 + before // 2}:
        with counted() as cost:
            answer, is_known = answer_behind(asking, log, too_many, is_before(before - 1))
        with closing(answer):
            assert (answer.begin(), is_known) == (at(before + 1), True)
            assert sum(map(len, answer.parts())) == behind
        assert cost.answers <= 2 * (too_many.bit_length() + 2)


@pytest.mark.parametrize("last", [0, 5, 18, 19])
@pytest.mark.parametrize("written", [0, 1, 40])
@pytest.mark.parametrize("lots", [None, random.Random(7)])
def test_the_answer_begins_right_after_what_was_passed(engine, asking, last, written, lots):
    """Or in the damage; also if lines were written since, and Docker fails before it has sent what it has."""
    site = damaged(engine, 20, 30)
    site.lots = lots
    write(engine, site, range(51, 51 + written))
    answer, is_known = answer_after(asking, UnreadLog(site), 51 - last - 1, is_before(last))
    with closing(answer):
        assert (answer.begin(), is_known) == (at(last + 1) if last < 19 else b"", True)
        assert answer.asked == 51 + written - last - 1


def test_where_the_log_grows_too_fast_it_is_said_that_what_comes_next_is_not_known(engine, asking):
    site = damaged(engine, 20, 300)
    answer, is_known = answer_after(Racing(engine, site, asking, 3), UnreadLog(site), 315, is_before(5))
    answer.close()

    assert not is_known
    assert at(5) < answer.first


def test_nothing_is_behind_the_damage(engine, asking):
    log = UnreadLog(damaged(engine, 20, 0))

    assert answer_behind(asking, log, 5, is_before(19)) == (None, True)


@pytest.mark.parametrize("pause_s", [0.001, 0.01])
def test_the_edge_is_found_while_the_log_grows(engine, asking, pause_s):
    """The answer that begins there is kept: another one would begin later."""
    site = damaged(engine, 20, 300)
    with growing(engine, site, 1000, pause_s):
        answer, is_known = answer_behind(asking, UnreadLog(site), 301, is_before(19))
        with closing(answer):
            begins = answer.begin()
            assert sum(map(len, answer.parts())) >= answer.asked

    assert begins == at(21) or not is_known
    assert begins < at(400)


class Racing:
    """A log that grows by so many lines before each answer."""

    def __init__(self, engine, site, asking, lines):
        self._engine, self._site, self._asking, self._lines = engine, site, asking, lines
        self._next, self.is_before_23 = 1000, asking.is_before_23

    def logs(self, *args, **options):
        write(self._engine, self._site, range(self._next, self._next + self._lines))
        self._next += self._lines
        return self._asking.logs(*args, **options)


def test_where_the_log_grows_too_fast_it_is_said_that_the_edge_is_not_known(engine, asking):
    site = damaged(engine, 20, 300)
    racing = Racing(engine, site, asking, 3)
    with counted() as cost:
        answer, is_known = answer_behind(racing, UnreadLog(site), 301, is_before(19))
    answer.close()

    assert (is_known, cost.answers) == (False, MAX_BEGINNINGS)
    assert at(20) < answer.first < at(30)


@pytest.mark.parametrize("count", [10, 100, 5000])
@pytest.mark.parametrize("place", [0, 0.3, 0.9, 1])
def test_an_answer_begins_with_the_line_that_was_read_last_or_a_little_before(engine, asking, count, place):
    site = engine.run(Container("a", "site"))
    write(engine, site, range(count))
    mark = int(place * (count - 1))
    with counted() as cost:
        answer, is_all = answer_from(asking, UnreadLog(site), at(mark))
    with closing(answer):
        assert answer.begin() <= at(mark)
        assert is_all == (answer.begin() == at(0))
        behind = count - mark
        assert sum(map(len, answer.parts())) <= max(behind + MIN_ROOM, behind * 8 // 7 + 1)
    assert cost.answers < 40


def test_an_answer_from_a_line_that_is_gone_has_the_whole_log(engine, asking):
    site = engine.run(Container("a", "site"))
    write(engine, site, range(100, 300))
    answer, is_all = answer_from(asking, UnreadLog(site), at(5))
    with closing(answer):
        assert (answer.begin(), is_all) == (at(100), True)
        assert sum(map(len, answer.parts())) == 200


def test_the_line_that_was_read_last_is_found_while_the_log_grows(engine, asking):
    site = engine.run(Container("a", "site"))
    write(engine, site, range(500))
    answer, _ = answer_from(Racing(engine, site, asking, 20), UnreadLog(site), at(450))
    with closing(answer):
        assert answer.begin() <= at(450)


def test_answers_around_begin_one_entry_later_each(engine, asking):
    log = UnreadLog(damaged(engine, 20, 300))
    found, _ = answer_behind(asking, log, 301, is_before(19))
    answers, is_quiet = answers_around(asking, log, found, is_before(19), 8)
    try:
        assert is_quiet
        assert [each.begin() for each in answers] == [at(21 + n) for n in range(9)]
    finally:
        close(answers)
