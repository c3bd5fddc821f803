import logging
import threading

import pytest

from sidecar.filters import database as module
from sidecar.filters.database import FailregexId, PatternDatabase
from sidecar.filters.search import ID_MASK, Search
from sidecar.runtime.problems import Problems

pytestmark = pytest.mark.usefixtures("nothing_distrusted")


class Losing(Search):
    """A search that never finds expressions with this word."""

    word = b"fail"

    def __init__(self, expressions):
        super().__init__(expressions)
        self._lost = {i for i, expression in enumerate(expressions) if self.word in expression}

    def matches(self, data):
        return [match for match in super().matches(data) if match & ID_MASK not in self._lost]


def found(database, data):
    """The candidate lines, each with the failregexes that may match it."""
    return [
        (line, [tuple(one) for one in database.failregexes(patterns)])
        for line, patterns in database.candidates(data)
    ]


def test_each_candidate_line_comes_with_the_failregexes_that_may_match_it(filters):
    database = PatternDatabase(
        [
            filters("x", "^fail <HOST>$", "^error .* <HOST>$"),
            filters("y", "fail(?: <HOST>)?", "^<HOST> gone$"),
        ]
    )
    data = b"hello\nfail 203.0.113.7\n\nan error x 203.0.113.7\r\nlast fail"

    assert found(database, data) == [
        (b"fail 203.0.113.7", [(0, 0), (1, 0)]),
        (b"an error x 203.0.113.7\r", [(0, 1)]),
        (b"last fail", [(1, 0)]),
    ]


def test_a_line_of_which_only_a_word_was_found_is_no_candidate_without_the_word_beside_it(filters):
    requests = filters(
        "x",
        r"^<ADDR> \S+ /wp-content/uploads/\S*\.php ",
        r"^<ADDR> \S+ \S*/secret ",
        options="input = requests",
    )
    database = PatternDatabase([requests])
    data = b"/wp-login.php\n/wp-content/uploads/a.php\n/secret.php\n/uploads/a.png\n/index.php"

    assert found(database, data) == [(b"/wp-content/uploads/a.php", [(0, 0)]), (b"/secret.php", [(0, 1)])]
    assert found(database, b"/index.php") == []


def test_a_line_is_found_once_though_an_expression_takes_its_newline(filters):
    database = PatternDatabase([filters("x", "^fail <HOST>$")])
    database._search = Search([b"fail", rb"7\n", b"bye"])

    assert [line for line, _ in database.candidates(b"fail 7\nbye\nx7\nbye")] == [
        b"fail 7",
        b"bye",
        b"x7",
        b"bye",
    ]


def test_one_expression_may_stand_for_several_failregexes(filters):
    database = PatternDatabase([filters("x", "^fail <HOST>$"), filters("y", "^fail <HOST>$")])

    assert found(database, b"fail 203.0.113.7\n") == [(b"fail 203.0.113.7", [(0, 0), (1, 0)])]


def test_a_failregex_that_cannot_be_searched_for_is_tried_on_every_line_with_a_warning(filters, caplog):
    with caplog.at_level(logging.WARNING):
        database = PatternDatabase([filters("x", "^fail(?: <HOST>)?$", "(?:<HOST>)?")])

    assert found(database, b"one\n\nfail\ntwo") == [
        (b"one", [(0, 1)]),
        (b"fail", [(0, 0), (0, 1)]),
        (b"two", [(0, 1)]),
    ]
    (record,) = caplog.records
    assert "slow, as every line has to be tried: (?:<HOST>)?" in record.getMessage()


def test_a_window_of_lines_needs_every_line(filters):
    database = PatternDatabase([filters("x", "^from <HOST>$<SKIPLINES>^failed$", options="maxlines = 3")])

    assert [line for line, _ in database.candidates(b"from 203.0.113.7\nx\nfailed\n")] == [
        *(b"from 203.0.113.7", b"x", b"failed"),
    ]


def test_a_database_of_nothing_finds_nothing():
    assert list(PatternDatabase([]).candidates(b"x\n")) == []


def test_threads_may_search_at_once(filters):
    database = PatternDatabase([filters("x", "^fail <HOST>$")])
    data = b"hello\nfail 203.0.113.7\n" * 500
    numbers = []

    def search():
        numbers.extend(sum(1 for _ in database.candidates(data)) for _ in range(20))

    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert numbers == [500] * 80


def test_failregexes_that_the_search_loses_are_tried_on_every_line_and_reported(filters, monkeypatch):
    monkeypatch.setattr(module, "Search", Losing)
    problems = Problems()
    database = PatternDatabase([filters("x", "^fail <HOST>$", "^error <HOST>$")], problems)

    assert found(database, b"hello\nfail 203.0.113.7\nerror 203.0.113.7") == [
        (b"hello", [(0, 0)]),
        (b"fail 203.0.113.7", [(0, 0)]),
        (b"error 203.0.113.7", [(0, 0), (0, 1)]),
    ]
    (sentence,) = problems.sentences
    assert "loses lines that 1 failregexes match" in sentence
    assert "x.conf:2: ^fail <HOST>$" in sentence
    assert not problems.critical


def test_a_search_that_loses_everything_is_not_used(filters, monkeypatch):
    monkeypatch.setattr(module, "Search", Losing)
    monkeypatch.setattr(Losing, "word", b"")
    database = PatternDatabase([filters("x", "^fail <HOST>$", "^error <HOST>$")])

    assert found(database, b"hello") == [(b"hello", [(0, 0), (0, 1)])]


def test_a_failregex_that_lost_a_line_is_tried_on_every_line_from_then_on(filters):
    problems = Problems()
    rules = filters("x", "^fail <HOST>$", "^error <HOST>$"), filters("y", "^fail <HOST>$")
    database = PatternDatabase(rules, problems)
    before = [patterns for _, patterns in database.candidates(b"hello\nerror 203.0.113.7")]
    database.distrust([FailregexId(0, 0)])

    assert found(database, b"hello\nerror 203.0.113.7") == [
        (b"hello", [(0, 0), (1, 0)]),
        (b"error 203.0.113.7", [(0, 0), (0, 1), (1, 0)]),
    ]
    # Nothing that was remembered for a set of patterns is taken for another.
    assert not {patterns for _, patterns in database.candidates(b"hello\nerror 203.0.113.7")} & {*before}
    assert "2 failregexes" in problems.sentences[0]

    after_a_reload = PatternDatabase(rules, problems)
    assert found(after_a_reload, b"hello") == [(b"hello", [(0, 0), (1, 0)])]

    PatternDatabase([filters("z", "^error <HOST>$")], problems)
    assert problems.sentences == ()
