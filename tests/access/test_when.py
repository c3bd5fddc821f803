from datetime import timedelta, timezone

import pytest

from sidecar.access.when import unix_time, usual_time

AT = 1_795_509_600.0


@pytest.mark.parametrize(
    "text",
    [
        "24/Nov/2026:08:40:00 +0000",
        "24/Nov/2026:03:40:00 -0500",
        "24/Nov/2026:08:40:00",
        "2026-11-24T08:40:00Z",
        "2026-11-24T08:40:00+00:00",
        "2026-11-24 09:40:00+0100",
        "2026/11/24 08:40:00",
        "1795509600",
        "1795509600000",
    ],
)
def test_each_way_to_write_a_second(text):
    assert unix_time(text) == AT


@pytest.mark.parametrize(
    "text",
    [
        "24/Nov/2026:08:40:00.125 +0000",
        "2026-11-24T08:40:00.125Z",
        "2026/11/24 08:40:00.125",
        "1795509600.125",
    ],
)
def test_fractions_are_kept(text):
    assert unix_time(text) == AT + 0.125


def test_a_date_without_a_zone_is_of_the_zone_that_was_configured():
    assert unix_time("24/Nov/2026:03:40:00", timezone(timedelta(hours=-5))) == AT


@pytest.mark.parametrize(
    "text", ["", "-", "31/Feb/2026:00:00:00 +0000", "24/Nov/2026", "yesterday", "99/Xxx/2026:99:99:99"]
)
def test_what_is_no_date(text):
    assert unix_time(text) is None


@pytest.mark.parametrize("zone", [None, timezone(timedelta(hours=2))])
def test_the_quick_way_reads_each_date_alike(zone):
    days = (
        "24/Nov/2026",
        "29/Feb/2024",
        "29/Feb/2026",
        "00/Nov/2026",
        "24/Xxx/2026",
        "24-Nov-2026",
        "٢٤/Nov/2026",
    )
    clocks = (
        "08:40:00",
        "23:59:59",
        "23:59:60",
        "24:00:00",
        "08:60:00",
        " 8:40:00",
        "+8:40:00",
        "08.40:00",
        "0٨:40:00",
    )
    offsets = (" +0000", " -0530", " +9999", " +2400", "+00000", " +00:0", " 00000", "")
    texts = [f"{day}:{clock}{offset}" for day in days for clock in clocks for offset in offsets]

    assert [(text, usual_time(text, zone)) for text in texts] == [
        (text, unix_time(text, zone)) for text in texts
    ]
    assert usual_time("24/Nov/2026:08:40:00 +0000", zone) == AT
