import pytest

from sidecar.filters.line_text import CUT_MARK, MAX_LINE_BYTES, decoded


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"fail \xc3\xa9", "fail é"),
        (b"fail\r\r", "fail"),
        (b"\xfffail", "\ufffdfail"),
        (b"x" * MAX_LINE_BYTES, "x" * MAX_LINE_BYTES),
        (b"x" * MAX_LINE_BYTES + b"y", "x" * MAX_LINE_BYTES + CUT_MARK),
    ],
)
def test_the_text_of_a_line(line, text):
    assert decoded(line) == text
