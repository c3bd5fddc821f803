from pathlib import Path

import pytest

from sidecar.filters.ini import FilterErrors, Ini
from sidecar.filters.options import Options


@pytest.fixture
def options(tmp_path):
    """A function that reads the options of a filter's text, under those that are given."""

    def options(text, **given):
        (tmp_path / "x.conf").write_text(text)
        ini = Ini()
        ini.add(tmp_path / "x.conf", lambda *_: None)
        return Options(ini, given)

    return options


def texts(options, option):
    return [line.text for line in options.lines(option)]


def test_an_option_has_its_names_and_tags_put_in_line_by_line(options, tmp_path):
    found = options("[Definition]\nfailregex = ^%(word)s <kind>\n\n   second\nword = no\nkind = a\n  b\n")

    assert found.lines("failregex") == [
        (str(tmp_path / "x.conf"), 2, "^no a"),
        (str(tmp_path / "x.conf"), 2, "b"),
        (str(tmp_path / "x.conf"), 4, "second"),
    ]
    assert found.lines("ignoreregex") == []


def test_a_given_option_goes_over_init_and_init_over_the_definition(options):
    text = "[Definition]\nword = definition\nother = definition\nfailregex = <word>\n[Init]\nword = init\n"

    assert texts(options(text), "failregex") == ["init"]
    assert texts(options(text, word="given"), "failregex") == ["given"]
    assert options(text, failregex="<other>").lines("failregex") == [("", 0, "definition")]


@pytest.mark.parametrize(
    ("tag", "meaning"),
    [
        ("word", "own"),
        ("other/word", "theirs"),
        ("OTHER/word", "theirs"),
        ("known/word", "own"),
        ("default", "all"),
        ("MODE", "hard"),
        ("HOST", None),
        ("other/gone", None),
        ("logtype", "file"),
    ],
)
def test_what_a_tag_stands_for(options, tag, meaning):
    text = "[DEFAULT]\ndefault = all\n[Definition]\nword = own\n[other]\nword = theirs\n"

    assert options(text, mode="hard").meaning(tag) == meaning


def test_an_own_logtype_is_kept(options):
    assert options("[Init]\nlogtype = journal\n").meaning("logtype") == "journal"


def test_a_tag_that_stands_for_itself_is_an_error_with_its_place(options):
    with pytest.raises(FilterErrors) as caught:
        options("[Definition]\na = <b>\nb = <a>\nfailregex = <a>\n").lines("failregex")

    (error,) = caught.value.errors
    assert (error.line, error.text) == (4, "<a>")


@pytest.mark.parametrize(
    ("given", "unused"),
    [
        ({"mode": "hard", "kind": "x", "failregex": "^<HOST>$"}, []),
        ({"mode": "hard", "colour": "red"}, ["colour=red"]),
        ({"mode": "soft"}, ["mode=soft"]),
    ],
)
def test_given_options_without_effect_are_known(options, given, unused):
    text = (
        "[Definition]\nfailregex = ^fail(?: <words-<mode>>)? <HOST>$\nwords-hard = at last\nprefix = <kind>\n"
    )

    assert list(options(text, **given).unused()) == unused


def test_a_misspelt_option_is_known_unless_another_uses_it(options):
    text = "[Definition]\nfailregex = %(prefregexp)s\nprefregexp = x\nignoreregexp = y\nfailregex-old = z\n"

    assert list(options(text).unused()) == ["ignoreregexp (did you mean ignoreregex?)"]


@pytest.mark.parametrize(
    ("text", "line"), [("[Definition]\nfailregexp = x\n", 2), ("[Definition]\nignoreregex = x\n", 0)]
)
def test_a_missing_failregex_is_an_error_at_the_one_that_is_misspelt(options, text, line):
    error = options(text).missing_failregex("x")

    assert error.line == line
    assert Path(error.file).name == "x.conf"
