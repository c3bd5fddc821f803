"""What the options of our own filters change, and which targets the filter of probes reports."""

import pytest

from sidecar.core.allowlist import Allowlist
from sidecar.core.events import Batch, Framing, Origin
from sidecar.core.guard import Guard
from sidecar.core.jail import Jail
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher

NOW = 1_795_338_000.0
ORIGIN = Origin("docker", "wp", "stdout", ("a",))
REST = '203.0.113.11 - {} [22/Nov/2026:08:57:49 +0000] "GET {} HTTP/1.1" {} 589 "-" "-"'
XMLRPC = '203.0.113.11 - - [22/Nov/2026:08:57:49 +0000] "POST /xmlrpc.php{} HTTP/1.1" 200 593 "-" "-"'
SAID = "wordpress(h)[8]: {} from 203.0.113.11"
LOST = "wp-sidecar: ip=203.0.113.11 event=lost_password via=form code=none user=admin forwarded=-"
ME, UNKNOWN = "/?rest_route=/wp/v2/users/me", "Authentication attempt for unknown user root"


def hits(name, *lines):
    data = "".join(f"{line}\n" for line in lines).encode()
    return Matcher({"a": load(name)}).scan(Batch(ORIGIN, data, Framing.NONE), NOW).hits


@pytest.mark.parametrize(
    ("name", "line", "counts"),
    [
        ("wordpress-access", REST.format("admin", ME, 401), True),
        ("wordpress-access", REST.format("admin", "/wp-json", 401), True),
        ("wordpress-access", REST.format("me@example.com", "/index.php/wp-json/wp/v2/posts?x=1", 401), True),
        ("wordpress-access", REST.format("admin", "/?%20rest.route=/wp/v2/users/me", 401), True),
        ("wordpress-access", REST.format("admin", "/?rest%20route=/wp/v2/users/me", 401), True),
        ("wordpress-access", REST.format("admin", "/?rest[route=/wp/v2/users/me", 401), True),
        ("wordpress-access", REST.format("admin", ME, 404), True),
        ("wordpress-access", REST.format("admin", "/wp-json/wp/v2/users/me/", 404), True),
        ("wordpress-access", REST.format("admin", "/?rest_route=/wp/v2/Users/Me/&x", 404), True),
        ("wordpress-access", REST.format("admin", "/wp-json/wp/v2/posts/7", 404), False),
        ("wordpress-access", REST.format("admin", "/?rest_route=/wp/v2/posts/7", 404), False),
        # WordPress reads `rest_route` in a form.
        ("wordpress-access", REST.format("admin", "/", 401).replace("GET", "POST"), True),
        # Another application's, a visitor of a site that closes its REST API, a right password, no right to it.
        ("wordpress-access", REST.format("admin", "/private/", 401), False),
        ("wordpress-access", REST.format("-", ME, 401), False),
        (
            "wordpress-access",
            REST.format("-", "/wp-json/contact-form-7/v1/x", 401).replace("GET", "POST"),
            False,
        ),
        ("wordpress-access", REST.format('""', ME, 401), False),
        ("wordpress-access", REST.format("admin", ME, 200), False),
        ("wordpress-access", REST.format("admin", ME, 403), False),
        ("wordpress-access[rest=no]", REST.format("admin", ME, 401), False),
        ("wordpress-access[rest=yes]", REST.format("-", ME, 401), True),
        ("wordpress-access[rest=yes]", REST.format("admin", ME, 401), True),
        ("wordpress-access[rest=yes]", REST.format("a b", "/wp-json/wp/v2/posts?x=1", 401), True),
        ("wordpress-access[rest=yes]", REST.format("admin", ME, 200), False),
        # The user is known and has no right to it.
        ("wordpress-access[rest=yes]", REST.format("admin", ME, 403), False),
        ("wordpress-access[rest=yes]", REST.format("admin", "/private/", 401), False),
        ("wordpress-access", XMLRPC.format(""), False),
        ("wordpress-xmlrpc", XMLRPC.format(""), True),
        ("wordpress-xmlrpc", XMLRPC.format("?for=jetpack"), True),
        ("wordpress-access", XMLRPC.format("").replace("xmlrpc.php", "my-door"), False),
        ("wordpress-access[login=/my-door]", XMLRPC.format("").replace("xmlrpc.php", "my-door"), True),
        ("wordpress-access[login=/my-door]", XMLRPC.format("").replace("xmlrpc", "wp-login"), True),
        ("wordpress[_daemon=mine]", "mine[8]: Empty username from 203.0.113.11", True),
        ("wordpress-hard", SAID.format("Untrusted X-Forwarded-For header"), True),
        ("wordpress-hard[untrusted=no]", SAID.format("Untrusted X-Forwarded-For header"), False),
        ("wordpress-hard", SAID.format(UNKNOWN), False),
        ("wordpress-hard[unknown=yes]", SAID.format(UNKNOWN), True),
        ("wordpress-auth", LOST, False),
        ("wordpress-auth[lost_password=yes]", LOST, True),
    ],
)
def test_an_option(name, line, counts):
    assert [hit.address for hit in hits(name, line)] == (["203.0.113.11"] if counts else [])


