from sidecar.core.request_text import (
    is_only_address,
    is_slack_like,
    json_of,
    names_address,
    strings,
    texts_of,
)


def test_a_text_names_the_address_by_any_of_its_tags():
    assert names_address("Banned <ip> by <name>") and names_address("<F-ID>")
    assert not names_address("Banned by <name>")


def test_a_value_for_a_program_is_only_the_address():
    assert is_only_address(" <ip> ")
    assert not is_only_address("<ip> is banned") and not is_only_address("<name>")


def test_json_may_have_tags_in_the_place_of_numbers():
    assert json_of('{"n": <failures>, "a": ["<ip>", <time>]}') == {"n": 0, "a": ["<ip>", 0]}
    assert json_of("<ip> is banned") is json_of("{no json}") is None


def test_slacks_format_is_known_by_its_keys():
    assert is_slack_like('{"text": "<ip>"}') and is_slack_like('{"attachments": []}')
    assert not is_slack_like('{"content": "<ip>"}') and not is_slack_like('["text"]')


def test_the_texts_of_a_body_are_those_of_its_json_its_fields_or_the_whole():
    assert texts_of('{"a": "b"}') == ["b"]
    assert texts_of("a=b c&d=e") == ["b c", "e"]
    assert texts_of("<ip> is in & out=x") == ["<ip> is in & out=x"]


def test_strings_are_found_in_any_depth():
    assert strings({"a": ["b", {"c": "d"}], "e": 1}) == ["b", "d"]
