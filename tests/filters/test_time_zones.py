from datetime import UTC, datetime, timedelta

import pytest
from fail2ban.server.strptime import validateTimeZone

from sidecar.filters.time_zones import format_offset, parse_time_zone

WINTER, SUMMER = datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)


def hours(text, at=WINTER):
    return (at.astimezone(parse_time_zone(text)).utcoffset() or timedelta()) / timedelta(hours=1)


@pytest.mark.parametrize(
    "text",
    ["UTC", "UTC+0200", "GMT-0500", "UTC-05:00", "+0200", "-0330", "UTC+05", "Z", "CET", "CET+0100", "EST"],
)
def test_a_fixed_zone_means_what_it_means_to_fail2ban(text):
    assert hours(text) * 60 == validateTimeZone(text) == hours(text, SUMMER) * 60


def test_a_named_zone_has_daylight_saving_time():
    assert (hours("Europe/Berlin"), hours("Europe/Berlin", SUMMER)) == (1, 2)
    assert (hours(" America/New_York "), hours("Asia/Kolkata")) == (-5, 5.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mars",
        "UTC+2500",
        "UTC+",
        "/etc/passwd",
        "../UTC",
        "Europe",
        "IST",
        "UTC+02000",
        "a\0b",
        "é" * 300,
    ],
)
def test_what_is_no_zone_is_an_error_with_examples(text):
    with pytest.raises(ValueError, match="expected a time zone such as UTC, UTC\\+0200 or Europe/Berlin"):
        parse_time_zone(text)


@pytest.mark.parametrize("text", ["UTC-0500", "UTC+0545", "UTC+1400", "UTC+0000"])
def test_an_offset_is_written_as_it_is_read(text):
    assert format_offset(hours(text) * 3_600) == text