def asked(*requests):
    text = '203.0.113.11 - - [22/Nov/2026:08:57:{:02} +0000] "GET {} HTTP/1.1" 404 196 "-" "-"'
    return hits("wordpress-probes", *(text.format(at, request) for at, request in enumerate(requests)))


def test_the_target_is_the_request_without_its_query():
    found = asked(
        "/.env",
        "/blog/.env?x=1",
        "/?x=1&author=7",
        "/?rest_route=/wp/v2/users&page=2",
        "/a/../../etc/passwd?c",
        "//%2Eenv",
        "/?f=../../../etc/passwd&x",
    )

    assert [hit.target for hit in found] == [
        *("/.env", "/blog/.env", "author=7", "rest_route=/wp/v2/users&page=2"),
        # A path is in normal form, so one file is one target in every spelling.
        *("/etc/passwd", "/.env", "../../../etc/passwd"),
    ]


def test_a_scanner_is_banned_and_a_client_that_repeats_one_broken_link_is_not():
    guard = Guard([Jail("a", maxretry=10, findtime=600)], Allowlist())

    assert guard.hits(asked(*["/wp-content/plugins/gone/readme.txt"] * 30), NOW) == []
    (ban,) = guard.hits(asked(*(f"/?author={n}" for n in range(9))), NOW)
    assert (ban.address, ban.failures) == ("203.0.113.11", 10)


PAGE = '203.0.113.11 - - [22/Nov/2026:08:57:49 +0000] "GET /wp-admin/{} HTTP/1.1" {} 593 "-" "-"'
ACCEPTED = "Accepted password for {} from 203.0.113.11"


@pytest.mark.parametrize(
    ("name", "line", "success"),
    [
        ("wordpress", f"wordpress(h)[8]: {ACCEPTED.format('admin')}", True),
        ("wordpress", f"[22-Nov-2026 08:57:49 UTC] {ACCEPTED.format('admin')}", True),
        ("wordpress", f'WARNING: [pool www] child 7 said into stderr: "{ACCEPTED.format("admin")}"', True),
        ("wordpress", f"<37>Nov 22 08:57:49 host wordpress(h)[8]: {ACCEPTED.format('admin')}", True),
        ("wordpress", SAID.format("Authentication failure for x"), False),
        ("wordpress", "wordpress(h)[8]: Accepted password for x from 203.0.113.9 from 203.0.113.11", True),
        ("wordpress-auth", LOST.replace("lost_password", "login"), True),
        ("wordpress-auth", LOST.replace("lost_password", "login_failed"), False),
        ("wordpress-access", PAGE.format("profile.php", 200), True),
        ("wordpress-access", PAGE.format("", 200), True),
        ("wordpress-access", XMLRPC.format("").replace("xmlrpc", "wp-login"), False),
    ],
)
def test_a_login_that_worked_is_found_where_the_jail_asks_for_it(name, line, success):
    batch = Batch(ORIGIN, f"{line}\n".encode(), Framing.NONE)
    (hit,) = Matcher({"a": load(name, options={"success": "reset"})}).scan(batch, NOW).hits

    assert (hit.address, hit.success) == ("203.0.113.11", success)
    assert bool(Matcher({"a": load(name)}).scan(batch, NOW).hits) is not success


