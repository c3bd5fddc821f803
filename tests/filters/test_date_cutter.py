"""What is cut quickly is what is cut slowly: `verdict.parted` and `Dates.seconds` are asked about the same lines."""

import random
from datetime import UTC, timedelta, timezone

import pytest

from sidecar.filters import date_cutter
from sidecar.filters.date_cutter import Cutter, place
from sidecar.filters.dates import WITHIN, Dates, template, templates
from sidecar.filters.loader import load
from sidecar.filters.verdict import split_date
from tests.filters import oracle
from tests.filters.samples import NOW, all_samples, ours

OURS = [load(name) for name in ours()]
JUNK = [
    *("[", "]", '"', "[22/Nov/2026:08:57:49 +0000]", "[2/Nov/2026:8:7:9 Z]", "[31/Feb/2026:08:57:49 +0000] ", '[22/Nov/2026:08:57:49 +0000] "'),
    *("é", " ", "0", "x[22/Nov/2026:08:57:49 +0100]", "\n", "\r"),
]  # fmt: skip


def slowly(rules, line):
    text, date = split_date(rules, line)
    return text, date and rules.dates.seconds(date, NOW, UTC)


@pytest.mark.parametrize("rules", OURS, ids=lambda rules: rules.name)
def test_a_line_is_cut_as_it_would_be_without_remembering(rules):
    rnd, quick = random.Random(rules.name), Cutter(rules.dates, UTC)  # no secret
    samples = [line for _, line, _ in all_samples()]
    for _ in range(4_000):
        line = rnd.choice(samples)
        for _ in range(rnd.randrange(3)):
            at = rnd.randrange(min(len(line), 90) + 1)
            line = line[:at] + rnd.choice(JUNK) + line[at + rnd.randrange(3) :]
        assert quick.cut(line, NOW) == slowly(rules, line)


@pytest.mark.parametrize("name", oracle.stock())
def test_stock_filters_are_cut_as_they_would_be(name):
    rules = load(name, [oracle.CONFIG / "filter.d"])
    quick = Cutter(rules.dates, UTC)
    lines = [line for _, line in oracle.own_lines(name)]

    assert [quick.cut(line, NOW) for line in lines * 2] == [slowly(rules, line) for line in lines * 2]


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
def test_where_a_date_can_begin_is_known_where_one_character_says_so_and_little_is_looked_at(
    pattern, expected
):
    assert place(template(pattern.replace("%%", "%"))) == expected


def test_what_depends_on_the_day_is_not_remembered():
    quick = Cutter(Dates(templates(["<(%d/%b %H:%M:%S)>"])), UTC)
    year = timedelta(days=365).total_seconds()

    assert quick.cut("a <22/Nov 08:00:00> b", NOW) == ("a <> b", 1_795_334_400.0)
    assert quick.cut("a <22/Nov 08:00:00> b", NOW + year) == ("a <> b", 1_795_334_400.0 + year)


def test_a_date_without_a_zone_is_in_the_cutters():
    dates, line = Dates(templates(["<(%Y-%m-%d %H:%M:%S)>"])), "<2026-11-22 08:00:00>"
    zones = [UTC, timezone(timedelta(hours=1)), UTC]

    assert [Cutter(dates, zone).cut(line, NOW)[1] for zone in zones] == [
        1_795_334_400.0,
        1_795_330_800.0,
        1_795_334_400.0,
    ]


def test_a_date_that_ends_beyond_where_one_is_searched_for_is_none_though_it_is_known():
    rules = load("wordpress-access")
    quick, date = Cutter(rules.dates, UTC), '[22/Nov/2026:08:57:49 +0000] "'
    for before in (0, 100, *range(WITHIN - 45, WITHIN + 3), 0):
        line = "x" * before + date + "POST" * 20
        assert quick.cut(line, NOW) == slowly(rules, line)


def test_no_more_is_remembered_than_is_allowed(monkeypatch):
    monkeypatch.setattr(date_cutter, "MOST_KNOWN", 3)
    quick = Cutter(Dates(templates(["<(%Y-%m-%d)>"])), UTC)
    for n in range(10):
        assert quick.cut(f"<2026-11-22>{n}", NOW)[0] == f"<>{n}"
        assert len(quick._known) <= 3
