"""The cutter finds what a search finds: `verdict.split_date` and `Dates.seconds` are asked about the same lines."""

import random
from datetime import UTC, timedelta, timezone

import pytest

from sidecar.filters import date_cutter
from sidecar.filters.date_cutter import DateCutter, date_place
from sidecar.filters.dates import MAX_SEARCHED_CHARS, Dates, template, templates
from sidecar.filters.loader import load
from sidecar.filters.verdict import split_date
from tests.filters import oracle
from tests.filters.samples import NOW, all_samples, ours

OURS = [load(name) for name in ours()]
JUNK = [
    *("[", "]", '"', "[22/Nov/2026:08:57:49 +0000]", "[2/Nov/2026:8:7:9 Z]", "[31/Feb/2026:08:57:49 +0000] ", '[22/Nov/2026:08:57:49 +0000] "'),
    *("é", " ", "0", "x[22/Nov/2026:08:57:49 +0100]", "\n", "\r"),
]  # fmt: skip


def searched(rules, line):
    text, date = split_date(rules, line)
    return text, date and rules.dates.seconds(date, NOW, UTC)


@pytest.mark.parametrize("rules", OURS, ids=lambda rules: rules.name)
def test_a_line_is_cut_as_a_search_cuts_it(rules):
    rnd, cutter = random.Random(rules.name), DateCutter(rules.dates, UTC)  # no secret
    samples = [line for _, line, _ in all_samples()]
    for _ in range(4_000):
        line = rnd.choice(samples)
        for _ in range(rnd.randrange(3)):
            at = rnd.randrange(min(len(line), 90) + 1)
            line = line[:at] + rnd.choice(JUNK) + line[at + rnd.randrange(3) :]
        assert cutter.cut(line, NOW) == searched(rules, line)


@pytest.mark.parametrize("name", oracle.stock())
def test_lines_of_stock_filters_are_cut_as_a_search_cuts_them(name):
    rules = load(name, [oracle.CONFIG / "filter.d"])
    cutter = DateCutter(rules.dates, UTC)
    lines = [line for _, line in oracle.own_lines(name)]

    assert [cutter.cut(line, NOW) for line in lines * 2] == [searched(rules, line) for line in lines * 2]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"\[(%%d/%%b/%%ExY:%%H:%%M:%%S %%z)\] " + '"', ("[", 33)),
        ("<(%%Y-%%m-%%d)>", ("<", 14)),
        ("{UNB}@(%%Y)(?=x)", ("@", 7)),
        ("{UNB}@(%%Y)(?=xy)", ("", 0)),
        ("{UNB}(?<=ab)@(%%Y)", ("", 0)),
        ("{UNB}(?<=a)@(%%Y)", ("@", 7)),
        ("{UNB}@(%%Y)^", ("", 0)),
        (r"{UNB}@(%%Y)\s*", ("", 0)),
        ("{UNB}x(%%Y)", ("", 0)),
        ("%%Y-%%m", ("", 0)),
    ],
)
def test_the_place_of_a_date_is_known_if_one_character_begins_it_and_little_around_it_decides(
    pattern, expected
):
    assert date_place(template(pattern.replace("%%", "%"))) == expected


def test_a_date_without_a_year_is_not_remembered():
    cutter = DateCutter(Dates(templates(["<(%d/%b %H:%M:%S)>"])), UTC)
    year = timedelta(days=365).total_seconds()

    assert cutter.cut("a <22/Nov 08:00:00> b", NOW) == ("a <> b", 1_795_334_400.0)
    assert cutter.cut("a <22/Nov 08:00:00> b", NOW + year) == ("a <> b", 1_795_334_400.0 + year)


def test_a_date_without_a_zone_is_in_the_cutters():
    dates, line = Dates(templates(["<(%Y-%m-%d %H:%M:%S)>"])), "<2026-11-22 08:00:00>"
    zones = [UTC, timezone(timedelta(hours=1)), UTC]

    assert [DateCutter(dates, zone).cut(line, NOW)[1] for zone in zones] == [
        1_795_334_400.0,
        1_795_330_800.0,
        1_795_334_400.0,
    ]


def test_a_known_date_that_ends_beyond_the_searched_text_is_no_date():
    rules = load("wordpress-access")
    cutter, date = DateCutter(rules.dates, UTC), '[22/Nov/2026:08:57:49 +0000] "'
    for before in (0, 100, *range(MAX_SEARCHED_CHARS - 45, MAX_SEARCHED_CHARS + 3), 0):
        line = "x" * before + date + "POST" * 20
        assert cutter.cut(line, NOW) == searched(rules, line)


class Counting(Dates):
    """Counts how often a date was searched."""

    searches = 0

    def find(self, line):
        self.searches += 1
        return super().find(line)


def test_only_so_many_texts_are_remembered(monkeypatch):
    monkeypatch.setattr(date_cutter, "MAX_KNOWN_TEXTS", 3)
    dates = Counting(templates(["<(%Y-%m-%d)>"]))
    cutter, searches = DateCutter(dates, UTC), []
    for n in (0, 0, 1, 2, 0, 3, 0):
        assert cutter.cut(f"<2026-11-22>{n}", NOW)[0] == f"<>{n}"
        searches.append(dates.searches)

    assert searches == [1, 1, 2, 3, 3, 4, 5]
