from sidecar.cli.text import local_time, times


def test_a_time_that_no_calendar_has_is_seconds():
    assert len(local_time(0)) == len("1970-01-01 00:00:00")
    assert local_time(1e20) == "100000000000000000000 s"


def test_a_count_has_its_plural():
    assert [times(count) for count in (0, 1, 2)] == ["0 times", "1 time", "2 times"]
