import pytest

from sidecar.core.text import closest_match, printable, redacted


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Zürich 東京", "Zürich 東京"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\N{RIGHT-TO-LEFT OVERRIDE}gpj.exe", r"\u202egpj.exe"),
        ("\N{LINE SEPARATOR}\x85", r"\u2028\x85"),
        ("half \udce9", r"half \udce9"),
        ("\x00\U000e0001", r"\x00\U000e0001"),
    ],
)
def test_what_a_terminal_would_obey_becomes_an_escape(text, shown):
    assert printable(text) == shown


def test_escapes_count_towards_the_limit():
    assert printable("ab\n\n\n", 5) == r"ab\n\ "[:5]
    assert printable("abcdef", 4) == "abcd"
    assert printable("\x00" * 30, 20) == r"\x00" * 5


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Redis at redis://user:pass@host:6379/3 is away", "Redis at redis://…@host:6379/3 is away"),
        ("redis://:pa?ss@host", "redis://…@host"),
        ("redis://:p/a#s?s@w@host:1", "redis://…@host:1"),
        ("redis://host?sentinel_password=pass", "redis://host?…"),
        ("tcp://root:pass@203.0.113.7:2375", "tcp://…@203.0.113.7:2375"),
        ("https://hooks.example/services/T0/B0/pass", "https://hooks.example/…"),
        ("HTTPS://hooks.example:8443?token=pass", "HTTPS://hooks.example:8443?…"),
        ("https://hooks.example/", "https://hooks.example"),
        ('got "http://u:pass@h:1/v1?x", sorry', 'got "http://…@h:1/…", sorry'),
        ("unix:///var/run/docker.sock", "unix:///var/run/docker.sock"),
        ("no URL: pass@host", "no URL: pass@host"),
        pytest.param("x" * 50 + "https://u:pass@h/pass", "x" * 50 + "https://…@h/…", id="after a long word"),
    ],
)
def test_of_a_url_remains_what_is_no_secret(text, shown):
    assert redacted(text) == shown


def test_a_long_word_is_no_work():
    """With a search from each letter to the end this would take an hour."""
    assert redacted("x" * 2_000_000) == "x" * 2_000_000


def test_known_secrets_are_left_out_wherever_they_stand():
    said = "unknown command 'AUTH', with args beginning with: 'root' 'a long pass' 'pass'"

    assert redacted(said, ["pass", "a long pass", ""]) == (
        "unknown command 'AUTH', with args beginning with: 'root' '…' '…'"
    )


def test_the_word_most_like_one_that_is_not_known():
    assert closest_match("bantme", ("findtime", "bantime", "maxretry")) == "bantime"
    assert closest_match("bantme", iter(("bantime",)), 0.99) is None