@pytest.mark.parametrize(
    "line",
    [
        # What an attacker can have without a password is no proof of a login.
        *(
            PAGE.format(page, 200)
            for page in (
                "admin-ajax.php",
                "load-scripts.php",
                "install.php",
                "css/login.css",
                "x",
                "../wp-login.php",
            )
        ),
        *(
            PAGE.format(page, 200).replace("/wp-admin", prefix)
            for page in ("", "profile.php")
            for prefix in ("/index.php/wp-admin", "/x.php/wp-admin")
        ),
        PAGE.format("", 200).replace("/wp-admin", "/nowhere/wp-admin"),
        # WordPress answers searches and the endpoints of a shop, whatever follows in the path.
        *(
            PAGE.format("edit.php", 200).replace("/wp-admin", f"{prefix}/wp-admin")
            for prefix in (
                "/search",
                "/search/x",
                "/%73earch",
                "//search",
                "/x/../search",
                "/my-account/orders",
            )
        ),
        PAGE.format("profile.php", 302),
        PAGE.format("profile.php", 403),
        PAGE.format("profile.php", 200).replace("GET", "POST"),
        XMLRPC.format("?action=lostpassword").replace("xmlrpc", "wp-login").replace("200", "302"),
        XMLRPC.format("").replace("200", "302"),
        REST.format("-", "/wp-login.php", 302),
        REST.format("-", '/?x=\\" 302 \\"POST /wp-login.php HTTP/1.1', 404),
    ],
)
def test_a_line_without_login_is_no_success(line):
    batch = Batch(ORIGIN, f"{line}\n".encode(), Framing.NONE)

    assert Matcher({"a": load("wordpress-access", options={"success": "reset"})}).scan(batch, NOW).hits == []


def clears(path: str, **options: str) -> bool:
    line = PAGE.format("edit.php", 200).replace("/wp-admin", f"{path}/wp-admin")
    matcher = Matcher({"a": load("wordpress-access", options={"success": "reset", **options})})
    return bool(matcher.scan(Batch(ORIGIN, f"{line}\n".encode(), Framing.NONE), NOW).hits)


def test_wp_admin_in_a_folder_proves_a_login_and_its_place_can_be_named():
    assert clears("")
    assert clears("/blog")
    assert not clears("/shop/blog")
    named = "/shop/blog|/wp"
    assert [path for path in ("", "/shop/blog", "/wp", "/blog") if clears(path, base=named)] == [
        "",
        "/shop/blog",
        "/wp",
    ]


def test_an_enumeration_of_plugins_is_a_scan_and_a_missing_picture_is_none():
    """As nmap's http-wordpress-enum asks: folders of plugins and themes, then the files that show a version."""
    names = [f"plugin-{n}" for n in range(100)]
    enumeration = [f"/wp-content/plugins/{name}/" for name in names]
    enumeration += [f"/wp-content/themes/{name}/readme.txt" for name in names]
    broken = [f"/wp-content/plugins/slider/images/{n}.png" for n in range(20)]

    assert len({hit.target for hit in asked_at_once(enumeration)}) == 200
    assert asked_at_once(broken) == []


def asked_at_once(requests):
    text = '203.0.113.11 - - [22/Nov/2026:08:57:00 +0000] "GET {} HTTP/1.1" 404 196 "-" "-"'
    return hits("wordpress-probes", *map(text.format, requests))
