import math
import re

import pytest

from sidecar.filters.loader import load
from sidecar.filters.regex_examples import example, unlimited_repeats, usual_char
from sidecar.filters.regex_tree import Anchor, Assertion, Chars, parse, walk
from tests.filters import oracle


def tree(pattern):
    return parse(re.compile(pattern))


def asserts(node):
    return isinstance(node, Assertion) or node in {Anchor.WORD_EDGE, Anchor.NOT_WORD_EDGE}


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("fail", "fail"),
        (r"\d+ [^ ]* \S{3}", "0  aaa"),
        ("(?:open|shut) door", "open door"),
        (r"(\w)x\1", "axa"),
        (r"(?=b)a(?<!c)", "a"),
        ("(a)?(?(1)b|c)", "b"),
        ("é", "é"),
        ("[é]", "é"),
        (r"[\x01]", "\x01"),
    ],
)
def test_an_example_is_short_and_usual(pattern, text):
    assert example(tree(pattern)) == text


def test_words_of_a_spaced_example_stand_apart():
    assert example(tree(r"^.*\bop=(?:in|out)\b.*\bx=\d+$"), spaced=True) == " op=in x=0"


def test_a_failregex_without_assertions_matches_its_example():
    rules = [rule for name in oracle.stock() for rule in load(name, [oracle.CONFIG / "filter.d"]).failregex]
    trees = [(rule, parse(rule.regex)) for rule in rules]
    plain = [(rule, nodes) for rule, nodes in trees if not any(map(asserts, walk(nodes)))]

    assert len(plain) > 10
    assert [rule.text for rule, nodes in plain if not rule.regex.search(example(nodes))] == []


def test_each_repeat_without_limit_is_found_with_what_leads_to_it():
    found = list(unlimited_repeats(tree(r"^ab(?:\d+,)*c{1,3}(?=x*)d{20}")))

    assert [(repeat.lead, example(repeat.body), repeat.most) for repeat in found] == [
        ("ab", "0,", math.inf),
        ("ab", "0", math.inf),
        ("abc", "x", math.inf),
        ("abc", "d", 20),
    ]
    assert [repeat.lead for repeat in unlimited_repeats(tree("a(?=x*)b*"), assertions=False)] == ["a"]


def test_a_literal_is_its_own_example():
    assert usual_char(Chars(0, "Z")) == "Z"
