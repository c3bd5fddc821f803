import re
import threading
import uuid

import pytest

from sidecar.filters import redos as module
from sidecar.filters.loader import load, pack
from sidecar.filters.redos import (
    SAFE_QUADRATIC_CHARS,
    Pump,
    find_redos,
    pumps,
    redos_prone,
    redos_prone_dates,
)
from tests.filters import oracle
from tests.support.effort import takes_less_than


@pytest.mark.parametrize(
    "pattern",
    [
        r"^(?:a+)+$",
        r"^fail (?:\w+\s?)*from$",
        r"x(?:a|a)*y",
        r"^(?:.*?,)*end$",
        r"^(?:ab|a|b)*c$",
        r'error in "[^"]+(?:"+[^"]*(?="))*?" end',
        r"^a*a*a*a*a*a*b",
        r"\s*\s*from",
    ],
)
def test_an_expression_that_is_slow_on_short_lines_is_never_safe(pattern):
    assert find_redos(re.compile(pattern)).safe_length == 0


@pytest.mark.parametrize("pattern", [r"^.*a.*from x$", r"\s*from", r"\w+ x"])
def test_an_expression_with_quadratic_effort_is_safe_on_short_lines(pattern):
    assert 0 < find_redos(re.compile(pattern)).safe_length <= SAFE_QUADRATIC_CHARS


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (r'^\d+ .*="one".*="two".*="three" .*end$', '1 ="one"="two"="three" '),
        (r"^.*\bop=(?:in|out)\b.*\bstatus=\d+\b.*\bpeer=(?:\d+\.){3}\d+$", " op=in status=1 "),
        (r"^\S+ .*from .*to .*by .*for$", "x from to by "),
    ],
)
def test_repeats_that_also_take_the_text_behind_them_are_found(pattern, line):
    """A guesser's line says all the words over and over, and ends with something unexpected."""
    found, regex = find_redos(re.compile(pattern)), re.compile(pattern)
    text = (line * 400)[: found.safe_length] + "\x00"

    assert found.safe_length <= SAFE_QUADRATIC_CHARS
    # Of the 0.02 s that are meant; it would be minutes for 64 KiB.
    assert takes_less_than(1.0, lambda: regex.search(text))


@pytest.mark.parametrize(
    "pattern",
    [r"^fail [^ ]+ from \d+$", r"^(?:a++)+$", r"^(?>a+)*b", r'^"[^"\\]*+(?:\\.[^"\\]*+)*+"', "^fail"],
)
def test_an_expression_that_walks_through_a_line_once_is_sound(pattern):
    assert find_redos(re.compile(pattern)) is None


def test_the_example_is_a_line_that_is_slow():
    found = find_redos(re.compile(r"^fail (?P<what>[a-c])x(?:[a-c]+)+ end$"))

    assert found.example.startswith("fail axaaaa")


@pytest.mark.parametrize("path", sorted(pack().glob("wordpress*.conf")), ids=lambda path: path.stem)
def test_our_filters_are_sound(path):
    if "failregex" in path.read_text() and not path.stem.endswith("-common"):
        assert redos_prone(load(path.stem)) == []


def test_some_of_the_distributions_filters_are_not():
    names = ("courier-auth", "sshd")  # and exim's, before fail2ban 1.1.1
    found = {name: redos_prone(load(name, [oracle.CONFIG / "filter.d"])) for name in names}

    assert [name for name in names if any(not one.safe_length for _, one in found[name])] == ["courier-auth"]


def test_a_datepattern_that_is_slow_on_short_lines_is_found(tmp_path):
    (tmp_path / "x.conf").write_text(
        "[Definition]\nfailregex = ^x <HOST>$\ndatepattern = ^(?:a+)+ %%Y\n  {^LN-BEG}\n  ^[^ ]+ %%Y-%%m-%%d\n"
    )

    assert redos_prone_dates(load("x", [tmp_path])) == ["^(?:a+)+ %Y"]
    assert redos_prone_dates(load("wordpress-access")) == []


def judged_beside_the_main_thread(tmp_path, *patterns):
    """Return what a second thread gets for expressions that were never judged before."""
    unique = uuid.uuid4().hex
    lines = "\n  ".join(f"{pattern} {unique} <HOST>" for pattern in patterns)
    (tmp_path / "x.conf").write_text(f"[Definition]\nfailregex = {lines}\n")
    log_filter, found = load("x", [tmp_path]), []
    thread = threading.Thread(target=lambda: found.extend(redos_prone(log_filter)))
    thread.start()
    thread.join()
    return [(log_filter.failregex.index(rule), one.safe_length) for rule, one in found]


def test_any_thread_may_ask_and_an_expression_without_end_is_ended(tmp_path):
    found = judged_beside_the_main_thread(
        tmp_path, "^fail", r"^(?:a+)+$", r"^.*a.*from x$", r"^(?:a|a)*y (?:b+)+$"
    )

    assert found == [(1, 0), (2, SAFE_QUADRATIC_CHARS), (3, 0)]


def test_an_expression_that_is_not_judged_in_time_is_not_safe(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(module, "JUDGING_TIMEOUT_S", 0.0)
        assert judged_beside_the_main_thread(tmp_path, "^fail", "^no") == [(0, 0), (1, 0)]

    # Asked again, it has time.
    assert redos_prone(load("x", [tmp_path])) == []


def test_an_expression_is_pumped_with_all_that_its_repeats_take():
    found = pumps(re.compile(r"^fail .*from (?:a|b,)+$"))

    assert {Pump("fail ", "a"), Pump("fail ", "from a"), Pump("fail from ", "b")} <= set(found)
    assert len(found) == len(set(found))
