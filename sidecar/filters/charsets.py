"""Sets of characters, as the bits of an integer.

Bits 0 to 127 are the ASCII characters. Bit 128 stands for all other characters together: the regular expressions of
filters hardly ever distinguish these, and a set stays a small number that `|`, `&` and `~` work on.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

NON_ASCII: Final = 1 << 128
ALL: Final = (1 << 129) - 1
NEWLINE: Final = 1 << ord("\n")

_ASCII: Final = [chr(code) for code in range(128)]
# Letters that are equal to a letter beyond ASCII if case is ignored: the Kelvin sign, the long s, the dotted and the
# dotless i.
FOLDED_BEYOND_ASCII: Final = "ksi"


def charset(characters: Iterable[str]) -> int:
    """Return the set of these characters."""
    bits = 0
    for char in characters:
        bits |= 1 << ord(char) if ord(char) < 128 else NON_ASCII
    return bits


DIGIT: Final = charset("0123456789")
# `\s` matches \x1c to \x1f too.
SPACE: Final = charset(char for char in _ASCII if char.isspace())
_ASCII_WORD: Final = charset(char for char in _ASCII if char.isalnum() or char == "_")
# Beyond ASCII there are word characters and others, and one bit for both: each of these sets has it.
WORD: Final = _ASCII_WORD | NON_ASCII
NON_WORD: Final = ALL & ~_ASCII_WORD


def contains(bits: int, char: str) -> bool:
    """Return whether the character may be in the set."""
    return bool(bits & charset(char))


def ascii_codes(bits: int) -> list[int]:
    """Return the codes of the set's ASCII characters, in order."""
    return [code for code in range(128) if bits >> code & 1]


@lru_cache(maxsize=1_024)
def ignoring_case(bits: int) -> int:
    """Return the set with the other case of each of its letters."""
    if bits & NON_ASCII:
        bits |= charset(FOLDED_BEYOND_ASCII + FOLDED_BEYOND_ASCII.upper())
    for letter in "abcdefghijklmnopqrstuvwxyz":
        both = charset(letter + letter.upper())
        if bits & both:
            bits |= both | (NON_ASCII if letter in FOLDED_BEYOND_ASCII else 0)
    return bits
