"""A request target has many spellings, and one path."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.access.target import normalised, paths, readable, split

LOGIN = [
    "/wp-login.php",
    "//wp-login.php",
    "/./wp-login.php",
    "/x/../wp-login.php",
    "/x/y/../../wp-login.php",
    "/../wp-login.php",
    "/%77p-login.php",
    "/wp%2Dlogin%2ephp",
    "/%2e/wp-login.php",
    "/x/%2e%2e/wp-login.php",
    "/x/..%2fwp-login.php",
    "/%2Fwp-login.php",
    "/wp-login.php;jsessionid=1",
    "/;a=b/wp-login.php",
    "/wp-login.php#top",
    "http://blog.example.com/wp-login.php",
    "HTTPS://blog.example.com:8443//wp-login.php",
    "http:///wp-login.php",
    "wp-login.php",
]


@pytest.mark.parametrize("target", LOGIN)
def test_every_spelling_is_the_same_path(target):
    assert split(target) == ("/wp-login.php", "")


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/", "/"),
        ("", "/"),
        ("*", "/*"),
        ("/blog/wp-login.php/", "/blog/wp-login.php/"),
        ("/wp-login.php/x/y", "/wp-login.php/x/y"),
        ("/wp-admin/.", "/wp-admin/"),
        ("/a/..", "/"),
        ("/%252e%252e/x", "/%2e%2e/x"),
        ("/100%", "/100%"),
        ("/caf%C3%A9", "/café"),
        ("/%ff", "/\udcff"),
        ("/é%77", "/éw"),
        ("/a%00b", "/a\x00b"),
        ("/..", "/"),
        ("/...", "/..."),
    ],
)
def test_a_path_is_decoded_once_and_resolved(target, path):
    assert split(target)[0] == path


@pytest.mark.parametrize(
    ("target", "query"),
    [
        ("/x?", ""),
        ("/x?author=1", "author=1"),
        ("/x?a=%2Fwp%2Fv2%2Fusers", "a=/wp/v2/users"),
        ("/x?%61uthor=1", "author=1"),
        ("/x?a=b%26author%3D1", "a=b%26author%3D1"),
        ("/x?a=b+c", "a=b%20c"),
        ("/x?a=1?b=2", "a=1%3Fb=2"),
        ('/x?a="', "a=%22"),
        ("/x?a=1#author=2", "a=1"),
        ("/x?redirect_to=http://a/?b=c%20d&action=rp", "redirect_to=http://a/%3Fb%3Dc%20d&action=rp"),
    ],
)
def test_parameters_are_decoded_one_by_one(target, query):
    assert split(target)[1] == query


@given(st.text())
@example("%2525")
@example("/%2e%2e/..%2f")
def test_a_normalised_path_has_no_other_spelling_of_its_segments(target):
    path, _ = split(target)

    assert path.startswith("/")
    assert "//" not in path
    assert not {".", ".."} & set(path.split("/"))


@given(st.text())
def test_readable_text_is_one_word_of_printable_ascii(text):
    word = readable(text)

    assert word.isascii()
    assert word.isprintable()
    assert not set(word) & set(' "?\\<>')


def test_normalising_keeps_what_is_normal():
    assert normalised("/a/b.c/") == "/a/b.c/"


def test_a_host_that_stands_in_the_target_hides_no_path():
    assert paths("http://x?/wp-login.php?a=b") == ("/", "/wp-login.php/a=b")
    assert paths("http://#22/wp-login.php") == ("/", "/#22/wp-login.php", "/22/wp-login.php")
    assert paths("http://blog.example.com/wp-login.php?a=b") == ("/wp-login.php",)
    assert paths("/#/../wp-login.php") == ("/", "/wp-login.php", "/#/wp-login.php")
    assert paths("/?to=/wp-login.php") == ("/",)
