import pytest

from sidecar.core.text import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich 東京", "Zürich 東京"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", r"\u202egpj.exe"),
        ("\N{LINE SEPARATOR}\x85", r"\u2028\x85"),
        ("half \udce9", r"half \udce9"),
        ("\x00\U000e0001", r"\x00\U000e0001"),
    ],
)
def test_what_a_terminal_would_obey_becomes_an_escape(text, shown):
    assert printable(text) == shown


def test_escapes_count_towards_the_limit():
    assert printable("ab\n\n\n", 5) == r"ab\n\ "[:5]
    assert printable("abcdef", 4) == "abcd"
    assert printable("\x00" * 30, 20) == r"\x00" * 5
