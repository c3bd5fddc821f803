import math
import re

import pytest

from sidecar.filters import charsets
from sidecar.filters.charsets import ALL, DIGIT, NEWLINE, NON_ASCII, WORD, charset
from sidecar.filters.regex_tree import (
    Anchor,
    Assertion,
    BackReference,
    Branch,
    Chars,
    Conditional,
    Group,
    Repeat,
    children,
    flattened,
    parse,
    prefixes,
    walk,
    width,
)


def tree(pattern):
    return parse(re.compile(pattern))


def char(letter):
    return Chars(charset(letter), letter)


A, B, C = char("a"), char("b"), char("c")


@pytest.mark.parametrize(
    ("pattern", "nodes"),
    [
        ("ab", (A, B)),
        (r"^a$\Ab\Z", (Anchor.LINE_START, A, Anchor.LINE_END, Anchor.TEXT_START, B, Anchor.TEXT_END)),
        (r"\ba\B", (Anchor.WORD_EDGE, A, Anchor.NOT_WORD_EDGE)),
        ("a*b+?c{2,5}+", (Repeat(0, math.inf, (A,)), Repeat(1, math.inf, (B,)), Repeat(2, 5, (C,)))),
        ("(a)(?P<n>b)(?:c)(?>a)", (Group((A,), 1), Group((B,), 2), C, Group((A,)))),
        ("ab|cb", (Branch(((A, B), (C, B))),)),
        ("(a)?(?(1)b|c)", (Repeat(0, 1, (Group((A,), 1),)), Conditional(((B,), (C,))))),
        ("(a)?(?(1)b)", (Repeat(0, 1, (Group((A,), 1),)), Conditional(((B,), ())))),
        (
            "(?=a)(?!b)(?<=c)(?<!a)",
            (
                Assertion((A,), ahead=True, negative=False),
                Assertion((B,), ahead=True, negative=True),
                Assertion((C,), ahead=False, negative=False),
                Assertion((A,), ahead=False, negative=True),
            ),
        ),
        ("(?!)", (Assertion((), ahead=True, negative=True),)),
        (r"(a)\1", (Group((A,), 1), BackReference(1))),
    ],
)
def test_a_pattern_becomes_plain_values(pattern, nodes):
    assert tree(pattern) == nodes


@pytest.mark.parametrize(
    ("pattern", "accepts"),
    [
        (r"[a-c\d]", charset("abc") | DIGIT | NON_ASCII),
        (r"[^a]", ALL & ~charset("a")),
        (r"[^é]", ALL),
        (r"[\u00e0-\u00ff]", NON_ASCII),
        (r"[a-\u00ff]", charset(map(chr, range(97, 128))) | NON_ASCII),
        (r"\w", WORD),
        (r"(?a:\w)", WORD & ~NON_ASCII),
        (r"(?a:\W)", charsets.NON_WORD),
        (r"\D", ALL & ~DIGIT),
        (r".", ALL & ~NEWLINE),
        (r"(?s:.)", ALL),
        (r"(?i:[a])", charset("aA")),
        (r"(?i:[^a])", ALL & ~charset("aA")),
    ],
)
def test_the_flags_of_a_place_are_applied_to_its_characters(pattern, accepts):
    (chars,) = flattened(tree(pattern))

    assert chars.accepts == accepts


def test_a_literal_knows_its_character_and_whether_case_counts():
    assert list(flattened(tree("(?i:x)y"))) == [Chars(charset("xX"), "x", ignore_case=True), char("y")]
    assert tree("[^x]")[0].literal == ""


def test_the_parts_of_a_node_are_found_at_any_depth():
    nodes = tree("(?:a|(?=b+))(?P<n>c)(?(n)a|b)")

    assert [node for node in walk(nodes) if isinstance(node, Chars)] == [A, B, C, A, B]
    assert children(A) == children(Anchor.LINE_END) == ()


def test_groups_can_be_left_out():
    assert list(flattened(tree("(a(?:b(?>c)))"))) == [A, B, C]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("", (0, 0)),
        ("ab?c*", (1, math.inf)),
        ("(?:ab){2,3}", (4, 6)),
        ("a(?:|bcd)", (1, 4)),
        ("^(?=abc)$", (0, 0)),
        ("(?:a*){0}", (0, 0)),
        ("(?:)*", (0, 0)),
        (r"(a)\1", (1, math.inf)),
        ("(a)?(?(1)bc|d)", (1, 3)),
    ],
)
def test_how_many_characters_a_pattern_takes(pattern, expected):
    assert width(tree(pattern)) == expected


def test_the_beginnings_of_a_pattern_are_patterns():
    found = prefixes(re.compile("a(b)c", re.IGNORECASE))

    assert [one.match("ABC")[0] for one in found] == ["", "A", "AB", "ABC"]
