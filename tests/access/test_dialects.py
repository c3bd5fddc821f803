"""The text of a format, as a configuration has it, is taken apart into values and what stands between them."""

import pytest

from sidecar.access.dialects import tokens


def fields(text):
    return [(token.field, token.source) for token in tokens(text).tokens if token.field != "literal"]


@pytest.mark.parametrize(
    ("text", "has_backslashes"),
    [
        ('$remote_addr "$request" $status', True),
        ('%h "%r" %>s', True),
        ('LogFormat "%h \\"%r\\" %>s" mine', True),
        ('log-format "%ci %{+Q}r %ST"', False),
        ("%[src] %[status]", False),
    ],
)
def test_a_format_shows_whose_it_is(text, has_backslashes):
    assert tokens(text).has_backslashes is has_backslashes


def test_the_parts_keep_what_a_person_wrote():
    assert fields("$remote_addr|${status} $word") == [
        ("client", "$remote_addr"),
        ("status", "${status}"),
        ("", "$word"),
    ]
    assert fields('%a "%r" %>s 100%% %{%s}t') == [
        ("client", "%a"),
        ("request", "%r"),
        ("status", "%>s"),
        ("date", "%{%s}t"),
    ]
    assert fields("%{+X}o %{-X}ci 5%% %(name)HM %[capture.req.uri,lower]") == [
        ("client", "%{-X}ci"),
        ("method", "%(name)HM"),
        ("target", "%[capture.req.uri,lower]"),
    ]
