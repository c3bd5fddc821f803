"""Docker's json-file lines become CRI lines, whatever JSON escapes in them."""

import json

import pytest

from sidecar.sources.files.json_file import to_cri_lines

STAMP = "2026-11-22T08:40:04.123456789Z"
FORGED = '203.0.113.9 - - [22/Nov/2026:08:40:04 +0000] "POST /wp-login.php HTTP/1.1" 200 5'


def logged(text, stream="stdout", time=STAMP, **more):
    """Return a line of Docker's json-file. Go also escapes `<`, `>` and `&`."""
    entry = json.dumps(
        {"log": text, "stream": stream, **more, "time": time}, separators=(",", ":"), ensure_ascii=False
    )
    for character in "<>&\u2028":
        entry = entry.replace(character, f"\\u{ord(character):04x}")
    return entry.encode() + b"\n"


TEXTS = [
    "", "plain", FORGED, 'a "quoted" word', "back\\slash", "ends with \\", "\\n", "\\\\n", "tab\tand\rreturn\x00\x1b",
    "a <b> & c \u2028 d", "caf\u00e9 \U0001f600", '{"log":"x\\n","stream":"stderr","time":"y"}', '\\","stream":"stderr',
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("around", [b"", logged("plain\n"), logged("a\\b \\u0041\n"), logged("a part")])
def test_whole_and_partial_lines_become_cri_lines(text, around):
    whole, part = logged(text + "\n"), logged(text)

    assert to_cri_lines(whole) == f"{STAMP} stdout F {text}\n".encode()
    assert to_cri_lines(part) == f"{STAMP} stdout P {text}\n".encode()
    assert to_cri_lines(around + whole + part + around) == b"".join(
        to_cri_lines(each) for each in (around, whole, part, around) if each
    )


def test_attributes_are_dropped():
    assert to_cri_lines(logged("one\n", "stderr", attrs={"a": "b"})) == f"{STAMP} stderr F one\n".encode()


def test_a_newline_within_the_text_does_not_begin_a_line():
    assert to_cri_lines(logged("one\ntwo\n")) == f"{STAMP} stdout F one two\n".encode()


@pytest.mark.parametrize(
    "line", [b"\0\0\n", b"{broken\n", b'{"log":1,"stream":"stdout","time":""}\n', b"[]\n", b'{"log":"\\x"}\n']
)
def test_lines_in_another_format_are_unchanged(line):
    assert to_cri_lines(line) == line
    assert to_cri_lines(logged("a\n") + line) == to_cri_lines(logged("a\n")) + line
