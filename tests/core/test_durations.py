import math

import pytest

from sidecar.core.durations import format_duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (-5, "0s"),
        (0.4, "0s"),
        (45, "45s"),
        (59.6, "1m"),
        (600, "10m"),
        (3_661, "1h 1m"),
        (86_399.9999, "1d"),
        (86_430, "1d"),
        (129_600, "1d 12h"),
        (365 * 86_400_000, "365,000d"),
        (math.inf, "for good"),
    ],
)
def test_a_duration_is_shown_in_its_two_largest_units(seconds, text):
    assert format_duration(seconds) == text
