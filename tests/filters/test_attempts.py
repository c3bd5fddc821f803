import time

import pytest

from sidecar.filters import attempts as module
from sidecar.filters.attempts import Attempts
from sidecar.filters.cpu_budget import CpuBudget, Stopwatch
from sidecar.filters.database import PatternDatabase
from sidecar.filters.date_cutter import DateCutter
from sidecar.filters.filter_runner import FilterRunner
from sidecar.filters.redos_sandbox import GuardedFilter, RegexSandbox
from sidecar.runtime.problems import Problems


class Bench:
    """A database, a runner for each filter, and the patterns of a line."""

    def __init__(self, *filters):
        self.database, sandbox = PatternDatabase(filters), RegexSandbox({})
        cutters = {}
        self.runners = [
            FilterRunner(
                one,
                GuardedFilter(one, i, sandbox, None),
                cutters.setdefault(one.dates.templates, DateCutter(one.dates, None)),
                CpuBudget(one.name, Problems()),
                Stopwatch(time.perf_counter),
            )
            for i, one in enumerate(filters)
        ]

    def attempts(self, jails):
        return Attempts(self.database, self.runners, jails)

    def patterns(self, line):
        return next(patterns for _, patterns in self.database.candidates(line))


def test_each_filter_that_may_match_is_tried_for_the_jails_that_use_it(filters):
    bench = Bench(filters("x", "^no <HOST>$", "^never <HOST>$"), filters("y", "no(?: <HOST>)?"))
    attempts = bench.attempts({1: ["b"], 0: ["a", "c"]})

    assert attempts[bench.patterns(b"no 203.0.113.7\n")].on_lines == [
        (bench.runners[1], [0], ["b"], None),
        (bench.runners[0], [0], ["a", "c"], None),
    ]


def test_a_filter_that_no_jail_uses_here_is_not_tried(filters):
    bench = Bench(filters("x", "^no <HOST>$"), filters("y", "^yes <HOST>$"))

    assert bench.attempts({1: ["b"]})[bench.patterns(b"no 203.0.113.7\n")] == ([], [])


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ("", True),
        ("usedns = yes", False),
        ("datepattern = ^%%Y", False),
        ("ignoreregex = x", False),
    ],
)
def test_two_filters_with_the_same_failregexes_are_decided_once_unless_something_else_differs(
    filters, options, same
):
    bench = Bench(filters("x", "^no <HOST>$"), filters("y", "^no <HOST>$", "^yes <HOST>$", options=options))
    patterns = bench.patterns(b"no 203.0.113.7\n")
    first, second = bench.attempts({0: ["a"], 1: ["b"]})[patterns].on_lines

    assert first.same_as is None
    assert second.same_as is (bench.runners[0] if same else None)


def test_only_so_many_sets_of_patterns_are_remembered(filters, monkeypatch):
    monkeypatch.setattr(module, "MAX_PATTERN_SETS", 1)
    bench = Bench(filters("x", "^no <HOST>$", "^yes <HOST>$"))
    attempts = bench.attempts({0: ["a"]})
    for line in (b"no 203.0.113.7\n", b"yes 203.0.113.7\n", b"no 203.0.113.7\n"):
        assert len(attempts[bench.patterns(line)].on_lines) == 1

    assert len(attempts) == 1
