from __future__ import annotations

import pytest

from sidecar.advice.finding import Finding


@pytest.mark.parametrize(
    ("text", "sentence", "change"),
    [
        ("the log of x is away. Start it. Or not", "the log of x is away", "Start it. Or not"),
        ("the address 192.0.2.1 is private. Allow it", "the address 192.0.2.1 is private", "Allow it"),
        ("nothing can be done", "nothing can be done", ""),
    ],
)
def test_the_first_sentence_of_advice_is_what_is_wrong_and_the_others_what_to_change(text, sentence, change):
    assert Finding.of_advice("blog", text) == Finding("blog", ok=False, sentence=sentence, change=change)
