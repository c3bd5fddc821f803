"""Requests in many spellings, seeded."""

import base64
import random
import urllib.parse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

ADMIN_COOKIE = "{cookie}"
# Servers differ in what these take away.
ODD_ENDS = (
    "/..;x", "/x/..", "/..%2fx", "//../x", "/%2e%2e;/x", "/.;/..", "#/../x", "/..\\x", "/%2e%2e%5cx", "/x/../../x",
    "/%2e", "/.%00", "?/../x", "/..%252fx", '/"/..', "//..//",
)  # fmt: skip
NAMES = ("admin", "editor", "nobody")


@dataclass(frozen=True)
class Spelling:
    """A request as bytes, and its number: the X-Spelling header and the last word of the User-Agent."""

    number: int
    data: bytes

    @property
    def line(self) -> str:
        return self.data.split(b"\r\n", 1)[0].decode("latin-1")


def spellings(count: int, seed: object, cookie: str, *, first: int = 0) -> Iterator[Spelling]:
    """Yield requests, numbered from `first`. `cookie` is that of a logged-in user; some requests carry it."""
    chance = random.Random(str(seed))
    for number in range(first, first + count):
        yield Spelling(number, _request(chance, number, cookie))


def _request(chance: random.Random, number: int, cookie: str) -> bytes:
    kind = chance.choices(("login", "xmlrpc", "rest", "admin", "page"), (52, 12, 14, 14, 8))[0]
    folder = chance.choices(
        (
            "",
            "/x/..",
            "/wp-admin/..",
            "/.",
            "/",
            "/wp-content/../.",
            "/nowhere",
            '/"/..',
            "/x/..;",
            "/x%2f..",
        ),
        (60, 6, 6, 6, 6, 4, 4, 2, 2, 2),
    )[0]
    headers = {
        "Host": _host(chance),
        "User-Agent": f"{_agent(chance)} spelling/{number}",
        "X-Spelling": str(number),
        "Connection": "close",
    }
    method, path, query, body, kind_of_body = _parts(chance, kind)
    target = _target(chance, _spelled(chance, folder + path), query, headers["Host"])
    headers |= _odd_headers(chance)
    if kind == "admin" and chance.random() < 0.5:
        headers["Cookie"] = cookie
    if kind_of_body:
        headers["Content-Type"] = kind_of_body
    if kind == "rest" and chance.random() < 0.8:
        headers["Authorization"] = _credentials(chance)
    data = body.encode()
    line = f"{method}{_blank(chance)}{target}{_blank(chance)}{_version(chance)}"
    if data and chance.random() < 0.15:
        headers["Transfer-Encoding"] = "chunked"
        middle = len(data) // 2
        data = (
            b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (data[:middle], data[middle:]) if part)
            + b"0\r\n\r\n"
        )
    elif data or method == "POST":
        headers["Content-Length"] = str(len(data))
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{line}\r\n{head}\r\n".encode("latin-1", "replace") + data


