import math
import re

import pytest

from sidecar.core.bantime_formula import parse

DEFAULT = "ban.Time * (1<<(ban.Count if ban.Count<20 else 20)) * banFactor"
EXPONENTIAL = "ban.Time * math.exp(float(ban.Count+1)*banFactor)/math.exp(1*banFactor)"


@pytest.mark.parametrize(
    ("text", "count", "seconds"),
    [
        (DEFAULT, 1, 1200),
        (DEFAULT, 30, 600 * 2**20),
        (EXPONENTIAL, 1, 600 * math.e),
        ("ban.Time + 60", 0, 660),
        ("-ban.Time if ban.Count > 3 else +ban.Time", 4, -600),
        ("ban.Time ** 2 // 7 % 100 - 1", 0, 600**2 // 7 % 100 - 1),
        ("max(ban.Time, 3600) / 2 >> 1", 0, 900),
        ("min(round(ban.Time * 1.55), ceil(7.2), floor(9.9))", 0, 8),
        ("ban.Time << 100000", 0, math.inf),
        ("math.exp(ban.Time * 1e9)", 0, math.inf),
        ("ban.Time * (ban.Count == 2) + 5 * (ban.Count != 2) + (ban.Count <= 2) + (ban.Count >= 2)", 2, 602),
    ],
)
def test_arithmetic(text, count, seconds):
    assert parse(text)(600, count, 1.0) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("ban.Time *", "not an arithmetic expression"),
        ("(" * 290, "not an arithmetic expression"),
        ("1" * 301, "300 characters at most"),
        ("__import__('os').system('id')", "is not known in a formula"),
        ("ban.__class__", "ban.__class__ is not known in a formula"),
        ("ban.Time.real", "is not known"),
        ("open('x')", "is not known"),
        ("max(ban.Time, key=1)", "is not known"),
        ("'600'", "is not known"),
        ("True", "is not known"),
        ("[1]", "is not known"),
        ("lambda: 1", "is not known"),
        ("1 < 2 < 3", "is not known"),
        ("ban.Time @ 2", "is not known"),
        ("~1", "is not known"),
        ("ban.Time / ban.Count", "has no value for ban.Time = 600 and ban.Count = 0"),
        ("math.log(ban.Count)", "has no value"),
        ("math.exp(1, 2)", "has no value"),
        ("math.sqrt(ban.Time - 601)", "has no value"),
        ("1e999 - 1e999", "has no value"),
    ],
)
def test_other_code_than_arithmetic_is_refused_with_a_sentence(text, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse(text)


def test_without_a_value_the_bantime_stays():
    formula = parse("100 / (ban.Time - 60)")

    assert (formula(600, 1, 1.0), formula(60, 1, 1.0)) == (100 / 540, 60)
    assert parse("ban.Time * 1e300 * 0 if ban.Time < 700 else 1e999 - 1e999")(800, 1, 1.0) == 800


def test_formulas_of_one_text_are_equal():
    assert parse(" ban.Time ").text == "ban.Time"
    assert parse("ban.Time") == parse("ban.Time")
