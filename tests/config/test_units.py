from __future__ import annotations

import enum
import math
import re
from random import Random

import pytest

from sidecar.config.units import (
    allowlist_entries,
    allowlist_entries_without_files,
    ban_duration,
    ban_rate,
    boolean,
    duration,
    max_retries,
    networks,
    one_of,
    ports,
    proxy_networks,
    share,
    whole_number,
    words,
)
from tests.filters.oracle import MyTime


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("600", 600),
        ("10m", 600),
        ("1d12h", 129_600),
        ("1d 12h", 129_600),
        ("1 day 2 hours 3 min", 93_780),
        ("1w", 604_800),
        ("1.5h", 5_400),
        ("0.5", 0.5),
        ("1mo", 30.4375 * 86_400),
        ("1Y", 365.25 * 86_400),
        (" 90 s ", 90),
        ("60*60*24", 86_400),
        ("24 * 60m", 86_400),
        ("2 * (1h 30m)", 10_800),
        ("1year-6mo", 15_778_800),
        ("1hour+30min", 5_400),
        ("7d/2", 302_400),
        ("1h30", 3_630),
        ("10 20", 30),
    ],
)
def test_a_duration_is_seconds(text, seconds):
    assert duration(text) == seconds


def test_arithmetic_has_the_value_that_fail2ban_gives_it():
    random = Random(7)
    for _ in range(500):
        parts = [_random_duration(random) for _ in range(random.randint(1, 4))]
        text = parts[0] + "".join(random.choice([" ", "+", " + ", "*", "-"]) + part for part in parts[1:])
        theirs = MyTime.str2seconds(text)
        if theirs > 0:
            assert duration(text) == pytest.approx(theirs), text


def _random_duration(random: Random) -> str:
    units = (
        "",
        "s",
        "sec",
        "m",
        "min",
        "minutes",
        "h",
        "hours",
        "d",
        "day",
        "w",
        "weeks",
        "mo",
        "month",
        "y",
    )
    return f"{random.randint(10, 99)}{random.choice(units)}"


def test_the_first_failure_is_a_ban_with_maxretry_0_as_in_fail2ban():
    assert (max_retries("0"), max_retries("1"), max_retries("5")) == (1, 1, 5)


def test_only_a_ban_may_last_for_good():
    assert ban_duration("-1") == math.inf
    with pytest.raises(ValueError, match='expected a duration such as 600, 10m, 1d12h, got "-1"'):
        duration("-1")


@pytest.mark.parametrize(
    "text",
    [
        "", "five", "10x", "0", "0m", "-5", "1e9", "60*", "*60", "1d-1d", "60*60*(", "9**9**9", "1/0",
        "60*sixty", "()", "__import__('os')", "٣", "1..5",
        "inf", "nan", "9" * 40, "1" * 5_000 + "!",
    ],
)  # fmt: skip
def test_an_error_says_what_a_duration_looks_like(text):
    with pytest.raises(ValueError, match="expected a duration such as 600, 10m, 1d12h"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("http,https", {80, 443}),
        ("http, https 8080", {80, 443, 8080}),
        ("8000:8003", {8000, 8001, 8002, 8003}),
        ("8000-8001,22", {8000, 8001, 22}),
        ("SSH", {22}),
        ("http-alt", {8080}),
        ("443/udp", {443}),
        ("80/tcp, 8000-8001/TCP https/udp", {80, 443, 8000, 8001}),
        ('"80,443"', {80, 443}),
        ("\"80\", 'https'", {80, 443}),
    ],
)
def test_ports(text, numbers):
    assert ports(text) == numbers


@pytest.mark.parametrize("text", ["all", "all/tcp", '"all"', "0:65535", "1:65535", "http,all", "ALL"])
def test_all_ports(text):
    assert ports(text) is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "got nothing"),
        (" , ", "got nothing"),
        ("0", 'port "0" is not in 1..65535'),
        ("65536", "not in 1..65535"),
        ("9" * 5_000, "not in 1..65535"),
        ("httpp", '"httpp" is not a port'),
        ("80:", '"" is not a port'),
        ("9000:8000", "the range .* runs backwards; write 8000:9000"),
        ("80; reboot", '"80;" is not a port'),
        ("²", "is not a port"),
        ('""', "got nothing"),
        ('"80', '""80" is not a port'),
        ("/tcp", '"" is not a port'),
        ("80/sctp", '"80/sctp" is not a port'),
    ],
)
def test_an_error_says_what_is_not_a_port(text, sentence):
    with pytest.raises(ValueError, match=sentence):
        ports(text)


def test_networks_are_canonical():
    assert networks("127.0.0.1/8, 203.0.113.7\n2001:DB8::1/32 ::1") == (
        "127.0.0.0/8",
        "203.0.113.7",
        "2001:db8::/32",
        "::1",
    )
    assert networks("") == ()
    with pytest.raises(
        ValueError, match=r'"example\.org" is not an address or network; host names are not allowed here'
    ):
        networks("203.0.113.7 example.org")


