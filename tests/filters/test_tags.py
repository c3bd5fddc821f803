import re

import pytest

from sidecar.filters.tags import reference, regex, substituted


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("sshd", ("sshd", {})),
        (" wordpress ", ("wordpress", {})),
        ("sshd[mode=aggressive]", ("sshd", {"mode": "aggressive"})),
        ("x[a=1, b=2][c='d,]']", ("x", {"a": "1", "b": "2", "c": "d,]"})),
        ('x[a="b, c" , d=""]', ("x", {"a": "b, c", "d": ""})),
        ("/etc/f/x.conf[logtype=short]", ("/etc/f/x.conf", {"logtype": "short"})),
    ],
)
def test_a_filter_is_named_with_its_options(text, expected):
    assert reference(text) == expected


@pytest.mark.parametrize("text", ["", "[a=b]", "x[", "x[a]", "x[a=b", "x[a=b]y", "x[a=1][b"])
def test_an_invalid_reference_is_refused(text):
    with pytest.raises(ValueError, match="expected"):
        reference(text)


def test_tags_are_replaced_from_the_inside_out():
    meanings = {"mode": "hard", "re-hard": "<a>+<HOST>", "a": "A"}

    assert substituted("^<re-<mode>> <unknown> <a>", meanings.get) == "^A+<HOST> <unknown> A"


@pytest.mark.parametrize("meanings", [{"a": "<a>"}, {"a": "<b>", "b": "<a>"}])
def test_a_tag_that_stands_for_itself_is_refused(meanings):
    with pytest.raises(ValueError, match="stands for itself"):
        substituted("<a>", meanings.get)


HOSTS = {
    "203.0.113.7": "203.0.113.7",
    "[203.0.113.7]": "203.0.113.7",
    "::ffff:203.0.113.7": "203.0.113.7",
    "2001:db8::7": "2001:db8::7",
    "[2001:db8::7]": "2001:db8::7",
    "::1": "::1",
    "2001:db8::": "2001:db8::",
    # Nobody's address: fail2ban takes it for none.
    "::": None,
    "[::]": None,
    "example.com": None,
    "": None,
}


@pytest.mark.parametrize(("text", "address"), HOSTS.items())
def test_the_host_tag_matches_addresses(text, address):
    found = re.fullmatch(regex("<HOST>", names=False), text)

    assert (found and (found["ip4"] or found["ip6"])) == address


def test_the_host_tag_matches_names_too_if_they_are_wanted():
    found = re.fullmatch(regex("<HOST>", names=True), "mail.example.com")

    assert found["dns"] == "mail.example.com"


def test_custom_tags_are_groups_and_inline_flags_local():
    text = regex("(?:(?i)fail) <F-USER>.*</F-USER> <F-ID/> <F-PORT>x</F-PORT></F-OTHER> ((?s).)", names=False)

    assert text == r"(?i:fail) (?P<user>.*) (?P<fid>\S+) (?P<fport>x)</F-OTHER> (?s:.)"