def _parts(chance: random.Random, kind: str) -> tuple[str, str, str, str, str]:
    if kind == "login":
        path = (
            "/wp-login.php"
            + chance.choices(
                ("", "/", "/x", "/x.php", ";a=b", "/../wp-login.php", "%00", *ODD_ENDS),
                (70, 6, 6, 6, 5, 5, 2, *[1] * len(ODD_ENDS)),
            )[0]
        )
        method = chance.choices(
            ("POST", "post", "Post", "PUT", "GET", "HEAD", "PATCH"), (80, 3, 3, 4, 4, 3, 3)
        )[0]
        return method, path, _query(chance), _form(chance), _content_type(chance)
    if kind == "xmlrpc":
        body = f"<methodCall><methodName>wp.getUsersBlogs</methodName><params><param><value>{chance.choice(NAMES)}</value></param><param><value>wrong</value></param></params></methodCall>"
        return (
            chance.choice(("POST", "POST", "POST", "PUT")),
            "/xmlrpc.php" + chance.choice(("", "", "/x")),
            chance.choice(("", "", "for=jetpack", "rsd")),
            body,
            chance.choice(("text/xml", "text/plain", "application/xml")),
        )
    if kind == "rest":
        return _rest(chance)
    if kind == "admin":
        page = chance.choice(
            (
                "",
                "index.php",
                "profile.php",
                "edit.php",
                "admin-ajax.php",
                "admin-post.php",
                "load-scripts.php",
                "load-styles.php",
                "install.php",
                "upgrade.php",
                "css/login.css",
                "index.php/x",
                "..",
                "../wp-login.php",
            )
        )
        return (
            chance.choice(("GET", "GET", "GET", "HEAD", "POST")),
            f"/wp-admin/{page}",
            chance.choice(("", "", "x=1", "action=heartbeat")),
            "",
            "",
        )
    return (
        "GET",
        chance.choice(
            ("/", "/index.php/wp-admin/", "/?p=1", "/readme.html", "/wp-login.php", "/index.php/wp-login.php")
        ),
        "",
        "",
        "",
    )


def _rest(chance: random.Random) -> tuple[str, str, str, str, str]:
    """Return a request that needs a user whom WordPress takes from an application password."""
    method = chance.choices(
        ("GET", "POST", "get", "HEAD", "PUT", "M-SEARCH", "X_Y"), (40, 30, 6, 4, 4, 4, 4)
    )[0]
    if chance.random() < 0.4:
        path = chance.choice(
            (
                "/wp-json/wp/v2/users/me",
                "/index.php/wp-json/wp/v2/users/me",
                "/wp-json/../wp-json/wp/v2/users/me",
                "/wp-json//wp/v2/users/me",
                "/wp-json/wp/v2/users/me/",
                "/wp-json/wp/v2/users/me;x",
            )
        )
        return method, path, chance.choice(("", "x=1", "_method=GET", "context=edit")), "", ""
    name = chance.choices(
        (
            "rest_route", "%72est_route", "rest_rout%65", "rest.route", "rest+route", "rest%20route", "rest[route",
            "rest%5Broute", "+rest_route", "%20%20rest_route", "rest_route%00x", "rest_route%00", "&rest_route",
            "x=1&rest_route", "rest_route=x&rest_route", "rest%2eroute",
        ),
        (20, *[3] * 15),
    )[0]  # fmt: skip
    route = chance.choice(
        ("/wp/v2/users/me", "%2Fwp%2Fv2%2Fusers%2Fme", "//wp/v2/users/me", "/wp/v2/users/me/")
    )
    path = chance.choice(("/", "/index.php", "/index.php/x", "/nowhere"))
    pair = f"{name}={route}"
    if method == "POST" and chance.random() < 0.4:
        # A stranger gets a 401 for this one: the log does not show the route.
        return method, path, "", f"{name}=/wp/v2/settings", "application/x-www-form-urlencoded"
    return method, path, pair, "", ""


def _credentials(chance: random.Random) -> str:
    """Return an Authorization header with a wrong password for some user."""
    name = chance.choices(
        (
            "nobody",
            "admin",
            " admin",
            "admin ",
            "<b>admin",
            "ad%41min",
            'a"b',
            "a b",
            "a\\b",
            "\u00e9",
            'a] "GET / HTTP/1.1" 302 ',
        ),
        (50, 20, *[4] * 9),
    )[0]
    encoded = base64.b64encode(f"{name}:wrong".encode()).decode()
    return chance.choices(
        (f"Basic {encoded}", f"basic {encoded}", f"BASIC  {encoded}", f"Basic {encoded.rstrip('=')}"),
        (80, 4, 4, 4),
    )[0]


def _form(chance: random.Random) -> str:
    form = [
        ("log", chance.choice(NAMES)),
        ("pwd", f"wrong{chance.randrange(1000)}"),
        ("wp-submit", "Log In"),
        ("testcookie", "1"),
    ]
    form += chance.choice(
        ([], [("action", "login")], [("action", "postpass")], [("redirect_to", "/wp-admin/")])
    )
    if chance.random() < 0.1:
        chance.shuffle(form)
    return urllib.parse.urlencode(form)


