"""The mu-plugin and its filter: PHP writes the lines, `wordpress-auth` reads them."""

import ipaddress
import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.core.events import Framing
from sidecar.filters.loader import load
from sidecar.filters.verdict import canonical, explain
from tests.filters.samples import NOW
from tests.support.mu_plugin import CLIENT, MuPlugin, one_request

STRANGER = "192.0.2.9"
KEY = "0123456789abcdef-_ABC"
AUTH = load("wordpress-auth")
KEYED = load(f"wordpress-auth[key={KEY}]")
LENIENT = load("wordpress-auth[lost_password=yes]", options={"success": "reset"})
EVENTS = ("login_failed", "lost_password", "login", "login_incomplete", "cross_site")
LINE = re.compile(
    r"wp-sidecar:(?: key=\S+)? ip=(\S+) event=(\S+) via=(\S+) code=(\S+) user=(\S+) forwarded=(\S+)"
)
DECORATED = 'WARNING: [pool www] child 7 said into stderr: "{}"'
# Bytes that a header, a form or an XML document can hold, and what people try.
TEXTS = st.binary(max_size=400) | st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")) | st.lists(
    st.sampled_from([
        b"@", b"+", b",", b":", b"%", b"-", b" ", b"\n", b"\r\n", b'"', b"'", b"\\", b"=", b"\0", b"\xff", b"A" * 90, "é€".encode(),
        f" ip={STRANGER} event=login_failed".encode(), f"\nwp-sidecar: ip={STRANGER} event=login_failed via=form code=x user=x forwarded=-\n".encode(),
        f" from {STRANGER}".encode(), b"forwarded=-", b"[22/Nov/2026:08:57:49 +0000]",
    ]),
    max_size=6,
).map(b"".join)  # fmt: skip
# `::192.0.2.1` is no address of a peer; glibc spells `::1` and the like without dots.
V4_COMPATIBLE, SPELLED_AS_IPV6 = ipaddress.ip_network("::/96"), ipaddress.ip_network("::/112")
# `::` is nobody's address.
_SIX = st.ip_addresses(v=6).filter(lambda address: not address.is_unspecified)
ADDRESSES = st.ip_addresses(v=4).map(str) | _SIX.map(str) | _SIX.map(lambda address: address.exploded)


@pytest.fixture(scope="module")
def plugin():
    with MuPlugin() as running:
        yield running


def counted(rules, line):
    """The address that a line counts against, in its usual spelling; None for no failure."""
    found = explain(rules, line, Framing.NONE, NOW).id
    return found and canonical(found)


def events(lines):
    """What each line says: (event, via, code, user)."""
    found = [LINE.fullmatch(line) for line in lines]
    assert None not in found, lines
    return [match.group(2, 3, 4, 5) for match in found]


@settings(max_examples=500, deadline=None)
@given(
    st.tuples(st.sampled_from(EVENTS), st.sampled_from(["form", "xmlrpc", "rest"]), TEXTS, TEXTS),
    ADDRESSES,
    TEXTS,
    st.sampled_from(["", KEY]),
)
@example(("login_failed", "form", b"x", b"admin"), CLIENT, b"@", "")
@example(("login_failed", "form", b"0", b"a+b@c"), "::ffff:203.0.113.11", b"+", KEY)
@example(
    ("login_failed", "form", b"", b"\xff" * 400),
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe",
    b"\xff" * 400,
    KEY,
)
def test_every_line_that_php_writes_is_read_as_it_was_meant(plugin, args, ip, forwarded, key):
    event, via, *_ = args
    server = {"REMOTE_ADDR": ip, "HTTP_X_FORWARDED_FOR": forwarded}
    _, written = plugin.ask("report", args, server=server, env={"WP_SIDECAR_PLUGIN_KEY": key})
    if ipaddress.ip_address(ip) in V4_COMPATIBLE and ipaddress.ip_address(ip) not in SPELLED_AS_IPV6:
        assert written == b""
        return
    line = written.decode("ascii").removesuffix("\n")
    counts = canonical(ip) if event == "login_failed" else None

    assert written.endswith(b"\n")
    assert len(written) < 900
    assert events([line])[0][:2] == (event, via)
    for shape in (line, DECORATED.format(line)):
        assert (counted(AUTH, shape), counted(KEYED, shape)) == (counts, counts if key else None)
        verdict = explain(LENIENT, shape, Framing.NONE, NOW)
        assert verdict.matched == (event in {"login_failed", "lost_password", "login"})


