import itertools
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.access.detect import AccessLog
from sidecar.access.reader import RequestReader
from sidecar.filters.loader import load
from sidecar.filters.required_words import ENCODED_UNRESERVED, expressions


def finds(searched, line):
    """Return whether this finds a line, as the database goes by it."""
    return bool(re.search(searched.expression, line)) and (
        not searched.beside or any(word in line for word in searched.beside)
    )


OURS = {
    name: [(rule.regex, expressions(rule.regex)) for rule in load(name).failregex]
    for name in ("wordpress-access[rest=yes,success=reset]", "wordpress-xmlrpc", "wordpress-probes")
}


@pytest.mark.parametrize(
    ("regex", "words"),
    [
        (r"^\S+ POST \S*/wp-login\.php 200", (rb"wp\-login\.php",)),
        # The longest of a sequence; of alternatives each, unless one holds another.
        (r"/(?:wp-login(?:\.php)?|xmlrpc\.php) ", (rb"wp\-login", rb"xmlrpc\.php")),
        (r"/(?:login|wp-login) ", (b"login",)),
        (r"(?:/secret){2}", (b"secret",)),
        # Nothing that every match contains, or nothing of use.
        (r"/(?:secret)?/x", ()),
        (r"/(?:secret|x)", ()),
        (r"(?i)/wp-login", ()),
        (r"(?!/secret)/x", ()),
        # `22` may be the end of `%22`, which the log writes as `\"`.
        (r"%22select", (b"select",)),
        (r"\S2select", (b"select",)),
        (r"/2select", (b"2select",)),
    ],
)
def test_one_of_the_longest_words_that_every_match_contains_is_searched_for(regex, words):
    found = expressions(re.compile(regex))

    assert tuple(each.expression for each in found) == ((*words, ENCODED_UNRESERVED) if words else ())


@pytest.mark.parametrize(
    ("regex", "found", "missed"),
    [
        # Most lines of a site have `wp-content`.
        (r"/wp-content/\S*\.php", b"/wp-content/a.php", b"/wp-content/a.css"),
        (r"/wp-content/\S*\.php", b'{"query": "x.php", "path": "/wp-content"}', b"/wp-login.php"),
        (r"/wp-content/\S*/readme\.txt", b"/readme.txt", b"/wp-content/x/style.css"),
        (
            r"/wp-content/(?:uploads|cache)/\S*\.php",
            b"/wp-content/uploads/a.php",
            b"/wp-content/uploads/a.png",
        ),
        # Many have `.php`.
        (r"/(?:wso|c99)\.php", b"/c99.php", b"/index.php"),
        (r"/\S*(?:\.php~|\.php[._](?:bak|\d))", b"/x.php.1", b"/x.php"),
        (r"/(?:\.\./)+\.\./x", b"../../", b"/a..b"),
    ],
)
def test_a_word_that_many_lines_have_is_searched_for_with_another(regex, found, missed):
    searched = expressions(re.compile(regex))[:-1]

    assert any(finds(each, found) for each in searched), searched
    assert not any(finds(each, missed) for each in searched), searched


def test_nothing_is_searched_for_from_a_word_that_most_lines_have():
    """Hyperscan would search on to the line's end in each of these."""
    for regex in (
        r"/wp-content/\S*\.php",
        r"/wp-content/\S* 404 \?",
        r"/(?:themes|backup)\S* (?:403|404) \?",
    ):
        for each in expressions(re.compile(regex)):
            assert not re.search(each.expression, b"GET /wp-content/themes/a.css HTTP/1.1 200"), regex


def test_a_text_that_a_regex_looks_at_twice_need_not_be_there_twice():
    for regex in (r"(?=\S*\.php)\S*\.php", r"\.php(?<=\.php)", r"(\.php)\1?"):
        (word, _) = expressions(re.compile(regex))

        assert finds(word, b"/x.php")


def test_the_status_of_a_refused_password_is_searched_for_alone():
    (status,) = expressions(re.compile(r"^\S+ [A-Z]+ /wp-json/\S* 401 \?"))

    for line in (b'"GET / HTTP/1.1" 401 5', b'{"status":401,"x":1}', b"401 GET /", b"[401]", b"GET / 401"):
        assert finds(status, line)
    for line in (b'"GET / HTTP/1.1" 200 4011', b'"GET / HTTP/1.1" 200 5401', b"40 1"):
        assert not finds(status, line)


@pytest.mark.parametrize(
    "regex",
    [r"/401/secret ", r"/\d401/secret ", r" 401/secret ", r"(?: 401 )?/secret ", r"(?! 401 )/secret "],
)
def test_a_number_that_is_no_status_is_not_taken_for_one(regex):
    """A path may be percent-encoded in the log, and the number may be a part of a longer one."""
    word, encoded = expressions(re.compile(regex))

    assert finds(word, b"/5401/secret") and encoded.expression == ENCODED_UNRESERVED


def test_the_status_of_another_error_has_to_be_in_the_line_of_the_word():
    word, encoded = expressions(re.compile(r"^\S+ [A-Z]+ /wp-json/\S* 404 \?"))
    lines = (b"/wp-json/ 404", b"[404] /wp-json/", b"/wp-json/ 200\n404", b"/wp-json/ 200")

    assert [finds(word, line) for line in lines] == [True, True, False, False]
    assert encoded.expression == ENCODED_UNRESERVED