def _query(chance: random.Random) -> str:
    actions = (
        "rp",
        "lostpassword",
        "postpass",
        "logout",
        "register",
        "login",
        "resetpass",
        "confirmaction",
        "validate_2fa",
        "x",
        "",
    )
    action = chance.choice(actions)
    return chance.choices(
        (
            "",
            f"action={action}",
            f"%61ction={action}",
            f"action[]={action}",
            f"a=1&action={action}",
            f"action={action}&action=login",
            "?",
            "interim-login=1",
            "a" * 300,
            "x=%22%20HTTP/1.1%22%20302",
        ),
        (30, 20, 6, 6, 6, 6, 3, 3, 3, 5),
    )[0]


def _content_type(chance: random.Random) -> str:
    return chance.choices(
        (
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=UTF-8",
            "Application/X-WWW-Form-Urlencoded",
            "text/plain",
            "multipart/form-data; boundary=x",
        ),
        (80, 8, 4, 4, 4),
    )[0]


def _spelled(chance: random.Random, path: str) -> str:
    if chance.random() < 0.4:
        return path
    rate = chance.choice((0.05, 0.3, 1.0))
    out = []
    for char in path:
        if char.isalnum() or char in "-.":
            code = f"%{ord(char):02x}"
            out.append((code.upper() if chance.random() < 0.5 else code) if chance.random() < rate else char)
        elif char == "/":
            out.append(chance.choices(("/", "//", "/./", "%2f"), (92, 4, 3, 1))[0])
        else:
            out.append(char)
    return "".join(out)


def _target(chance: random.Random, path: str, query: str, host: str) -> str:
    whole = f"{path}?{query}" if query else path
    whole += chance.choices(("", "#x", "?"), (95, 3, 2))[0]
    if chance.random() < 0.08:
        return f"{chance.choice(('http', 'HTTP', 'https'))}://{host.strip() or 'x'}{whole}"
    return whole


def _blank(chance: random.Random) -> str:
    return chance.choices((" ", "  ", "\t"), (96, 2, 2))[0]


def _version(chance: random.Random) -> str:
    return chance.choices(
        ("HTTP/1.1", "HTTP/1.0", "HTTP/1.2", "http/1.1", "HTTP/2.0", ""), (84, 10, 2, 1, 1, 2)
    )[0]


def _host(chance: random.Random) -> str:
    return chance.choices(
        ("198.51.100.10", "blog.example.com", "192.0.2.1", "x" * 430, "blog.example.com:8080", 'a"b', ""),
        (70, 10, 6, 5, 4, 3, 2),
    )[0]


def _agent(chance: random.Random) -> str:
    return chance.choices(
        (
            "Mozilla/5.0 (X11)",
            "wp-iphone/24.1",
            "Jetpack by WordPress.com",
            '" 302 "GET / HTTP/1.1" 302 "',
            "\\",
            "192.0.2.1 - - [01/Jan/2020:00:00:00 +0000]",
            "",
        ),
        (60, 8, 8, 8, 6, 6, 4),
    )[0]


def _odd_headers(chance: random.Random) -> dict[str, str]:
    odd: Sequence[tuple[str, str]] = (
        ("X-Forwarded-For", "@"),
        ("X-Forwarded-For", "192.0.2.1"),
        ("Referer", 'http://x/" 302 1 "'),
        ("Authorization", "Basic eCBbMDEvSmFuLzIwMjA6MDA6MDA6MDAgKzAwMDBdICJHRVQgLyBIVFRQLzEuMSIgMzAyOng="),
        ("X-HTTP-Method-Override", "GET"),
        ("Expect", "100-continue"),
    )
    return dict([chance.choice(odd)]) if chance.random() < 0.3 else {}