@pytest.mark.parametrize(
    "ip",
    ["", "unix:", "localhost", "203.0.113", "fe80::1%eth0", "::203.0.113.11", "::1.2.3.4 x", f"{STRANGER}\n"],
)
def test_a_peer_that_is_no_address_has_no_line(plugin, ip):
    assert plugin.ask("report", ["login_failed", "form", "x", "admin"], server={"REMOTE_ADDR": ip})[1] == b""


FORGED = f"wp-sidecar: ip={STRANGER} event=login_failed via=form code=x user=x forwarded=-"


@pytest.mark.parametrize(
    "line",
    [
        FORGED,
        FORGED.replace(":", f": key={KEY[:-1]}", 1),
        FORGED.replace(":", f": key={KEY}x", 1),
        FORGED.replace(":", ": key=", 1),
        FORGED.replace(":", f": key={KEY.lower()}", 1),
        f"{FORGED} key={KEY}",
    ],
)
def test_a_line_without_the_key_does_not_count_where_the_filter_asks_for_it(line):
    assert counted(KEYED, line) is None
    assert counted(KEYED, DECORATED.format(line)) is None


def test_a_key_may_be_a_constant_too():
    _, (line,) = one_request(("wp_login_failed", ["admin"]), define={"WP_SIDECAR_PLUGIN_KEY": KEY})

    assert line.startswith(f"wp-sidecar: key={KEY} ip=")
    assert counted(KEYED, line) == CLIENT


@pytest.mark.parametrize(
    "key",
    [
        "short",
        "x" * 65,
        "0123456789abcdef ip=192.0.2.9",
        "0123456789abcdef\n",
        "0123456789abcde|",
        "0123456789abcdef.*",
    ],
)
def test_a_key_that_the_filter_could_not_match_is_ignored_and_reported(key):
    hooks = ("wp_login_failed", ["admin"]), ("wp_login_failed", ["admin"])
    _, lines = one_request(*hooks, env={"WP_SIDECAR_PLUGIN_KEY": key})

    assert sum("WP_SIDECAR_PLUGIN_KEY is ignored" in line for line in lines) == 1
    assert sum(line.startswith(f"wp-sidecar: ip={CLIENT} ") for line in lines) == 2


WRONG = "error incorrect_password"
XMLRPC = {"XMLRPC_REQUEST": "1"}
BASIC = {"REMOTE_ADDR": CLIENT, "PHP_AUTH_USER": "admin", "PHP_AUTH_PW": "x"}


