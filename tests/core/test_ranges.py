from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.ranges import flatten

NUMBERS = st.integers(0, 40)
SPANS = st.lists(
    st.tuples(NUMBERS, NUMBERS, st.integers(0, 3)).map(lambda s: (min(s[:2]), max(s[:2]), s[2])), max_size=12
)


def test_no_spans_are_no_spans():
    assert flatten([]) == []


def test_the_smallest_value_stays_where_spans_overlap():
    assert flatten([(0, 9, 2), (3, 5, 1), (4, 20, 3)]) == [(0, 2, 2), (3, 5, 1), (6, 9, 2), (10, 20, 3)]


def test_adjacent_spans_of_one_value_are_joined():
    assert flatten([(5, 9, 0), (0, 4, 0), (11, 12, 0)]) == [(0, 9, 0), (11, 12, 0)]


@given(SPANS)
def test_every_number_has_the_smallest_value_that_covers_it(spans):
    flat = flatten(spans)
    covered = {n: value for low, high, value in flat for n in range(low, high + 1)}

    assert covered == {
        n: min(values) for n in range(41) if (values := [v for low, high, v in spans if low <= n <= high])
    }


@given(SPANS)
def test_the_result_is_in_order_and_disjoint(spans):
    flat = flatten(spans)

    assert all(low <= high for low, high, _ in flat)
    assert all(one[1] < other[0] for one, other in pairwise(flat))
