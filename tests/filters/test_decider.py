import pytest

from sidecar.filters import decider as module
from sidecar.filters.decider import MAX_KNOWN_LINE_CHARS, NOBODY, LineDecider, is_plain, outcome
from sidecar.filters.loader import load
from sidecar.filters.redos_sandbox import GuardedFilter, RegexSandbox
from sidecar.filters.verdict import decide

ANN = "203.0.113.7"


@pytest.fixture
def filters(tmp_path):
    def filters(text, **options):
        (tmp_path / "x.conf").write_text(f"[Definition]\n{text}\n")
        return load("x", [tmp_path], options)

    return filters


def decider(log_filter):
    guarded = GuardedFilter(log_filter, 0, RegexSandbox({}), None)
    return LineDecider(log_filter, guarded, plain=is_plain(log_filter))


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("failregex = ^no <HOST>$", True),
        ("failregex = ^no <HOST>$\nignoreregex = x", False),
        ("failregex = ^no <HOST>$\nprefregex = ^x <F-CONTENT>.*</F-CONTENT>$", False),
        ("failregex = ^no <HOST>$<SKIPLINES>^x$\nmaxlines = 2", False),
        ("failregex = ^<F-NOFAIL>no</F-NOFAIL> <HOST>$", False),
    ],
)
def test_a_filter_is_plain_if_its_first_match_decides(filters, text, plain):
    assert is_plain(filters(text)) is plain


@pytest.mark.parametrize("ignored", ["", "\nignoreregex = ^never"])
def test_plain_and_other_filters_have_the_same_outcomes(filters, ignored):
    log_filter = filters(
        "failregex = ^no <HOST>$\n  ^<HOST> (?:GET <F-TARGET>\\S+</F-TARGET>|no)$\n"
        "successregex = ^yes <HOST>$" + ignored,
        success="reset",
    )
    lines = {
        f"no {ANN}": (ANN, "", "", False),
        f"{ANN} GET /.env": (ANN, "/.env", "", False),
        f"{ANN} no": (ANN, "", "", False),
        f"yes {ANN}": (ANN, "", "", True),
        "no 999.1.1.1": (NOBODY, "", "", False),
        "hello": None,
    }

    assert is_plain(log_filter) is not bool(ignored)
    assert {text: decider(log_filter).decide(text, [0, 1, 2]) for text in lines} == lines


@pytest.mark.parametrize(("usedns", "name"), [("yes", "ann.example"), ("warn", "ann.example"), ("raw", "")])
def test_a_name_is_part_of_the_outcome_where_it_may_be_looked_up(filters, usedns, name):
    log_filter = filters(f"failregex = ^no <HOST>$\nusedns = {usedns}")

    assert decider(log_filter).decide("no ann.example", [0]) == (NOBODY, "", name, False)


def test_lines_that_only_have_to_be_remembered_have_no_outcome(filters):
    log_filter = filters("failregex = ^<F-NOFAIL>hello</F-NOFAIL> <HOST>$\n  ^no <HOST>$")

    assert decider(log_filter).decide(f"hello {ANN}", [0, 1]) is None
    assert decider(log_filter).decide(f"no {ANN}", [0, 1]) == (ANN, "", "", False)


class Counting(GuardedFilter):
    """Counts what is decided."""

    def __init__(self, log_filter):
        super().__init__(log_filter, 0, RegexSandbox({}), None)
        self.decided = []

    def decide(self, text, candidates=None):
        self.decided.append(text)
        return super().decide(text, candidates)


def test_a_line_is_decided_once_and_only_so_many_and_so_long_lines_are_remembered(filters, monkeypatch):
    monkeypatch.setattr(module, "MAX_KNOWN_LINES", 2)
    log_filter = filters("failregex = ^no <HOST>$")
    counting = Counting(log_filter)
    lines = LineDecider(log_filter, counting, plain=False)
    long = "x" * (MAX_KNOWN_LINE_CHARS + 1)
    for text in ("a", "a", long, long, "b", "b", "a", "c", "a"):
        lines.decide(text, [0])

    assert counting.decided == ["a", long, long, "b", "c", "a"]


def test_a_failure_without_address_has_no_outcome_but_nobody(filters):
    log_filter = filters("failregex = ^no(?: <HOST>)?$")

    assert outcome(log_filter, decide(log_filter, "no")) == (NOBODY, "", "", False)
    assert outcome(log_filter, None) is None
