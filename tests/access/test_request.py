from hypothesis import given
from hypothesis import strategies as st

from sidecar.access.request import Request

WORDS = st.text(max_size=40)


def test_the_canonical_line():
    request = Request(
        "203.0.113.7", "POST", "//wp-login.php?action=rp", "/wp-login.php", "action=rp", 200,
        user_agent="Mozilla/5.0 (X11)", host="blog.example.com",
    )  # fmt: skip

    assert (
        request.canonical
        == '203.0.113.7 POST /wp-login.php 200 ?action=rp blog.example.com "Mozilla/5.0 (X11)"'
    )


def test_what_is_not_known_is_a_dash():
    assert Request("203.0.113.7", "", "", "/", "", 0).canonical == '203.0.113.7 - / 000 ? - ""'


@given(method=WORDS, path=WORDS, host=WORDS, user_agent=WORDS)
def test_no_text_of_a_client_begins_another_field(method, path, host, user_agent):
    line = Request("203.0.113.7", method, "", f"/{path}", "", 200, user_agent=user_agent, host=host).canonical

    assert line.isprintable()
    assert line.count('"') == 2
    assert len(line.partition('"')[0].split(" ")) == 7
    assert line.split(" ")[3:5] == ["200", "?"]