def test_where_the_word_is_in_most_lines_the_status_is_searched_for():
    status, encoded = expressions(re.compile(r"^\S+ [A-Z]+ /wp-content/\S* 404 \?"))
    lines = (b"/wp-content/ 404", b"[404] /wp-content/", b"/ 404", b"/wp-content/ 200", b"/wp-content/ 14045")

    assert [finds(status, line) for line in lines] == [True, True, False, False, False]
    assert encoded.expression == ENCODED_UNRESERVED


@pytest.mark.parametrize("text", [b"/%77p", b"/wp%2Dlogin", b"x%7e"])
def test_an_encoded_letter_is_searched_for(text):
    assert re.search(ENCODED_UNRESERVED, text)


@pytest.mark.parametrize("text", [b"/a%20b", b"/%2Fwp", b"/%E2%82%AC", rb"\x22", rb"\u0026", b"100%"])
def test_what_clients_have_to_encode_is_not(text):
    assert not re.search(ENCODED_UNRESERVED, text)


def percent(text, which):
    """The text with the characters at these places percent-encoded."""
    return "".join(f"%{ord(each):02x}" if i in which else each for i, each in enumerate(text))


def combined(method, target, status, agent):
    escaped = [text.replace("\\", "\\\\").replace('"', '\\"') for text in (target, agent)]
    return (
        f'203.0.113.7 - - [30/Nov/2026:06:33:20 +0000] "{method} {escaped[0]} HTTP/1.1" {status} 1 "-" '
        f'"{escaped[1]}"'
    )


def nginx(method, target, status, agent):
    return combined(method, target, status, agent).replace('\\"', "\\x22")


def as_json(method, target, status, agent):
    return json.dumps(
        {"remote_addr": "203.0.113.7", "request": f"{method} {target} HTTP/1.1", "status": status,
         "http_user_agent": agent}
    )  # fmt: skip


def json_of_parts(method, target, status, agent):
    path, _, query = target.partition("?")
    return json.dumps(
        {"ClientHost": "203.0.113.7", "RequestMethod": method, "RequestPath": path, "args": query,
         "DownstreamStatus": status, "request_User-Agent": agent}
    )  # fmt: skip


def in_json_file(*parts):
    return json.dumps({"log": combined(*parts) + "\n", "stream": "stdout", "time": "2026-11-30T06:33:20Z"})


WRITERS = (combined, nginx, as_json, json_of_parts, in_json_file)
SEGMENTS = st.sampled_from(
    ["wp-login.php", "wp-login", "xmlrpc.php", "xmlrpc", "wp-admin", "profile.php", "x", ".", "..", "", "x;y",
     "wp-json", "wp", "v2", "users", ".env", "wp-config.php.bak", "uploads", "wp-content", "plugins", "a.php",
     "readme.txt", ".git", "config", "adminer.php", "backup.zip", 'a"b', "%2e%2e", "x#y"]
)  # fmt: skip
QUERIES = st.sampled_from(
    [
        "",
        "?author=1",
        "?rest_route=/wp/v2/users",
        "?x=1&rest_route=%2Fwp%2Fv2%2Fusers",
        "?f=../../etc/passwd",
        "?a=+b",
    ]
)


@st.composite
def targets(draw):
    path = "".join("/" + draw(SEGMENTS) for _ in range(draw(st.integers(1, 4))))
    target = path + draw(QUERIES)
    return percent(target, draw(st.sets(st.integers(0, len(target) - 1), max_size=4)))


@st.composite
def lines(draw):
    write = draw(st.sampled_from(WRITERS))
    return write(
        draw(st.sampled_from(["POST", "GET", "HEAD"])),
        draw(targets()),
        draw(st.sampled_from([200, 301, 401, 403, 404, 503])),
        draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)),
    )


@pytest.mark.parametrize("name", OURS)
@given(line=lines())
def test_every_line_that_a_failregex_matches_contains_one_of_its_expressions(name, line):
    for reading in RequestReader(AccessLog()).readings(line):
        for regex, found in OURS[name]:
            if found and regex.search(reading.canonical):
                assert any(finds(each, line.encode()) for each in found), reading


@st.composite
def regexes_of(draw, text):
    """A regex that matches the text: parts of it, with alternatives, classes and unknown text in their places."""
    cuts = sorted({0, len(text), *draw(st.lists(st.integers(0, len(text)), max_size=8))})
    parts = [text[start:end] for start, end in itertools.pairwise(cuts)]
    return "^" + "".join(draw(st.sampled_from(_ways(part))) for part in parts) + "$"


def _ways(part):
    literal, first, rest = re.escape(part), re.escape(part[:1]), re.escape(part[1:])
    return [
        literal, ".*", literal, f"(?:{literal}|wp-content|x)", f"(?:.*|{literal})", f"(?:[{first}_]{rest}|secret)",
        f"(?=.*{literal}){literal}", f"(?:{literal}){{1,3}}", f"{first}(?:{rest}|\\d)", f"(?i:{literal})",
    ]  # fmt: skip


@given(line=lines(), data=st.data())
def test_what_is_searched_for_is_in_every_line_whose_request_any_regex_matches(line, data):
    for reading in RequestReader(AccessLog()).readings(line):
        regex = re.compile(data.draw(regexes_of(reading.canonical)), re.DOTALL)
        assert regex.search(reading.canonical)

        found = expressions(regex)
        assert not found or any(finds(each, line.encode()) for each in found), found
