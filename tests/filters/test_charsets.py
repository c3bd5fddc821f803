import re

import pytest

from sidecar.filters import charsets
from sidecar.filters.charsets import ALL, DIGIT, NON_ASCII, NON_WORD, SPACE, WORD, charset, contains

ASCII = [chr(code) for code in range(128)]


@pytest.mark.parametrize(
    ("bits", "pattern"), [(DIGIT, r"\d"), (SPACE, r"\s"), (WORD, r"\w"), (NON_WORD, r"\W")]
)
def test_the_usual_sets_are_those_of_re(bits, pattern):
    assert [char for char in ASCII if contains(bits, char)] == re.findall(pattern, "".join(ASCII))


def test_all_characters_beyond_ascii_are_one_bit():
    assert charset("aé") == charset("a€") == charset("a") | NON_ASCII
    assert contains(NON_ASCII, "ü")
    assert not contains(DIGIT, "ü")
    assert all(contains(ALL, char) for char in (*ASCII, "ü"))


def test_the_ascii_codes_of_a_set_are_in_order():
    assert charsets.ascii_codes(charset("zaé")) == [ord("a"), ord("z")]


@pytest.mark.parametrize("letter", "abkisz")
def test_letters_match_their_other_case_as_in_re(letter):
    every = "".join(map(chr, range(0x2200)))
    found = set(re.findall(letter, every, re.IGNORECASE))
    bits = charsets.ignoring_case(charset(letter))

    assert {char for char in ASCII if contains(bits, char)} == {char for char in found if char.isascii()}
    assert bool(bits & NON_ASCII) == any(not char.isascii() for char in found)


def test_some_letter_beyond_ascii_may_be_a_k_an_s_or_an_i():
    assert charsets.ignoring_case(NON_ASCII) == NON_ASCII | charset("kKsSiI")