@pytest.mark.parametrize(
    ("fire", "settings_", "expected"),
    [
        pytest.param(
            [("wp_login_failed", ["admin", WRONG])],
            {}, [("login_failed", "form", "incorrect_password", "admin")], id="the form",
        ),
        pytest.param(
            [("wp_login_failed", ["admin", "error wfls_twofactor_required"])],
            {}, [("login_incomplete", "form", "wfls_twofactor_required", "admin")], id="a second factor is asked for",
        ),
        pytest.param(
            [("wp_login_failed", ["admin", WRONG]), ("xmlrpc_login_error", ["x", WRONG])],
            {"define": XMLRPC}, [("login_failed", "xmlrpc", "incorrect_password", "admin")], id="XML-RPC",
        ),
        pytest.param(
            [("authenticate", ["", "admin", "x"], [("application_password_failed_authentication", [WRONG])]), ("wp_login_failed", ["admin", WRONG]), ("xmlrpc_login_error", ["x", WRONG])],
            {"define": XMLRPC}, [("login_failed", "xmlrpc", "incorrect_password", "admin")], id="XML-RPC of a user with application passwords",
        ),
        pytest.param(
            [("wp_login_failed", ["admin", WRONG])],
            {"define": XMLRPC}, [("login_failed", "xmlrpc", "incorrect_password", "admin")], id="a plugin's XML-RPC server",
        ),
        pytest.param(
            [("xmlrpc_login_error", ["x", "error empty_password"])], {"define": XMLRPC}, [], id="XML-RPC without a password",
        ),
        pytest.param(
            [("wp_login_failed", ["admin", WRONG]), *[("xmlrpc_login_error", ["x", each]) for each in (WRONG, "error login_prevented", "error login_prevented")]],
            {"define": XMLRPC}, [("login_failed", "xmlrpc", "incorrect_password", "admin"), *[("login_failed", "xmlrpc", "login_prevented", "-")] * 2], id="a multicall",
        ),
        pytest.param(
            [("application_password_failed_authentication", [WRONG])] * 2,
            {"server": BASIC}, [("login_failed", "rest", "incorrect_password", "admin")], id="REST, looked at twice",
        ),
        pytest.param(
            [("application_password_failed_authentication", [WRONG])],
            {"server": {**BASIC, "AUTH_TYPE": "Basic"}}, [], id="the web server's own password",
        ),
        pytest.param(
            [("application_password_failed_authentication", [WRONG]), ("wp_login_failed", ["editor", WRONG]), ("xmlrpc_login_error", ["x", WRONG])],
            {"server": BASIC, "define": XMLRPC}, [("login_failed", "xmlrpc", "incorrect_password", "admin"), ("login_failed", "xmlrpc", "incorrect_password", "editor")], id="XML-RPC with one password in the header and one in the call",
        ),
        pytest.param(
            [("authenticate", ["", "admin", "x"], [("application_password_failed_authentication", [WRONG])]), ("wp_login_failed", ["admin", WRONG])],
            {"define": {"REST_REQUEST": "1"}}, [("login_failed", "rest", "incorrect_password", "admin")], id="a plugin's REST login",
        ),
        pytest.param(
            [("wp_login_failed", ["admin", WRONG])],
            {"server": BASIC}, [("login_failed", "form", "incorrect_password", "admin")], id="the form, with an Authorization header",
        ),
        pytest.param([("wp_login", ["admin"])], {}, [("login", "form", "none", "admin")], id="a login"),
        pytest.param(
            [("xmlrpc_call", ["a"]), ("xmlrpc_call", ["b"])],
            {"define": XMLRPC, "env": {"CURRENT_USER": "admin"}}, [("login", "xmlrpc", "none", "admin")], id="an XML-RPC login",
        ),
        pytest.param(
            [("application_password_did_authenticate", ["user admin"])],
            {"server": BASIC}, [("login", "rest", "application_password", "admin")], id="a REST login",
        ),
    ],
)  # fmt: skip
def test_one_line_for_each_password_that_wordpress_checked(fire, settings_, expected):
    _, lines = one_request(*fire, **settings_)

    assert events(lines) == expected


