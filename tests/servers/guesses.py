"""Hostile requests, seeded: guesses at passwords, in which everything that a server may log tries to mislead its reader."""

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass

# Who had nothing to do with it.
STRANGER, STRANGER6 = "192.0.2.1", "2001:db8:7::7"
DATE = "[01/Jan/2020:00:00:00 +0000]"

# What is put into headers: parts of lines, and whatever ends a field in some format.
TEXTS = (
    '" 302 1 "-" "x', STRANGER, f'{STRANGER} - - {DATE} "GET / HTTP/1.1" 302 5 "-" "x"',
    f'x" {STRANGER} - - {DATE} "POST /wp-login.php HTTP/1.1" 200 5 "-" "-"', "\\", '\\"', "'", '"', '""',
    "\\x22 302", "#22", "\t", "\t302\t", "a\tb", " | 302 | ", "|302|", "}", "{", "{x|y}", "}} {",
    '","status":302,"x":"', f'","remote_addr":"{STRANGER}","x":"', f'","client_ip":"{STRANGER}","status":302',
    f"status=302 remote_addr={STRANGER}", f"status:302\tremote_addr:{STRANGER}", "2020-01-01T00:00:00Z", DATE,
    "1577836800.000", "[", "]", "] [", "- -", " - - ", f"{STRANGER}, {STRANGER}", f"{STRANGER}:80", STRANGER6,
    f"[{STRANGER6}]:80", "unknown", "-", "", "%22", "%0a", "%00", "\xe9", "\u2028", "\xff\xfe", "\x80", "\x01",
    "\x7f", "\x1b[31m", "\x0b", "\x0c", "x" * 430, '"' * 300, "\\" * 301, "\xe9" * 900, "x" * 4000,
    "GET / HTTP/1.1", '"GET / HTTP/1.1" 302', 'GET / HTTP/1.1" 302 0', " 302 ", "302", "200",
    f"for={STRANGER};proto=http", f'for="[{STRANGER6}]:4711"', "wp-iphone/24.1", "Jetpack by WordPress.com",
    "Mozilla/5.0 (X11; Linux x86_64)", "' OR 1=1 --", "<script>", "a;b", "a,b", "a, b", "#", "?", "?x",
    "/wp-admin/", "POST /wp-login.php HTTP/1.1", f"client {STRANGER}", f"[client {STRANGER}]", f"src={STRANGER}",
)  # fmt: skip
PATHS = (
    "//wp-login.php", "/./wp-login.php", "/x/../wp-login.php", "/%77p-login.php", "/wp%2dlogin.php", "/wp-login.php/",
    "/wp-login.php/x.css", "/wp-login.php;a=b", "/%2e/wp-login.php", "/a/%2e%2e/wp-login.php", "/%2fwp-login.php",
    "/x%2f..%2fwp-login.php", "/wp-login.php%2f", "/wp-login.php%00", "/wp-login.php%20", "/wp-login.php%0a",
    "/wp-login.php%22", "/%2577p-login.php", "/%c0%afwp-login.php", "/\\wp-login.php", "/wp-admin/../wp-login.php",
    "/WP-LOGIN.PHP", "/;/wp-login.php", "/x;/../wp-login.php", "/wp-login.php/../wp-login.php", '/"/../wp-login.php',
    "/ /../wp-login.php", "/%20/../wp-login.php", "/\t/../wp-login.php", "/\xe9/../wp-login.php",
    "/%ff%fe/../wp-login.php", "/'/../wp-login.php", "/]/../wp-login.php", f"/{DATE}/../../../wp-login.php",
    f"/{STRANGER}/../wp-login.php", "/#/../wp-login.php", "/%23/../wp-login.php", "/?/../wp-login.php",
    "/%3f/../wp-login.php", "/wp-login.php#x", "/../wp-login.php", "/wp-login.php/wp-admin/index.php",
    '/"%20302/../wp-login.php', "/x%22%20302%20/../wp-login.php", "/<>/../wp-login.php", "/{}/../wp-login.php",
    "/|/../wp-login.php", "/^/../wp-login.php", "/%5c/../wp-login.php", "/%/../wp-login.php", "/%zz/../wp-login.php",
    "/\x7f/../wp-login.php", "/\x01/../wp-login.php", "/ HTTP/1.1 302 /../wp-login.php", "/302/../wp-login.php",
)  # fmt: skip
QUERIES = (
    "action=rp", 'x="', "x=%20302%20", "x=\\", 'x=\\"', "a=b&c=d", "x= y", "x=\ty", "?", "x=%22 302", "x=\xe9", "x=\xff",
    "x=%00", "x=#", "x={", "x=}", "x=|", "x=]", "x=[", f"x={STRANGER}", f"x={DATE}", "x=" + "a" * 3000, "x='",
    'x=" HTTP/1.1" 302 1', "x=HTTP/1.1", 'x="\\', "redirect_to=/wp-admin/", "x=\x01", "x=<>", "x=%", "x=%zz", "x=\x7f",
    "x=\x80", "x=%e9%00%22", "/../../", "x=http://x/",
)  # fmt: skip
HOSTS = (
    "198.51.100.1", STRANGER, f"{STRANGER}:80", "x" * 430, "x" * 260, 'a"b', "a b", "a\\b", "a\tb", "", "a?", "a?b",
    "a/b", "a#b", f"x@{STRANGER}", f"[{STRANGER6}]", "[::1]:80", "a,b", "-", "_", "blog.example.com.", "b.example:8080",
    "b.example:x", "\xe9.example", "%22", "a%20b", "a|b", "a}b", "a{b", "a<b", "a'b", "..", "a..b", "*", "302", "200",
    "$host", "a;b", "a=b", "a[b", "a]b", "x:302",
)  # fmt: skip
METHODS = (
    "post", "PoST", "GET", "PUT", "OPTIONS", "XPOST", "POST\t", "P\xd6ST", '"POST', 'POST"', "QUERY", "M-SEARCH",
    "a" * 70, "POST,GET", "!POST", "POST'", "POST|", "HEAD",
)  # fmt: skip
VERSIONS = (
    "HTTP/1.0", "HTTP/1.2", "HTTP/2.0", "HTTP/2", "http/1.1", "HTTP/1.1 ", "HTTP/1.1\t", "HTTP/01.1", "HTTP/1.10", "",
    "HTTP/1.1 302", 'HTTP/1.1" 302', "HTTPS/1.1", "HTTP /1.1",
)  # fmt: skip
ORIGINS = (
    "http://", "https://", "HTTP://", "ftp://", "//", "http://u:p@", f"http://{STRANGER}:80@", 'http://a"b', "http://a?",
    f"//{STRANGER}",
)  # fmt: skip
# A header, and how often a request has it. Each may stand beside the same name.
HEADERS = (
    ("Referer", 0.3), ("X-Forwarded-For", 0.25), ("X-Forwarded-For", 0.05), ("X-Real-IP", 0.1), ("Forwarded", 0.1),
    ("Cookie", 0.1), ("CF-Connecting-IP", 0.05), ("True-Client-IP", 0.04), ("Via", 0.04), ("X-Request-Id", 0.06),
    ("X-Forwarded-Host", 0.04), ("X-Forwarded-Proto", 0.04), ("User-Agent", 0.04), ("X-Original-URL", 0.03),
    ("Proxy-Authorization", 0.03), ("X-Envoy-External-Address", 0.03), ("traceparent", 0.03), ("Expect", 0.02),
)  # fmt: skip