def test_an_ignoreip_names_networks_and_hosts(tmp_path):
    (tmp_path / "list").write_text(
        "# the office\n203.0.113.9, 198.51.100.0/24 # and its lab\nlab.example.org\n"
    )

    assert allowlist_entries(
        "127.0.0.1/8 Office.Example.org., 203.0.113.7 xn--bcher-kva.example office.example.org"
    ) == (
        ("127.0.0.0/8", "203.0.113.7"),
        ("office.example.org", "xn--bcher-kva.example"),
    )
    assert allowlist_entries("localhost") == (("127.0.0.0/8", "::1"), ())
    assert allowlist_entries(f"203.0.113.7 file:{tmp_path}/list") == (
        ("203.0.113.7", "203.0.113.9", "198.51.100.0/24"),
        ("lab.example.org",),
    )
    assert allowlist_entries("") == ((), ())


@pytest.mark.parametrize(
    "word",
    [
        "203.0.113", "1.2.3.4.5", "203.0.113.7/33", "999.1.1.1", "office", "foo_bar.example", "-a.example",
        "a-.example", "a..example", ".example", "example.c0m", "a;b.example", "bücher.example", "*.example.org",
        "x" * 64 + ".example", "a." * 130 + "example", "http://a.example", "a.example:80",
    ],
)  # fmt: skip
def test_an_error_says_what_is_neither_an_address_nor_a_host_name(word):
    with pytest.raises(
        ValueError, match=r"is not an address, a network or a host name such as office\.example"
    ):
        allowlist_entries(word)


def test_a_list_in_a_file_that_cannot_be_read_is_an_error(tmp_path):
    (tmp_path / "nested").write_text("file:/etc/passwd")
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "long").write_text("203.0.113.7\n" * 10_001)
    (tmp_path / "endless").symlink_to("/dev/zero")
    (tmp_path / "wide").write_text("203.0.113.7\nfc00::/7\n0.0.0.0/0 # all\n")
    for path, sentence in (
        ("nothing", 'nothing" cannot be read: No such file'),
        ("binary", 'binary" cannot be read: it is not text'),
        ("long", 'long" has 10,001 entries; the most is 10,000'),
        ("endless", 'endless" is longer than 4,194,304 bytes'),
        ("wide", 'wide" has 0.0.0.0/0, which is too wide: nobody in it could be banned'),
        ("nested", "names another file, file:/etc/passwd; write its entries instead"),
    ):
        with pytest.raises(ValueError, match=sentence):
            allowlist_entries(f"file:{tmp_path}/{path}")


def test_proxies_may_not_be_very_wide():
    assert proxy_networks("10.0.0.0/8 2001:db8::/32") == ("10.0.0.0/8", "2001:db8::/32")
    for text in ("0.0.0.0/0", "::/0", "0.0.0.0/7", "2000::/3"):
        with pytest.raises(ValueError, match="is too wide for proxies: nobody in it could be banned"):
            proxy_networks(text)


def test_a_ban_rate_and_a_share():
    assert (ban_rate("30000/1m"), ban_rate("5 / 600"), ban_rate("off")) == (
        (30_000, 60),
        (5, 600),
        (math.inf, 60),
    )
    for text in ("30000", "x/1m", "0/1m", "5/0", "5/-1", "", "5/1m/2"):
        with pytest.raises(ValueError, match="expected a"):
            ban_rate(text)
    assert [share(text) for text in ("50%", "100 %", "0.5", "1", "Off")] == [0.5, 1, 0.5, 1, math.inf]
    for text in ("50", "0%", "0", "101%", "5%5", "-0.5", "1e-1", "", "half"):
        with pytest.raises(ValueError, match="expected a share such as"):
            share(text)


def test_whole_numbers():
    assert whole_number("3") == 3
    for text in ("0", "-1", "five", "1.5", "", "٣", "9" * 20):
        with pytest.raises(ValueError, match="expected a whole number from 1 up"):
            whole_number(text)


def test_maxretry_has_a_limit():
    assert [max_retries("3"), max_retries("10000")] == [3, 10_000]
    with pytest.raises(
        ValueError, match="10001 is too many; the most is 10000, and mode = observe bans nobody"
    ):
        max_retries("10001")


def test_yes_and_no():
    assert [boolean(text) for text in ("true", "Yes", "on", "1")] == [True] * 4
    assert [boolean(text) for text in ("false", "No", "off", "0")] == [False] * 4
    with pytest.raises(ValueError, match='expected true or false, got "maybe"'):
        boolean("maybe")


def test_words():
    assert words(" a, b\n c,,d ") == ["a", "b", "c", "d"]
    assert words(" ,\n") == []


def test_a_label_may_not_name_a_file():
    assert allowlist_entries_without_files("203.0.113.7 a.example") == (("203.0.113.7",), ("a.example",))
    with pytest.raises(ValueError, match='"file:/etc/passwd" is not an address'):
        allowlist_entries_without_files("file:/etc/passwd")


class Size(enum.StrEnum):
    SMALL = "small"
    LARGE = "large"


def test_one_of_a_few_words():
    assert one_of(Size)(" Large ") is Size.LARGE
    assert one_of(("DEBUG", "INFO", "ERROR"))("info") == "INFO"


@pytest.mark.parametrize(
    ("parse", "sentence"),
    [
        (one_of(Size), 'expected small or large, got "huge"'),
        (one_of(("DEBUG", "INFO", "ERROR")), 'expected one of DEBUG, INFO, ERROR, got "huge"'),
        (one_of(Size, "small (a few) or large"), 'expected small (a few) or large, got "huge"'),
    ],
)
def test_a_word_that_is_none_of_a_few_is_answered_with_them(parse, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse("huge")
