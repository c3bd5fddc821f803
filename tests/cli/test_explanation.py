import pytest

from sidecar.cli.explanation import explanation
from sidecar.cli.text import local_time
from tests.cli.answering import AT, BAN
from tests.cli.test_explain import ANN, PAST, standing


def explained(*jails, **more):
    return list(explanation({"ip": ANN, "within": [], "networks": [], "jails": jails, "history": [], **more}))


@pytest.mark.parametrize(
    ("span_s", "unit"), [(20, "second"), (400, "10 seconds"), (20_000, "10 minutes"), (9e9, "day")]
)
def test_a_plot_fits_whatever_it_spans(span_s, unit):
    ((_, lines),) = explained(standing("login", failures=3, failed_at=[AT - span_s, AT - span_s / 2, AT]))

    assert lines[0].startswith(f"failures per {unit}, ")
    assert max(map(len, lines[1:])) <= 60


def test_one_time_is_no_plot():
    assert explained(standing("login", failures=1, failed_at=[AT])) == [
        ("login: 1 of 3 failures within 10m", [])
    ]


def test_an_older_daemon_is_explained_as_well():
    answer = {"ip": ANN, "within": ["203.0.113.0/24"], "jails": [standing("login", ban=BAN, times=1)]}
    first, second, _ = explanation(answer)

    assert first[0].startswith("203.0.113.7 lies in 203.0.113.0/24, which is banned; `wp-sidecar unban")
    assert second[1] == ["fail 203.0.113.7"]


@pytest.mark.parametrize(
    ("past", "ended", "why"),
    [
        ({"ended_by": "expired"}, "(expired)", "3 failures, blog"),
        ({"ended_by": "later_than_us", "failures": 0}, "(later_than_us)", "failures, blog"),
        ({"reason": "spam", "site": ""}, "(unbanned by hand)", "spam"),
    ],
)
def test_a_ban_before_is_one_line(past, ended, why):
    (_, (line,)) = explained(standing("login"), history=[PAST | past])[-1]

    begin, end = local_time(AT - 90), local_time(AT - 30)
    assert line == f"{begin} to {end} {ended}: 203.0.113.7 in wordpress, {why}"
