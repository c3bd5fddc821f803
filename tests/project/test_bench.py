"""The benchmarks' own arithmetic; what they measure, `make bench` shows."""

import json
import struct

from bench.figures import Figure, Series, report, save
from bench.heard import added

TIMES = Series("drop, ours", "ms", tuple(float(n) for n in range(1, 201)))


def test_of_200_values_the_p99_is_the_third_worst():
    assert (TIMES.median, TIMES.p99) == (100.5, 198.0)


def test_of_a_few_values_the_p99_is_the_worst():
    assert Series("drop", "ms", (3.0, 1.0, 2.0)).p99 == 3.0


def test_a_goal_is_met_from_its_own_side():
    assert Figure("drop", "ms", 5.0, at_most=5).met is True
    assert Figure("drop", "ms", 5.1, at_most=5).met is False
    assert Figure("speed", "lines/s", 4e6, at_least=4e6).met is True
    assert Figure("speed", "lines/s", 3e6, at_least=4e6).met is False
    assert Figure("start", "s", 1.0).met is None


def test_a_row_is_what_later_readers_expect():
    assert Figure("drop", "ms", 2.0, 700.0, 0.5, at_most=5, series=(TIMES,)).row == {
        "name": "drop", "unit": "ms", "ours": 2.0, "peer": 700.0, "limit": 0.5, "goal": 5, "met": True,
    }  # fmt: skip


def test_measuring_a_part_anew_keeps_the_rows_of_the_others(tmp_path):
    path = tmp_path / "results.json"
    save([Figure("drop", "ms", 2.0), Figure("start", "s", 1.0)], path)
    save([Figure("drop", "ms", 3.0)], path)

    rows = json.loads(path.read_text())
    assert [(row["name"], row["ours"]) for row in rows] == [("drop", 3.0), ("start", 1.0)]


def test_the_report_says_figures_and_noise():
    figure = Figure("drop", "ms", TIMES.median, 723.0, 0.5451, at_most=5, series=(TIMES,))

    assert report([figure]).splitlines() == [
        "name  unit  ours  peer  limit  goal  met",
        "----  ----  ----  ----  -----  ----  ---",
        "drop  ms     100   723  0.545  <= 5   NO",
        "",
        "series      unit    n  median  p99  min  max",
        "----------  ----  ---  ------  ---  ---  ---",
        "drop, ours  ms    200     100  198    1  200",
    ]


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value


def test_who_came_into_a_set_is_read_from_the_kernels_message():
    key = attribute(1, attribute(1, b"\xc6\x12\x00\x01"))
    body = attribute(1, b"table\0\0\0") + attribute(2, b"ban4\0\0\0\0") + attribute(3, attribute(1, key))
    payload = struct.pack("=BBH", 1, 0, 0) + body
    came, went = (struct.pack("=IHHII", 16 + len(payload), 10 << 8 | kind, 0, 0, 0) for kind in (12, 14))

    assert list(added(came + payload + went + payload)) == [b"\xc6\x12\x00\x01"]
