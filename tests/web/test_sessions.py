"""A token opens a session, tries are limited, and nothing that is kept grows with those who try."""

import pytest

from sidecar.config.settings import Settings
from sidecar.web import sessions
from sidecar.web.sessions import (
    MAX_CLIENTS,
    MAX_SESSIONS,
    MAX_WRONG,
    MAX_WRONG_OF_ALL,
    SESSION_S,
    NotLoggedIn,
    Sessions,
    cookie_of,
    may_be_ours,
)
from tests.web.served import TOKEN, Current

ANN, BOB = "203.0.113.7", "203.0.113.8"


def opened(token=TOKEN):
    return Sessions(Current(token))


def cookie(value):
    return f"wordpress_x=%7C%22; wp_sidecar_session={value}; theme=dark"


def refused(made, token, client=ANN, now=0.0):
    with pytest.raises(NotLoggedIn) as raised:
        made.open(token, client, now)
    return str(raised.value)


def test_a_session_is_found_by_its_cookie_until_it_ends():
    made = opened()
    value = made.open(TOKEN, ANN, 0.0)

    assert made.find(cookie(value), ANN, SESSION_S - 1).form_key
    assert made.find(cookie(value), ANN, SESSION_S) is None
    assert made.find(cookie(value), ANN, 1.0) is None


def test_a_clock_that_is_set_back_ends_sessions():
    made = opened()
    value = made.open(TOKEN, ANN, 1_000.0)

    assert made.find(cookie(value), ANN, 0.0) is None


@pytest.mark.parametrize(
    "text",
    ["", "wp_sidecar_session", "wp_sidecar_session=", "=;;=", "x" * 10_000, "wp_sidecar_session=ü\ud800"],
)
def test_another_cookie_is_none(text):
    made = opened()
    made.open(TOKEN, ANN, 0.0)

    assert made.find(text, ANN, 1.0) is None


def test_a_cookie_of_our_name_from_another_site_hides_no_session():
    made = opened()
    value = made.open(TOKEN, ANN, 0.0)

    assert made.find(f"wp_sidecar_session=other; {cookie(value)}", ANN, 1.0)


def test_a_cookie_that_somebody_else_got_hold_of_is_of_no_use():
    made = opened()
    value = made.open(TOKEN, ANN, 0.0)

    assert made.find(cookie(value), BOB, 1.0) is None
    assert made.find(cookie(value), ANN, 1.0)


def test_the_addresses_of_an_ipv6_client_change():
    made = opened()
    value = made.open(TOKEN, "2001:db8::1", 0.0)

    assert made.find(cookie(value), "2001:db8::2", 1.0)
    assert made.find(cookie(value), "2001:db8:1::2", 1.0) is None


def test_another_token_ends_the_sessions():
    current = Current(TOKEN)
    made = Sessions(current)
    value = made.open(TOKEN, ANN, 0.0)
    for token in ("another-token-of-this-test", ""):
        current.settings = Settings((), {}, web_token=token)
        assert made.find(cookie(value), ANN, 1.0) is None


def test_a_closed_session_is_over():
    made = opened()
    value, other = made.open(TOKEN, ANN, 0.0), made.open(TOKEN, ANN, 0.0)
    session = made.find(cookie(value), ANN, 1.0)
    for _ in range(2):
        made.close(session)

    assert made.find(cookie(value), ANN, 1.0) is None
    assert made.find(cookie(other), ANN, 1.0)


def test_without_a_token_nobody_may():
    made = opened("")

    assert not made.is_possible
    for token in ("", "x", TOKEN):
        assert "set WP_SIDECAR_WEB_TOKEN" in refused(made, token)


@pytest.mark.parametrize("token", ["", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "ü\ud800\0", "x" * 4_000])
def test_a_wrong_token_opens_nothing(token):
    assert "this is not the token" in refused(opened(), token)


def test_a_client_has_a_few_tries_a_minute_and_others_have_theirs():
    made = opened()
    for _ in range(MAX_WRONG):
        refused(made, "wrong")

    assert refused(made, TOKEN) == "too many wrong tokens: wait a minute"
    assert made.open(TOKEN, BOB, 0.0)
    assert made.open(TOKEN, ANN, 62.0)


def test_all_together_have_some_more():
    made = opened()
    for n in range(MAX_WRONG_OF_ALL):
        refused(made, "wrong", f"198.51.100.{n}")

    assert "by other clients too" in refused(made, TOKEN)
    assert made.open(TOKEN, ANN, 62.0)


def test_what_is_kept_is_bounded():
    made = opened()
    for n in range(2 * MAX_CLIENTS):
        refused(made, "wrong", f"198.51.{n >> 8}.{n & 255}", n * 2.0)
    values = [made.open(TOKEN, ANN, 2_000.0) for _ in range(3 * MAX_SESSIONS)]

    assert len(made._wrong_of) <= MAX_CLIENTS
    assert len(made._open) <= MAX_SESSIONS
    # The oldest make room.
    assert made.find(cookie(values[0]), ANN, 2_001.0) is None
    assert made.find(cookie(values[-1]), ANN, 2_001.0)


def test_neither_the_token_nor_a_cookie_is_kept():
    made = opened()
    value = made.open(TOKEN, ANN, 0.0)

    assert value not in str(made._open)
    assert TOKEN not in str(made._open)


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []

    def compare(one, other):
        compared.append((len(one), len(other)))
        return one == other

    monkeypatch.setattr(sessions.hmac, "compare_digest", compare)
    refused(opened(), "short")

    # Also of the same length, whatever was tried.
    assert compared == [(32, 32)]


def test_a_form_of_ours_has_the_session_s_key():
    made = opened()
    session = made.find(cookie(made.open(TOKEN, ANN, 0.0)), ANN, 0.0)
    other = made.find(cookie(made.open(TOKEN, ANN, 0.0)), ANN, 0.0)

    assert may_be_ours({"key": session.form_key}, session)
    for form in ({}, {"key": ""}, {"key": other.form_key}, {"key": "ü"}):
        assert not may_be_ours(form, session)


def test_no_script_reads_the_cookie_and_no_other_site_sends_it():
    assert cookie_of("v", is_secure=False) == (
        "wp_sidecar_session=v; Path=/; Max-Age=28800; HttpOnly; SameSite=Strict"
    )
    assert cookie_of("", is_secure=True).endswith("Max-Age=0; HttpOnly; SameSite=Strict; Secure")
