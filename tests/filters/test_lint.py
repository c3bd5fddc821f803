import pytest

from sidecar.filters.lint import STRANGER, closest, expects_json_file, forgeries, raw_lines
from sidecar.filters.loader import load, pack
from tests.filters.samples import ours


@pytest.fixture
def rules(tmp_path):
    def rules(failregex):
        (tmp_path / "x.conf").write_text(f"[Definition]\nfailregex = {failregex}\n")
        return load("x", [tmp_path])

    return rules


@pytest.mark.parametrize(
    "failregex",
    [
        "login of .* failed from <HOST>",
        "^login of .* failed from <HOST>",
        "^login of .*? failed from <HOST>.*$",
        r"\(<HOST>\) failed",
    ],
)
def test_a_failregex_that_a_client_can_fool_is_shown_by_a_line(rules, failregex):
    found = list(forgeries(rules(failregex)))

    assert all(STRANGER in line and banned == STRANGER for _, line, banned in found)
    assert bool(found) == (failregex != "^login of .* failed from <HOST>")


@pytest.mark.parametrize(
    ("failregex", "line", "banned"),
    [
        ("^failed.*<HOST>$", "failed203.0.113.7", "3.0.113.7"),
        ("^failed from .*<HOST>", "failed from 203.0.113.7", "3.0.113.7"),
        (r"^failed from \S+<HOST>", "failed from a203.0.113.7", "3.0.113.7"),
        (r"^failed from \d{0,2}<HOST>", "failed from 203.0.113.7", "3.0.113.7"),
        (r"^failed \S*\b<HOST>", "failed 2001:db8::7", "::7"),
    ],
)
def test_a_failregex_that_takes_only_the_end_of_an_address_is_shown_with_what_it_bans(
    rules, failregex, line, banned
):
    assert [(line, banned) for _, line, banned in forgeries(rules(failregex))] == [(line, banned)]


@pytest.mark.parametrize(
    "failregex",
    [
        "^login of \\S{1,60} failed from <HOST>$",
        "^<HOST> failed",
        "^no <HOST>$",
        "^failed.*? <HOST>$",
        r"^failed \D*<HOST>$",
        r"^failed (?:\S+ )?<HOST>$",
        r"^failed (?:from|for)+<HOST>$",
    ],
)
def test_a_failregex_that_cannot_be_fooled_is_not_reported(rules, failregex):
    assert list(forgeries(rules(failregex))) == []


@pytest.mark.parametrize("name", ours())
def test_our_filters_cannot_be_fooled(name):
    assert list(forgeries(load(name))) == []


def test_the_failregex_that_agrees_most_with_a_line(rules):
    found = closest(
        rules("^login of \\S+ failed from <HOST>$\n            ^blocked <HOST>$"), "login of ann failed frm x"
    )

    assert found[:2] == (1, "login of ann failed fr")
    assert 0.5 < found.share < 1
    assert closest(rules("^no <HOST>$"), "hello") is None


@pytest.mark.parametrize(
    ("failregex", "wrapped"),
    [
        (r'^{"log":"<HOST> .*POST /wp-login', True),
        (r'^\{"log":"<HOST> .*POST /wp-login', True),
        (r"^\s*\{\"log\":\"<HOST> ", True),
        (r'^<HOST> .*"log": "x"', False),
    ],
)
def test_filters_for_dockers_own_files_are_known(tmp_path, failregex, wrapped):
    (tmp_path / "mine.conf").write_text(f"[Definition]\nfailregex = {failregex}\n")

    assert expects_json_file(load("mine", [tmp_path])) is wrapped


@pytest.mark.parametrize(
    ("failregex", "is_raw"),
    [
        ('^<HOST> .* "POST /wp-login', True),
        (r'^<HOST> -.*"(?:GET|POST).*HTTP/1\.[01]" 404', True),
        (r"^<ADDR> POST /wp-login\.php 200 \?", False),
        (r'^<ADDR> \S+ \S+ 404 \S+ \S+ "WPScan', False),
        (r'^<ADDR> GET /.* "(?:curl|wget|)"$', False),
    ],
)
def test_an_expression_for_raw_lines_in_a_filter_on_requests_is_found(rules, failregex, is_raw):
    for kind in ("requests", "requests with user"):
        found = raw_lines(rules(f"{failregex}\ninput = {kind}"))
        assert [rule.text for rule in found] == [failregex] * is_raw
    assert raw_lines(rules(failregex)) == ()


@pytest.mark.parametrize("name", ["wordpress-access", "wordpress-probes", "wordpress-xmlrpc"])
def test_our_own_filters_are_for_requests(name):
    assert raw_lines(load(name, [pack()])) == ()
