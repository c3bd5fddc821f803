from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sidecar.core.ranges import flatten

NUMBERS = st.integers(0, 40)
SPANS = st.lists(
    st.tuples(NUMBERS, NUMBERS, st.integers(0, 3)).map(lambda s: (min(s[:2]), max(s[:2]), s[2])), max_size=12
)


def test_nothing_is_flat():
    assert flatten([]) == []


def test_the_smallest_value_stays_where_spans_overlap():
    assert flatten([(0, 9, 2), (3, 5, 1), (4, 20, 3)]) == [(0, 2, 2), (3, 5, 1), (6, 9, 2), (10, 20, 3)]


def test_neighbours_of_one_value_join_and_a_gap_parts_them():
    assert flatten([(5, 9, 0), (0, 4, 0), (11, 12, 0)]) == [(0, 9, 0), (11, 12, 0)]


@given(SPANS)
def test_every_number_has_the_smallest_value_that_lies_over_it(spans):
    flat = flatten(spans)
    told = {n: value for low, high, value in flat for n in range(low, high + 1)}

    assert told == {
        n: min(values) for n in range(41) if (values := [v for low, high, v in spans if low <= n <= high])
    }


@given(SPANS)
def test_what_comes_out_is_in_order_and_apart(spans):
    flat = flatten(spans)

    assert all(low <= high for low, high, _ in flat)
    assert all(one[1] < other[0] for one, other in pairwise(flat))