@dataclass(frozen=True)
class Guess:
    """A request of a client. `head` is what HTTP/1 sends of it before its body."""

    number: str
    client: str
    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    head: bytes
    body: bytes
    # Whether it goes over HTTP/2, where the server has that. Nothing of `head` is sent then.
    http2: bool = False


def guesses(count: int, seed: object) -> Iterator[Guess]:
    """Yield requests, each of a client of its own."""
    chance = random.Random(str(seed))
    for number in range(1, count + 1):
        yield _guess(chance, number)


def plain(
    number: str, client: str, method: str, target: str, *, body: bytes = b"", cookie: str = ""
) -> Guess:
    """Return what a browser sends."""
    headers = (
        ("Host", "blog.example.com"),
        ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)"),
        ("X-Number", number),
        *([("Cookie", cookie)] if cookie else []),
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
    )
    return Guess(
        number,
        client,
        method,
        target,
        headers,
        _head(f"{method} {target} HTTP/1.1", headers, "latin-1"),
        body,
    )


def client_of(number: int) -> str:
    """Return the address of a client: of every fourth, an IPv4 one."""
    return f"203.0.113.{number // 4 % 190 + 1}" if number % 4 == 0 else f"2001:db8:c:{number:x}::1"


def _guess(chance: random.Random, number: int) -> Guess:
    # Many lines are odd in one place only, so that it is that place which is tried.
    odd = chance.choice((0.0, 0.1, 0.3, 0.5))

    def one_of(usual: str, others: tuple[str, ...]) -> str:
        return chance.choice(others) if chance.random() < odd else usual

    method = one_of("POST", METHODS) if chance.random() < 0.3 else "POST"
    query = one_of("", QUERIES)
    host = one_of("blog.example.com", HOSTS)
    target = one_of("/wp-login.php", PATHS) + (f"?{query}" if query else "")
    if chance.random() < odd / 5:
        target = chance.choice(ORIGINS) + host + target
    blanks = [one_of(" ", ("  ", "\t", "\x0b", "\x0c")) if chance.random() < 0.2 else " " for _ in range(2)]
    version = one_of("HTTP/1.1", VERSIONS)
    line = f"{method}{blanks[0]}{target}{blanks[1]}{version}" if version else f"{method}{blanks[0]}{target}"

    body = f"log=admin&pwd=wrong{number}".encode()
    headers = [
        *([("Host", host)] if chance.random() > odd / 10 else []),
        *([("User-Agent", one_of("Mozilla/5.0", (_text(chance),)))] if chance.random() > odd / 5 else []),
        ("X-Number", str(number)),
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Connection", "close"),
        *((name, _text(chance)) for name, rate in HEADERS if chance.random() < 3 * odd * rate),
    ]
    if chance.random() < odd / 3:
        headers.append(("Authorization", f"Basic {_encoded(_text(chance))}"))
    if chance.random() < odd / 4:
        headers.append(("Transfer-Encoding", "chunked"))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        headers.append(("Content-Length", str(len(body))))
    if chance.random() < odd / 4:
        chance.shuffle(headers)
    head = _head(line, tuple(headers), chance.choice(("utf-8", "latin-1")))
    if chance.random() < odd / 10:
        head = head.replace(b"\r\n", b"\n")
    if chance.random() < odd / 10:
        # Another request of the same connection stands before it.
        before = plain(f"before {number}", "", "GET", f"/?x={chance.choice(QUERIES)}")
        head = before.head.replace(b"Connection: close\r\n", b"") + head
    return Guess(
        str(number),
        client_of(number),
        method,
        target,
        tuple(headers),
        head,
        body,
        http2=chance.random() < 0.25,
    )


def _text(chance: random.Random) -> str:
    if chance.random() < 0.55:
        return chance.choice(TEXTS)
    joined = (
        chance.choice(TEXTS) + chance.choice(("", " ", '"', "\\", "\t")) for _ in range(chance.randint(2, 4))
    )
    return "".join(joined)[:6000]


def _encoded(text: str) -> str:
    return base64.b64encode(f"{text}:x".encode("latin-1", "replace")).decode()


def _head(line: str, headers: tuple[tuple[str, str], ...], encoding: str) -> bytes:
    text = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"{line}\r\n{text}\r\n".encode(encoding, "replace")
