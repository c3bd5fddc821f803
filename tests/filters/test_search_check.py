import re

import pytest

from sidecar.filters.search import ID_BITS, Search
from sidecar.filters.search_check import STRETCHES, lost, texts

WORDS = [b"fail", b"error [0-9]+$", b"(?:one|two) door"]


class LosingSearch(Search):
    """A search that loses matches, as Vectorscan does on some processors; `loses` says which, by end and size."""

    def __init__(self, expressions, loses):
        super().__init__(expressions)
        self._loses = loses

    def matches(self, data):
        return [match for match in super().matches(data) if not self._loses(match >> ID_BITS, len(data))]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        (rb"fail\ at", [b"fail at"]),
        (rb"a[0-9]{2}b?", [b"a00", b"a99b", b"a00b"]),
        (
            rb"(?:on|off)\ [\x00-\x09\x0b-\xff]{0,2}$",
            [b"on ", b"off \x7f", b"on aa", b"off \xb0\xb0", b"off \x7f\x7f"],
        ),
        (rb"\xc4[\xb0\xb1]", [b"\xc4\xb0"]),
        (rb"a\nb", []),
    ],
)
def test_texts_that_an_expression_matches(expression, expected):
    assert texts(expression) == expected
    assert all(re.search(expression, text) for text in texts(expression))


def test_texts_have_many_lengths():
    assert [len(text) for text in texts(b"a[^\\n]*$")] == [1 + stretch for stretch in STRETCHES]


def test_a_search_that_finds_everything_loses_nothing():
    assert lost(Search(WORDS), WORDS) == set()


@pytest.mark.parametrize(
    "loses",
    [
        pytest.param(lambda end, size: size - end <= 1, id="at the end"),
        pytest.param(lambda end, size: size > 1_000 and 500 < end < 900, id="in the middle of a batch"),
        pytest.param(lambda _, size: size > 1_000, id="in a batch"),
        pytest.param(lambda end, size: end > 64 and size < 200, id="in lines that are not short"),
    ],
)
def test_a_search_that_loses_some_lines_is_noticed(loses):
    assert lost(LosingSearch(WORDS, loses), WORDS)


def test_only_the_expressions_that_are_lost_are_named():
    search = LosingSearch(WORDS, lambda *_: False)
    search.matches = lambda data: [match for match in Search.matches(search, data) if match % 4 != 1]

    assert lost(search, WORDS) == {1}
