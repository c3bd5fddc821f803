"""The prefilter never loses a match: what `re` finds line by line, the matcher finds in the batch."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.core.events import Batch, Framing, Origin
from sidecar.core.text import printable
from sidecar.filters.dates import Dates, templates
from sidecar.filters.line_text import MAX_EVIDENCE_CHARS
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.filters.prefilter import MAX_BRANCHES, date_cuts, weakened
from sidecar.filters.sessions import SessionTracker
from sidecar.filters.verdict import explain
from tests.filters import oracle
from tests.filters.samples import all_samples, ours

NOW = 1_795_338_000.0
NONE, START, ANYWHERE = (date_cuts(Dates(templates(lines))) for lines in (["{NONE}"], ["{^LN-BEG}"], []))
DATES = [
    *(b"2026-11-22 08:40:04", b"22/Nov/2026:08:57:49 +0000", b"Nov 22 08:59:51", b"1795336804"),
    *(b"@400000005069e36400000000", b"<11/22/26@08:00:00>", b"+0100 Nov 22 08:59:51"),
]
ORIGIN = Origin("test", "test", jails=("x",))


OURS = {name: load(name) for name in ours()}
MATCHERS = {name: Matcher({"x": rules}) for name, rules in OURS.items()}


def found(matcher, lines):
    batch = Batch(ORIGIN, b"".join(line + b"\n" for line in lines), Framing.NONE)
    return [hit.line for hit in matcher.scan(batch, NOW).hits]


def decided(log_filter, lines):
    texts = [line.decode(errors="replace") for line in lines]
    tracker = SessionTracker(log_filter) if log_filter.needs_earlier_lines else None
    return [
        printable(text.strip(), MAX_EVIDENCE_CHARS)
        for text in texts
        if explain(log_filter, text, Framing.NONE, NOW, tracker=tracker).matched
    ]


def mutated(line, rnd):
    """The line with a few bytes changed: dates, junk, blanks, letters beyond ASCII put in, bytes taken out."""
    changed = bytearray(line)
    for _ in range(rnd.randrange(4)):
        at = rnd.randrange(len(changed) + 1)
        if rnd.random() < 0.2:
            del changed[at : at + rnd.randrange(6)]
        else:
            junk = [b" ", b"  ", b"\xc3\xa9", b"[", b"]", b'"', b"\xff", b"\r", bytes([rnd.randrange(256)])]
            changed[at:at] = rnd.choice([*DATES, *junk])
    return bytes(changed).replace(b"\n", b"")


@pytest.mark.parametrize("name", OURS)
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_our_filters_lose_nothing(name, seed):
    rnd = random.Random(seed)  # no secret
    lines = [mutated(line.encode(), rnd) for _, line, _ in all_samples()]

    if OURS[name].reads_requests:
        # How a line is read depends on its log's format, which an odd line alone does not show.
        candidates = {line for line, _ in MATCHERS[name].database.candidates(b"\n".join(lines))}
        assert [line for line in lines if line not in candidates and decided(OURS[name], [line])] == []
        return
    assert found(MATCHERS[name], lines) == decided(OURS[name], lines)


@pytest.mark.parametrize("name", oracle.stock())
def test_stock_filters_lose_nothing(name):
    rules = load(name, [oracle.CONFIG / "filter.d"])
    rnd = random.Random(name)  # no secret
    own = [line.encode() for _, line in oracle.own_lines(name)]
    lines = own + [mutated(line, rnd) for line in own for _ in range(10)]

    assert found(Matcher({"x": rules}), lines) == decided(rules, lines)


@pytest.mark.parametrize(
    ("pattern", "where", "expected"),
    [
        (r"^fail from [0-9]$", NONE, rb"fail\ from\ [\x30-\x39]\r*$"),
        (r"^(?:\[\])?\s*(?:\S+ )?fail\b", START, rb"fail"),
        (r"(?=x)fail(?!y).*", NONE, rb"fail"),
        (r"(?P<a>fail) (?P=a) end", NONE, rb"fail\ [^\n]*\ end"),
        (r"(?P<a>fail)(?: and (?P=a))+$", NONE, rb"fail(?:\ and\ [^\n]*)+\r*$"),
        (r"(?P<a>really )?fail(?(a) hard|ed)", NONE, rb"fail(?:\ hard|ed)"),
        (r"(?>fail) x{0,200}y++", NONE, rb"fail\ x*y+"),
        (r"fail (?:on|up)?x", NONE, rb"fail\ (?:(?:on|up))?x"),
        (r"\[\] fail", ANYWHERE, rb"\ fail"),
        (r"failed \[\] at", ANYWHERE, rb"failed\ [^\n]*\[[^\n]*\][^\n]*\ at"),
        (r"failed \[\] at", START, rb"failed\ \[\]\ at"),
        (r"(?i)fail", NONE, b"[\\x46\\x66][\\x41\\x61](?:[\\x49\\x69]|\xc4[\xb0\xb1])[\\x4c\\x6c]"),
        (r"failé", NONE, rb"fail[\x80-\xff]{1,4}"),
        (r"fail\s+$", NONE, rb"fail[\x09\x0b-\x0d\x1c-\x20\x80-\xff]*\r*$"),
        (r"x+\.ph(?:p|tml)", NONE, rb"\.ph(?:p|tml)"),
    ],
)
def test_the_expression_that_hyperscan_is_given(pattern, where, expected):
    assert weakened(re.compile(pattern), where) == (expected,)


@pytest.mark.parametrize("pattern", [r"^.*$", r"(?:)", r"fail|.*"])
def test_an_expression_that_any_line_might_match_is_not_searched_for(pattern):
    assert weakened(re.compile(pattern), NONE) == ()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (
            r"^\w+ (?:fail|[0-9]error|no (?:entry|way)) at$",
            [rb"\ fail\ at\r*$", rb"error\ at\r*$", rb"\ no\ (?:entry|way)\ at\r*$"],
        ),
        (r"(?:open|shut) (?:fail|error)", [rb"open\ (?:fail|error)", rb"shut\ (?:fail|error)"]),
    ],
)
def test_alternatives_at_the_beginning_are_searched_for_one_by_one(pattern, expected):
    assert weakened(re.compile(pattern), NONE) == tuple(expected)


def test_too_many_alternatives_stay_together():
    words = "|".join(f"{chr(97 + n % 26)}{n}{n}{n}" for n in range(MAX_BRANCHES + 1))

    assert len(weakened(re.compile(f"(?:{words}) fail"), NONE)) == 1


def test_a_filter_whose_date_may_be_cut_out_anywhere_is_tried_on_every_line():
    assert weakened(re.compile("fail"), date_cuts(Dates(templates(["{UNB}%Y"])))) == ()


@pytest.mark.parametrize("word", ["kiss", "K\u0131\u017f\u017f", "\u212a\u0130SS"])
def test_letters_that_equal_ascii_letters_in_another_case_are_found(tmp_path, word):
    (tmp_path / "x.conf").write_text("[Definition]\nfailregex = (?i)^kiss <HOST>$\n")
    rules, lines = load("x", [tmp_path]), [f"{word} 203.0.113.7".encode()]

    assert found(Matcher({"x": rules}), lines) == decided(rules, lines) == [f"{word} 203.0.113.7"]
