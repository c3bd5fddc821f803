import configparser

import pytest

from sidecar.filters.ini import FilterError, FilterErrors, Ini, interpolated, parse
from tests.filters import oracle


def read(tmp_path, *files):
    ini = Ini()
    for i, text in enumerate(files):
        path = tmp_path / f"{i}.conf"
        path.write_text(text)
        ini.add(
            path,
            lambda including, name: (
                (including.parent / name) if (including.parent / name).is_file() else None
            ),
        )
    return ini


def text(ini, section, option, **given):
    return "\n".join(line for _, line in interpolated(ini, section, option, given))


def test_files_are_read_as_configparser_reads_them():
    for path in sorted((oracle.CONFIG / "filter.d").glob("*.conf")):
        theirs = configparser.RawConfigParser(inline_comment_prefixes=";")
        theirs.read(path)
        expected = {name: dict(theirs[name]) for name in theirs.sections()}
        defaults = dict(theirs.defaults())
        errors = []
        ours = parse(str(path), path.read_text(), errors)

        got = {name: {key: value.text for key, value in options.items()} for name, options in ours.items()}
        assert errors == []
        assert got.pop("DEFAULT", {}) == defaults
        assert {name: {**defaults, **options} for name, options in got.items()} == expected


def test_a_value_continues_in_deeper_lines_and_each_keeps_its_number():
    sections = parse("f", "[Definition]\nfailregex = one\n\n   # why\n   two ; and a comment\nx: y#z", [])

    assert sections["Definition"]["failregex"].lines == ((2, "one"), (3, ""), (5, "two"))
    assert sections["Definition"]["x"].text == "y#z"


def test_every_error_of_a_file_is_reported_with_its_place():
    errors = []
    parse("f.conf", "lost = 1\n[A]\nx = 1\nwhat is this\nx = 2\n[A]\n = 3\n", errors)

    assert [(one.line, one.text) for one in errors] == [
        (1, "lost = 1"),
        (4, "what is this"),
        (5, "x = 2"),
        (6, "[A]"),
        (7, "= 3"),
    ]
    assert str(errors[0]) == "f.conf:1: this stands before the first [section]; move it into one (lost = 1)"


def test_a_file_that_is_not_text_is_an_error(tmp_path):
    (tmp_path / "f").write_bytes(b"[A]\nx = \xff\n")
    ini = Ini()
    ini.add(tmp_path / "f", lambda *_: None)
    ini.add(tmp_path / "gone", lambda *_: None)

    assert [one.message for one in ini.errors] == [
        "is not UTF-8 text (byte 8); save it as UTF-8",
        "cannot be read: No such file or directory",
    ]


def test_names_are_replaced_from_what_is_given_the_section_and_the_defaults(tmp_path):
    ini = read(
        tmp_path,
        "[DEFAULT]\na = default\nb = default\nc = %(a)s\n[S]\na = own\nx = %(a)s %(b)s %(c)s 5%% %(__name__)s",
    )

    assert text(ini, "S", "x") == "own default own 5% S"
    assert text(ini, "S", "x", b="given") == "own given own 5% S"
    assert interpolated(ini, "S", "nothing", {}) is None


def test_another_sections_value_and_the_value_before_this_file(tmp_path):
    ini = read(
        tmp_path,
        "[DEFAULT]\nd = 0\n[S]\nx = first\ny = %(other/z)s\n[other]\nz = there",
        "[S]\nx = %(known/x)s second\nd = %(known/d)s+",
        "[S]\nx = %(known/x)s third",
    )

    assert text(ini, "S", "x") == "first second third"
    assert text(ini, "S", "y") == "there"
    assert text(ini, "S", "d") == "0+"


def test_includes_come_before_and_after_with_their_local_files(tmp_path):
    (tmp_path / "before").write_text("[S]\na = before\nb = before\nc = before")
    (tmp_path / "base.conf").write_text("[INCLUDES]\nbefore = 0.conf\n[S]\nd = base")
    (tmp_path / "base.local").write_text("[S]\nd = local")
    (tmp_path / "after").write_text("[S]\nc = after")
    ini = read(
        tmp_path,
        "[INCLUDES]\nbefore = before\n  base.conf\nafter = after\n  not-there.local\n[S]\nb = main\nc = main",
    )

    assert [text(ini, "S", option) for option in "abcd"] == ["before", "main", "after", "local"]
    assert ini.errors == []


def test_a_missing_include_is_an_error(tmp_path):
    ini = read(tmp_path, "[INCLUDES]\nbefore = gone.conf\n[S]\n")

    assert [(one.line, one.text) for one in ini.errors] == [(2, "gone.conf")]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("100 %", "a lone `%` means nothing here; write `%%` for a percent sign, `%(name)s` for a name"),
        ("%(gone)s", "`%(gone)s` is defined nowhere; define `gone` or correct the name"),
        ("%(x)s", "names stand for names more than 10 deep; does `x` mean itself?"),
    ],
)
def test_a_name_that_cannot_be_replaced_is_an_error_with_its_line(tmp_path, value, message):
    ini = read(tmp_path, f"[S]\ny = 1\nx = {value}\n")
    with pytest.raises(FilterErrors) as caught:
        interpolated(ini, "S", "x", {})

    assert caught.value.errors == (FilterError(str(tmp_path / "0.conf"), 3, value, message),)