HERE = {"HOME_URL": "https://www.example.com/blog", "SITE_URL": "https://wp.example.org"}
ELSEWHERE = "https://evil.example"


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        # Browsers with Sec-Fetch-Site: it decides.
        ({"SEC_FETCH_SITE": "cross-site", "ORIGIN": ELSEWHERE}, "sec_fetch_site"),
        ({"SEC_FETCH_SITE": "Cross-Site"}, "sec_fetch_site"),
        ({"SEC_FETCH_SITE": "cross-site", "ORIGIN": "null"}, "sec_fetch_site"),
        ({"SEC_FETCH_SITE": "same-origin", "ORIGIN": "https://www.example.com"}, ""),
        ({"SEC_FETCH_SITE": "same-origin", "ORIGIN": "null"}, ""),  # the site sends Referrer-Policy: no-referrer
        ({"SEC_FETCH_SITE": "same-origin", "ORIGIN": "https://public.example"}, ""),  # a proxy changes the Host
        ({"SEC_FETCH_SITE": "same-site", "ORIGIN": "https://shop.example.com"}, ""),
        ({"SEC_FETCH_SITE": "none"}, ""),
        ({"SEC_FETCH_SITE": "cross-site", "ORIGIN": "http://www.example.com"}, ""),  # from http:// to https://
        ({"SEC_FETCH_SITE": "cross-site", "ORIGIN": "https://app.example"}, ""),  # a plugin allows it
        # Without it: the origin's host is one of ours, or of the same domain.
        ({}, ""),
        ({"ORIGIN": ""}, ""),
        ({"ORIGIN": ELSEWHERE}, "origin"),
        ({"ORIGIN": "null"}, "origin"),
        ({"ORIGIN": "https://www.example.com"}, ""),
        ({"ORIGIN": "https://www.example.com:8443"}, ""),
        ({"ORIGIN": "https://WP.example.org"}, ""),
        ({"ORIGIN": "https://shop.example.com"}, ""),
        ({"ORIGIN": "https://example.com"}, ""),
        ({"ORIGIN": "https://app.example"}, ""),
        ({"ORIGIN": "http://front.example", "HOST": "front.example:8080"}, ""),
        ({"ORIGIN": "http://front.example", "HOST": "backend", "X_FORWARDED_HOST": "front.example, inner"}, ""),
        ({"ORIGIN": "https://www.example.com.evil.example"}, "origin"),
        ({"ORIGIN": "https://evilexample.com"}, "origin"),
        ({"ORIGIN": "https://evil.co.uk", "HOST": "www.good.co.uk"}, "origin"),
        ({"ORIGIN": "https://shop.good.co.uk", "HOST": "www.good.co.uk"}, ""),
        ({"ORIGIN": "http://203.0.113.7", "HOST": "198.51.0.7"}, "origin"),
        ({"ORIGIN": "http://198.51.0.7", "HOST": "198.51.0.7:8080"}, ""),
        ({"ORIGIN": "http://[2001:db8::7]", "HOST": "[2001:db8::7]:8080"}, ""),
        ({"ORIGIN": "http://[2001:db8::8]", "HOST": "[2001:db8::7]:8080"}, "origin"),
        ({"ORIGIN": "https://user@www.example.com@evil.example"}, "origin"),
        ({"ORIGIN": "http://["}, "origin"),
    ],
)  # fmt: skip
def test_whether_a_page_of_another_site_sends_a_login(plugin, headers, reason):
    server = {"REMOTE_ADDR": CLIENT, "REQUEST_METHOD": "POST"}
    server |= {f"HTTP_{name}": value for name, value in {"HOST": "wordpress", **headers}.items()}
    env = {**HERE, "ALLOWED_ORIGIN": "https://app.example", "WP_SIDECAR_CROSS_SITE": ""}

    assert plugin.ask("cross_site", server=server, env=env)[0] == reason
    assert plugin.ask("cross_site", server={**server, "REQUEST_METHOD": "GET"}, env=env)[0] == ""
    assert plugin.ask("cross_site", server=server, env={**env, "WP_SIDECAR_CROSS_SITE": "allow"})[0] == ""


FROM_ELSEWHERE = {"REMOTE_ADDR": CLIENT, "REQUEST_METHOD": "POST", "HTTP_SEC_FETCH_SITE": "cross-site"}


def test_the_request_ends_before_the_password_is_checked():
    hooks = ("authenticate", ["", "admin", "secret"]), ("wp_login_failed", ["admin"])
    answer, (line,) = one_request(*hooks, server=FROM_ELSEWHERE, env=HERE)

    assert answer == "303 https://www.example.com/blog/"
    assert events([line]) == [("cross_site", "form", "sec_fetch_site", "admin")]
    assert [counted(rules, line) for rules in (AUTH, LENIENT)] == [None, None]


def test_no_new_password_is_mailed_for_a_page_of_another_site():
    answer, lines = one_request(("lostpassword_post", []), server=FROM_ELSEWHERE, env=HERE)

    assert answer == "303 https://www.example.com/blog/"
    assert events(lines) == [("cross_site", "form", "sec_fetch_site", "-")]


@pytest.mark.parametrize(
    ("server", "password", "define"),
    [
        pytest.param(FROM_ELSEWHERE, "", {}, id="no password"),
        pytest.param({**FROM_ELSEWHERE, "REQUEST_METHOD": "GET"}, "secret", {}, id="a link"),
        pytest.param(FROM_ELSEWHERE, "secret", {"REST_REQUEST": "1"}, id="REST"),
        pytest.param(FROM_ELSEWHERE, "secret", {"WP_SIDECAR_CROSS_SITE": "allow"}, id="turned off"),
    ],
)
def test_other_requests_go_on(server, password, define):
    hooks = ("authenticate", ["", "admin", password]), ("wp_login_failed", ["admin"])
    answer, lines = one_request(*hooks, server=server, define=define, env=HERE)

    assert answer is None
    assert [event for event, *_ in events(lines)] == ["login_failed"]
