from datetime import UTC, timedelta, timezone

import pytest

from sidecar.filters import dates as module
from sidecar.filters.dates import MAX_SEARCHED_CHARS, Dates, seconds, template, templates

NOW = 1_795_338_000.0  # 2026-11-22 09:00:00 UTC
DEFAULT = Dates(templates([]))
START = Dates(templates(["{^LN-BEG}"]))


def read(dates, line, now=NOW, zone=UTC):
    found = dates.find(line)
    return found and (line[: found.start(1)] + line[found.end(1) :], seconds(found, now, zone))


@pytest.mark.parametrize(
    ("line", "left", "time"),
    [
        ("2026-11-22 08:40:04 x", " x", 1795336804),
        ("2026-11-22T08:40:04,123+01:00 x", " x", 1795333204),
        ("2026/11/22 08:59:01 [error] 8#8", " [error] 8#8", 1795337941),
        ("[Sun Nov 22 08:57:49.852038 2026] [php:notice]", "[] [php:notice]", 1795337869),
        ("Nov 22 08:59:51 host x", " host x", 1795337991),
        ('1.2.3.4 - - [22/Nov/2026:08:57:49 +0100] "GET', '1.2.3.4 - - [] "GET', 1795334269),
        ("[22-Nov-2026 08:40:04 UTC] msg", "[] msg", 1795336804),
        ("11/22/2026:08:40:04 x", " x", 1795336804),
        ("1795336804 x", " x", 1795336804),
        ("1795336804.123 x", " x", 1795336804.123),
        ("type=USER msg=audit(1795336804.123:7): x", "type=USER msg=audit(:7): x", 1795336804.123),
        ("08:40:04 x", " x", 1795336804),
        ("09:40:04 x", " x", 1795340404 - 86400),
        ("<11/22/26@08:40:04> x", " x", 1795336804),
        ("261122 8:40:04 x", " x", 1795336804),
        ("Nov 22, 2026 8:40:04 PM x", " x", 1795336804 + 43200),
        ("Nov-22-26 08:40:04 x", " x", 1795336804),
        ("20261122T084004Z x", " x", 1795336804),
        ("[PDT Nov 22 01:40:04] x", "[] x", 1795336804),
        ("@40000000507c0d600000000a x", " x", 1350307168),
    ],
)
def test_a_date_is_cut_out_and_read(line, left, time):
    assert read(DEFAULT, line) == (left, time)


@pytest.mark.parametrize("line", ["no date", "", "at 1795336804 x", "x1795336804", "26-1 x"])
def test_text_that_is_no_date_stays(line):
    assert DEFAULT.find(line) is None


def test_a_pattern_may_be_bound_to_the_beginning_of_the_line():
    assert START.find("user 2026-11-22 08:40:04 x") is None
    assert read(START, " [2026-11-22 08:40:04] x") == (" [] x", 1795336804)


def test_of_two_dates_the_left_one_counts_as_the_right_one_may_be_a_clients_text():
    assert (
        read(DEFAULT, "x [22/Nov/2026:08:40:04 +0000] 2001-01-01 00:00:00")[0] == "x [] 2001-01-01 00:00:00"
    )


def test_an_own_pattern_cuts_its_first_group():
    dates = Dates(templates([r"^[^\[]*\[({DATE})"]))

    assert read(dates, "1.2.3.4 2001-01-01 00:00:00 [22/Nov/2026:08:40:04 +0000] x") == (
        "1.2.3.4 2001-01-01 00:00:00 [] x",
        1795336804,
    )


@pytest.mark.parametrize(
    ("pattern", "line", "expected"),
    [
        ("%Y-%m-%d", "2026-11-22 x", (" x", 1795305600)),
        ("^<%d.%m.%y>", "<22.11.26>x", ("x", 1795305600)),
        ("%j/%Y %I%p", "326/2026 08am x", (" x", 1795334400)),
        ("EPOCH", "1795336804 x", (" x", 1795336804)),
        ("LEPOCH", "1795336804123 x", (" x", 1795336804.123)),
        ("LEPOCH", "1795336804123456 x", (" x", 1795336804.123456)),
        ("t={EPOCH}", "a t=1795336804 x", ("a  x", 1795336804)),
        (',?"at":"%Y-%m-%d"', '{"a":2,"at":"2026-11-22"}', ('{"a":2}', 1795305600)),
        ("%Y-%m-%d", "v2026-11-22 x", None),
        ("TAI64N", "@40000000507c0d600000000a x", (" x", 1350307168)),
        ("{UNB}%Y%m%d", "x20261122y", ("xy", 1795305600)),
        ("{NONE}", "2026-11-22 x", ("2026-11-22 x", None)),
    ],
)
def test_the_pattern_language(pattern, line, expected):
    assert read(Dates(templates([pattern])), line) == expected


@pytest.mark.parametrize("pattern", ["%Q", "(%Y", "%Y[a"])
def test_an_invalid_pattern_is_refused(pattern):
    with pytest.raises(ValueError, match="date"):
        template(pattern)


@pytest.mark.parametrize(
    ("now", "line", "expected"),
    [
        (1767227400, "Dec 31 23:59:00", 1767225540),  # now is 2026-01-01 00:30: last year
        (1767227400, "Jan  2 00:20:00", 1767313200),  # less than a day ahead
        (1767227400, "Jan  3 12:00:00", 1735905600),  # more: it must be last year's
    ],
)
def test_a_date_without_a_year_is_last_years_if_it_would_be_far_ahead(now, line, expected):
    assert read(DEFAULT, line, now) == ("", expected)


def test_a_date_without_a_zone_is_in_the_zone_given():
    east = timezone(timedelta(hours=2))

    assert read(DEFAULT, "2026-11-22 08:40:04", zone=east) == ("", 1795336804 - 7200)
    assert read(DEFAULT, "2026-11-22 08:40:04Z", zone=east) == ("", 1795336804)


def test_a_date_far_into_a_line_is_not_searched_for():
    date = "2026-11-22 08:57:49"

    assert DEFAULT.find("x" * (MAX_SEARCHED_CHARS - 100) + f" {date} ")
    assert DEFAULT.find("x" * MAX_SEARCHED_CHARS + f" {date} ") is None


def test_a_date_that_no_calendar_has_is_cut_and_has_no_time():
    assert read(DEFAULT, "2026-02-30 08:40:04 x") == (" x", None)


def test_the_meaning_of_a_date_is_remembered_only_if_it_says_its_year(monkeypatch):
    read = []
    monkeypatch.setattr(module, "seconds", lambda *args: read.append(args[0][0]) or seconds(*args))
    dates = Dates(templates([]))
    for line in ("2026-11-22 08:40:04 x", "Nov 22 08:40:04 x"):
        found = dates.find(line)
        assert [dates.seconds(found, NOW, UTC) for _ in range(2)] == [1795336804] * 2

    assert read == ["2026-11-22 08:40:04", "Nov 22 08:40:04", "Nov 22 08:40:04"]
    later = NOW + 365 * 86400
    assert dates.seconds(dates.find("Nov 22 08:40:04"), later, UTC) == 1795336804 + 365 * 86400
