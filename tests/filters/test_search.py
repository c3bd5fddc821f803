"""Vectorscan finds every match, wherever it stands in the data: above all at its end."""

import random

import pytest

from sidecar.filters.database import PatternDatabase
from sidecar.filters.loader import load
from sidecar.filters.search import ID_BITS, ID_MASK, MAX_COPIED_BYTES, PADDING, RefusedError, Search
from sidecar.filters.search_check import texts
from tests.filters import oracle
from tests.filters.samples import ours

# Vectorscan 5.4.12 does not find it at the end of a buffer with one newline, for many lengths of the line.
PASS = load("apache-pass", [oracle.CONFIG / "filter.d"])
KNOCK = b'192.0.2.7 - ann [12/May/2013:19:21:00 +0200] "GET /knocking/ HTTP/1.1" 200 266 "http://example.com/" "%b"'


def found(search, data):
    return [(match & ID_MASK, match >> ID_BITS) for match in dict.fromkeys(search.matches(data))]


@pytest.mark.parametrize("newlines", [b"", b"\n", b"\n\n"])
def test_a_line_at_the_end_of_the_data_is_found_whatever_its_length(newlines):
    database = PatternDatabase([PASS])
    lines = [KNOCK % (b"M" * length) for length in range(1, 300)]

    assert [
        line for line in lines if [line] != [one for one, _ in database.candidates(line + newlines)]
    ] == []


@pytest.mark.parametrize("size", [MAX_COPIED_BYTES, MAX_COPIED_BYTES + 1, 3 * MAX_COPIED_BYTES])
def test_in_much_data_a_match_is_found_at_every_distance_from_the_end(size):
    search = Search([b"fail"])
    for behind in range(4 * len(PADDING)):
        end = size - behind
        data = b"x" * (end - 4) + b"fail" + b"x" * behind
        assert found(search, data) == [(0, end)]
        lines = b"".join(b"%062d\n" % n for n in range(size // 63 + 1))
        data = lines[: end - 4] + b"fail" + lines[end:size]
        assert found(search, data) == [(0, end)]


def test_the_end_of_the_data_is_the_end_of_a_line_and_nothing_follows_it():
    search = Search([b"a$", rb"\n", b"a"])

    assert found(search, b"a\nba") == [(0, 1), (2, 1), (1, 2), (0, 4), (2, 4)]
    assert found(search, b"") == []


def test_the_padding_is_found_by_no_expression_though_a_newline_may_be():
    search = Search([b"^[^0-9]"], once=True)

    assert [found(search, data) for data in (b"1\n2\n", b"1\n\n", b"1")] == [[], [(0, 3)], []]


def test_expressions_that_vectorscan_refuses_are_named():
    with pytest.raises(RefusedError):
        Search([b"(?:x{1000}y{1000}){1000}"])


@pytest.mark.parametrize("name", [*oracle.stock(), *ours()])
def test_each_weakened_expression_is_found_in_a_buffer_of_one_line(name):
    rnd = random.Random(name)
    database = PatternDatabase([load(name, [oracle.CONFIG / "filter.d"])])
    missed = []
    for number, expression in enumerate(database.expressions):
        for text in texts(expression):
            behind = (
                b"" if expression.endswith(b"$") else rnd.randbytes(rnd.randrange(70)).replace(b"\n", b"")
            )
            line = (
                rnd.randbytes(rnd.randrange(130)).replace(b"\n", b"")
                + text
                + behind
                + b"\n" * rnd.randrange(2)
            )
            if all(match & ID_MASK != number for match in database.matches(line)):
                missed.append((expression, line))
    assert missed == []
