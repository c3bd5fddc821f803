"""What WordPress itself says, in its containers, of real logins: with the stand-in for WP fail2ban (PHP's syslog() with
LOG_PERROR, and through a shared /dev/log) and with our mu-plugin, under mod_php and under php-fpm."""

import base64
import re
import threading
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import pytest

from sidecar.core.events import Batch, Framing, Origin
from sidecar.filters.loader import load
from sidecar.filters.matcher import Matcher
from sidecar.runtime.problems import Problems
from sidecar.sources.base import NullLogListener, Outputs
from sidecar.sources.syslog import SyslogSource
from tests.bed import ADMIN, Bed, Client, Site
from tests.bed.images import CHECKOUT
from tests.filters.samples import ours
from tests.spellings.generate import spellings
from tests.spellings.play import PROBE, login_cookie, play

PLUGIN = CHECKOUT / "wordpress/mu-plugins/wp-sidecar.php"
OTHERS = Path(__file__).with_name("other_plugins.php")
KEY = "a-key-that-no-visitor-knows"
MATCHER = Matcher({name: load(name) for name in ours()})
KEYED = Matcher({"wordpress-auth": load(f"wordpress-auth[key={KEY}]")})
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
CALL = (
    "<methodCall><methodName>{}</methodName><params><param><value>{}</value></param>{}</params></methodCall>"
)
GUESS = (
    "<value><struct><member><name>methodName</name><value>wp.getUsersBlogs</value></member><member><name>params</name><value>"
    "<array><data><value>admin</value><value>{}</value></data></array></value></member></struct></value>"
)
SAID = re.compile(
    rf"wp-sidecar: key={KEY} ip=(\S+) event=(\S+) via=(\S+) code=(\S+) user=(\S+) forwarded=(\S+)"
)


@dataclass
class Heard:
    """A site's logs, from the last time they were looked at."""

    site: Site
    client: Client
    shared: Path
    probe: Path
    seen: Counter = field(default_factory=Counter)

    def lines(self) -> list[str]:
        """All that its containers have written since then, whichever stream."""
        new = []
        for name in dict.fromkeys((self.site.container, self.site.php)):
            done = self.site.engine.cli("logs", name)
            for stream, text in (("out", done.stdout), ("err", done.stderr)):
                lines = text.split("\n")[:-1]
                new += lines[self.seen[name, stream] :]
                self.seen[name, stream] = len(lines)
        return new

    def after(self, do, expected: int | Callable[[], int], own=("wp-sidecar: ", "wordpress(")) -> list[str]:
        """What is written because of this, up to this many lines of the plugins' own, and a little longer for more."""
        self.lines()
        do()
        count = expected if isinstance(expected, int) else expected()
        new, end = [], time.monotonic() + 20
        while time.monotonic() < end:
            new += self.lines()
            if sum(any(part in line for part in own) for line in new) >= count:
                end = min(end, time.monotonic() + 0.3)
            time.sleep(0.05)
        return new

    def post(self, path, body, headers=None):
        return self.client._once(self.site, None, 60, "POST", path, body, headers or {})

    def get(self, path, headers=None):
        return self.client._once(self.site, None, 10, "GET", path, "", headers or {})


@pytest.fixture(scope="module")
def bed():
    with Bed.up() as bed:
        yield bed


@pytest.fixture(scope="module", params=["mod_php", "php-fpm"])
def heard(bed, request, tmp_path_factory):
    """WordPress with both plugins. Application passwords want https, or a site for development."""
    fpm = request.param == "php-fpm"
    shared = tmp_path_factory.mktemp("syslog")
    shared.chmod(0o755)  # www-data has to reach the socket in it
    probe = tmp_path_factory.mktemp("probe")
    probe.chmod(0o777)
    options = [
        f"--volume={PLUGIN}:/var/www/html/wp-content/mu-plugins/wp-sidecar.php:ro",
        f"--volume={OTHERS}:/var/www/html/wp-content/mu-plugins/other.php:ro",
        f"--volume={PROBE}:/var/www/html/wp-content/mu-plugins/probe.php:ro",
        f"--volume={probe}:/probe",
        f"--volume={shared}:/run/wp-sidecar-log",
        f"--env=WP_SIDECAR_PLUGIN_KEY={KEY}",
        "--env=WP_ENVIRONMENT_TYPE=local",
    ]
    name = request.param.replace("_", "-")
    site = bed.wordpress(log="plugin", fpm=fpm, name=name, port=8081 if fpm else 8080, options=options)
    return Heard(site, bed.attacker, shared, probe)


def hits(lines, matcher=MATCHER):
    """Filter -> the addresses that it counts failures against, one for each."""
    data = "".join(f"{line}\n" for line in lines).encode()
    found = matcher.scan(
        Batch(Origin("docker", "site", "", tuple(ours())), data, Framing.NONE), time.time()
    ).hits
    return {
        name: [hit.address for hit in found if hit.jail == name]
        for name in ours()
        if name in {h.jail for h in found}
    }


def events(lines):
    return [found.groups() for line in lines if (found := SAID.fullmatch(line))]


def test_a_wrong_password_is_told_by_each_in_its_own_words(heard):
    me = heard.client.v4[0]
    lines = heard.after(lambda: heard.client.login(heard.site, "admin", "wrong"), 2)

    (plain,) = [line for line in lines if "Authentication failure" in line]
    assert re.fullmatch(
        rf"wordpress\([\d.:]+\)\[\d+\]: Authentication failure for admin from {re.escape(me)}", plain
    )
    assert events(lines) == [(me, "login_failed", "form", "incorrect_password", "admin", "-")]
    assert hits(lines) == {"wordpress": [me], "wordpress-access": [me], "wordpress-auth": [me]}


def test_a_name_that_does_not_exist(heard):
    me = heard.client.v4[0]
    lines = heard.after(lambda: heard.client.login(heard.site, "nobody@example.com", "wrong"), 2)

    assert events(lines) == [(me, "login_failed", "form", "invalid_email", "nobody@example.com", "-")]
    assert hits(lines)["wordpress-auth"] == hits(lines)["wordpress"] == [me]


def test_an_ipv6_attacker(heard):
    source = heard.client.v6[0]
    lines = heard.after(lambda: heard.client.login(heard.site, "admin", "wrong", source=source), 2)

    assert [event[0] for event in events(lines)] == [source]
    assert len(hits(lines)["wordpress-auth"]) == len(hits(lines)["wordpress"]) == 1


def test_a_right_password_is_no_failure(heard):
    me = heard.client.v4[0]
    lines = heard.after(lambda: heard.client.login(heard.site, *ADMIN), 2)

    assert events(lines) == [(me, "login", "form", "none", "admin", "-")]
    assert hits(lines) == {}


def test_names_and_headers_that_lie(heard):
    me, stranger = heard.client.v4[0], "192.0.2.9"
    users = [
        f"x from {stranger}", f'x" from {stranger}', f"x\nwp-sidecar: ip={stranger} event=login_failed via=form code=x user=x forwarded=-",
        f"x\r\nwordpress(h)[1]: Authentication failure for x from {stranger}", f"Jörg ip={stranger}", "A" * 3000 + f" from {stranger}",
    ]  # fmt: skip
    lies = {**FORM, "X-Real-IP": stranger, "Forwarded": f"for={stranger}", "Client-IP": stranger}

    def attempts():
        for user in users:
            form = urllib.parse.urlencode({"log": user, "pwd": "wrong", "testcookie": "1"})
            heard.post("/wp-login.php", form, lies)

    lines = heard.after(attempts, 2 * len(users))
    assert set(chain.from_iterable(hits(lines).values())) == {me}
    assert [event[:2] for event in events(lines)] == [(me, "login_failed")] * len(users)
    assert hits(lines)["wordpress-auth"] == [me] * len(users)


def test_a_forwarded_chain_is_kept_apart(heard):
    """Only php-fpm here: the official image's Apache trusts this header of private peers, and rewrites REMOTE_ADDR itself."""
    me = heard.client.v4[0]
    lines = heard.after(
        lambda: heard.post(
            "/wp-login.php",
            "log=admin&pwd=wrong&testcookie=1",
            {**FORM, "X-Forwarded-For": "192.0.2.9, \"x\"\t'ip=192.0.2.8'"},
        ),
        2,
    )

    (event,) = events(lines)
    assert event[0] == me
    assert "192.0.2.9" in event[5] and " " not in event[5] and '"' not in event[5]
    assert set(chain.from_iterable(hits(lines).values())) == {me}


def test_xml_rpc(heard):
    me = heard.client.v4[0]
    wrong = CALL.format("wp.getUsersBlogs", "admin", "<param><value>wrong</value></param>")
    right = CALL.format("wp.getUsersBlogs", ADMIN[0], f"<param><value>{ADMIN[1]}</value></param>")

    lines = heard.after(lambda: heard.post("/xmlrpc.php", wrong, {"Content-Type": "text/xml"}), 2)
    assert events(lines) == [(me, "login_failed", "xmlrpc", "incorrect_password", "admin", "-")]
    assert hits(lines)["wordpress-auth"] == [me]
    lines = heard.after(lambda: heard.post("/xmlrpc.php", right, {"Content-Type": "text/xml"}), 1)
    assert events(lines) == [(me, "login", "xmlrpc", "none", "admin", "-")]


def test_each_guess_of_a_multicall_counts(heard):
    me = heard.client.v4[0]
    guesses = "".join(GUESS.format(f"wrong{n}") for n in range(5))
    call = CALL.format("system.multicall", f"<array><data>{guesses}</data></array>", "")
    lines = heard.after(lambda: heard.post("/xmlrpc.php", call, {"Content-Type": "text/xml"}), 6)

    assert [event[3:5] for event in events(lines)] == [
        ("incorrect_password", "admin"),
        *[("login_prevented", "-")] * 4,
    ]
    assert hits(lines)["wordpress-auth"] == [me] * 5


def test_an_application_password(heard):
    me, right = heard.client.v4[0], application_password(heard)

    def ask(password):
        return heard.get("/?rest_route=/wp/v2/users/me", basic(password))

    lines = heard.after(lambda: ask("wrong wrong"), 1)
    assert events(lines) == [(me, "login_failed", "rest", "incorrect_password", "admin", "-")]
    # The access log has the user name, with mod_php and with nginx.
    assert hits(lines) == {"wordpress-access": [me], "wordpress-auth": [me]}
    lines = heard.after(lambda: ask(right), 1)
    assert events(lines) == [(me, "login", "rest", "application_password", "admin", "-")]
    assert hits(lines) == {}


RIGHT, WRONG = "log={}&pwd={}".format(*ADMIN), "log=admin&pwd=wrong"


def application_password(heard):
    """A right application password; WordPress looks at them where there is one."""
    made = "echo WP_Application_Passwords::create_new_application_password(1, ['name' => uniqid()])[0];"
    php = f"require '/var/www/html/wp-load.php'; {made}"
    return heard.site.engine.cli("exec", heard.site.php, "php", "-r", php).stdout


def basic(password):
    return {"Authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}


def test_each_password_counts_once_where_there_are_application_passwords_too(heard):
    me, _ = heard.client.v4[0], application_password(heard)
    call = CALL.format("wp.getUsersBlogs", "editor", "<param><value>wrong</value></param>")
    xml = {"Content-Type": "text/xml"}
    xmlrpc = (me, "login_failed", "xmlrpc", "incorrect_password")

    lines = heard.after(lambda: heard.post("/xmlrpc.php", call, xml), 2)
    assert events(lines) == [(*xmlrpc, "editor", "-")]
    # XML-RPC does not look at the header.
    lines = heard.after(lambda: heard.post("/xmlrpc.php", call, xml | basic("wrong")), 2)
    assert events(lines) == [(*xmlrpc, "editor", "-")]
    lines = heard.after(
        lambda: heard.post("/?rest_route=/other/token", "username=editor&password=wrong", FORM), 2
    )
    assert events(lines) == [(me, "login_failed", "rest", "incorrect_password", "editor", "-")]
    form = "log=editor&pwd=wrong&testcookie=1"
    lines = heard.after(lambda: heard.post("/wp-login.php", form, FORM | basic("wrong")), 2)
    assert events(lines) == [(me, "login_failed", "form", "incorrect_password", "editor", "-")]


def test_a_login_that_waits_for_a_second_factor_is_no_login_yet(heard):
    lines = heard.after(lambda: heard.post("/wp-login.php?second_factor", RIGHT, FORM), 1)

    assert any("Accepted password" in line for line in lines)
    assert events(lines) == []


@pytest.mark.parametrize(
    ("headers", "code", "form"),
    [
        ({"Sec-Fetch-Site": "cross-site"}, "sec_fetch_site", WRONG),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}, "sec_fetch_site", RIGHT),
        ({"Origin": "https://evil.example"}, "origin", RIGHT),
        ({"Origin": "null"}, "origin", WRONG),
    ],
)
def test_a_form_on_another_site_cannot_have_its_visitor_banned(heard, headers, code, form):
    """Neither jail counts it, the access log's included, and no password is checked: the right one is refused too."""
    me, statuses = heard.client.v4[0], []
    lines = heard.after(lambda: statuses.append(heard.post("/wp-login.php", form, FORM | headers)), 1)

    assert statuses == [303]
    assert events(lines) == [(me, "cross_site", "form", code, "admin", "-")]
    assert hits(lines) == {}


def test_nor_can_a_form_that_looks_like_a_call_of_xml_rpc(heard):
    me, call = heard.client.v4[0], CALL.format("wp.getUsersBlogs", "admin", "<param><value>x</value></param>")
    headers = {"Content-Type": "text/plain", "Sec-Fetch-Site": "cross-site"}
    lines = heard.after(lambda: heard.post("/xmlrpc.php", call, headers), 1)

    assert events(lines) == [(me, "cross_site", "xmlrpc", "sec_fetch_site", "admin", "-")]
    assert "wordpress-auth" not in hits(lines)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://public.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": "https://public.example"},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "http://{host}"},
        {"Origin": "https://{host}", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://public.example", "X-Forwarded-Host": "public.example"},
        {"Origin": "https://www.blog.example", "Host": "shop.blog.example"},
        {"Origin": "https://portal.example", "Sec-Fetch-Site": "cross-site"},  # other_plugins.php allows it
        {},
    ],
)
def test_the_sites_own_logins_go_on(heard, headers):
    me, host = heard.client.v4[0], f"{heard.site.v4}:{heard.site.port}"
    sent = FORM | {name: value.format(host=host) for name, value in headers.items()}
    statuses = []
    lines = heard.after(lambda: statuses.append(heard.post("/wp-login.php", RIGHT, sent)), 2)
    lines += heard.after(lambda: statuses.append(heard.post("/wp-login.php", WRONG, sent)), 2)

    assert statuses == [302, 200]
    assert [event[:2] for event in events(lines)] == [(me, "login"), (me, "login_failed")]


def test_a_line_that_a_visitor_writes_through_a_warning_does_not_count_where_there_is_a_key(heard):
    """Apache escapes newlines; php-fpm does not, so without a key only the witness of a ban protects the stranger."""
    stranger = "192.0.2.9"
    forged = f"wp-sidecar: ip={stranger} event=login_failed via=form code=x user=x forwarded=-"
    guessed = forged.replace(":", ": key=a-key-that-a-visitor-made-up", 1)
    query = urllib.parse.urlencode({"warn": f"x\n{forged}\n{guessed}\n"})
    lines = heard.after(lambda: heard.get(f"/?{query}"), 1, own=("Cannot find x",))

    assert any("Cannot find x" in line for line in lines)
    written = [line for line in lines if line in {forged, guessed}]
    assert len(set(written)) == (2 if heard.site.php != heard.site.container else 0)
    assert hits(lines).get("wordpress-auth", []) == [stranger] * len(written)
    assert hits(lines, KEYED) == {}
    lines = heard.after(lambda: heard.client.login(heard.site, "admin", "wrong"), 2)
    assert hits(lines, KEYED) == {"wordpress-auth": [heard.client.v4[0]]}


def test_no_header_replaces_the_key(heard):
    """FastCGI and Apache hand headers over as HTTP_..."""
    headers = FORM | {"WP-SIDECAR-PLUGIN-KEY": "x" * 20, "WP_SIDECAR_PLUGIN_KEY": "x" * 20}
    lines = heard.after(lambda: heard.post("/wp-login.php", WRONG, headers), 2)

    assert len(events(lines)) == 1


def test_no_host_hides_a_wrong_password(heard):
    """As far as the server takes it: Apache refuses what is no host name."""
    me = heard.client.v4[0]
    for host in (
        "A" * 430,
        "A" * 2000,
        "a.very-long-name.of-a-blog.example.com",
        'a"b',
        "a)[1]:",
        "\u00e9".encode() * 60,
    ):
        statuses = []
        lines = heard.after(
            lambda host=host, statuses=statuses: statuses.append(
                heard.post("/wp-login.php", WRONG, FORM | {"Host": host})
            ),
            lambda statuses=statuses: 2 if statuses == [200] else 0,
        )
        assert events(lines) == (
            [(me, "login_failed", "form", "incorrect_password", "admin", "-")] if statuses == [200] else []
        )
        assert hits(lines).get("wordpress", []) == ([me] if statuses == [200] else [])
        assert statuses[0] in {200, 400}


def test_a_lost_password_is_told_and_no_failure(heard):
    me = heard.client.v4[0]
    form = "user_login=editor&redirect_to=&wp-submit=Get+New+Password"
    lines = heard.after(lambda: heard.post("/wp-login.php?action=lostpassword", form, FORM), 1)

    assert events(lines) == [(me, "lost_password", "form", "none", "editor", "-")]
    assert hits(lines) == {}


class Browser:
    """Someone with a browser, as far as a log shows it: cookies, and what pages bring along."""

    def __init__(self, client, site, jar):
        self.client, self.url = client, site.url
        self.curl = [
            "curl",
            "-s",
            "-m",
            "20",
            "-b",
            str(jar),
            "-c",
            str(jar),
            "-A",
            "Mozilla/5.0 (bed)",
            "-e",
            site.url + "/",
        ]

    def ask(self, path, *options):
        return self.client.run([*self.curl, *options, self.url + path]).stdout

    def look(self, path):
        """A page, and some of what it refers to on the same site."""
        page = self.ask(path)
        found = re.findall(
            rf"""(?:src|href)=["']{re.escape(self.url)}(/[^"'#]+\.(?:css|js|svg|png)[^"'#]*)""", page
        )
        found += re.findall(r"""(?:src|href)=["'](/wp-admin/load-[^"']+)""", page)
        for reference in list(dict.fromkeys(found))[:6]:
            self.ask(reference.replace("&#038;", "&").replace("&amp;", "&"), "-o", "/dev/null")

    def log_in(self, password):
        form = f"log=admin&pwd={password}&wp-submit=Log+In&testcookie=1"
        self.ask("/wp-login.php", "-d", form, "-b", "wordpress_test_cookie=WP%20Cookie%20check")


def test_an_evening_of_work_is_no_attack(heard, bed, tmp_path):
    """Themes, feeds, REST, media, cron, comments, the editor, and a password mistyped once: that alone counts."""
    me, browser = bed.visitor.v4[0], Browser(bed.visitor, heard.site, tmp_path / "jar")
    json = ["-H", "Content-Type: application/json"]

    def evening():
        for path in ("/", "/?p=1", "/?s=hello", "/?cat=1", "/?page_id=2", "/?feed=rss2", "/wp-login.php"):
            browser.look(path)
        for path in (
            *(
                "/wp-sitemap.xml",
                "/wp-sitemap-users-1.xml",
                "/robots.txt",
                "/favicon.ico",
                "/wp-json/",
                "/xmlrpc.php?rsd",
            ),
            *(
                "/?rest_route=/wp/v2/posts",
                "/?rest_route=/oembed/1.0/embed&url=" + browser.url + "/?p=1",
                "/nowhere",
            ),
        ):
            browser.ask(path, "-o", "/dev/null")
        browser.ask(
            "/wp-comments-post.php", "-d", "comment=hello&author=Ann&email=ann@example.com&comment_post_ID=1"
        )
        browser.ask("/wp-cron.php?doing_wp_cron=1795337869.1234567890123456789012", "-X", "POST")
        browser.log_in("mistyped")
        browser.log_in(ADMIN[1])
        for page in (
            *(
                "index.php",
                "edit.php",
                "post-new.php",
                "upload.php",
                "media-new.php",
                "edit-comments.php",
                "themes.php",
            ),
            *(
                "plugins.php",
                "users.php",
                "profile.php",
                "options-general.php",
                "site-health.php",
                "edit.php?author=1",
            ),
        ):
            browser.look(f"/wp-admin/{page}")
        nonce = ["-H", "X-WP-Nonce: " + browser.ask("/wp-admin/admin-ajax.php?action=rest-nonce").strip()]
        rest = "/index.php?rest_route=%2Fwp%2Fv2%2F"
        browser.ask("/wp-admin/admin-ajax.php", "-d", "action=heartbeat&interval=60")
        browser.ask(rest + "users%2Fme&_locale=user", *nonce)
        browser.ask(
            rest + "users&context=view&who=authors&per_page=50&_fields=id%2Cname&_locale=user", *nonce
        )
        browser.ask(
            rest + "posts&_locale=user", *nonce, *json, "-d", '{"title":"x","content":"y","status":"draft"}'
        )
        browser.ask(
            rest + "media&_locale=user",
            *nonce,
            "-H",
            "Content-Disposition: attachment; filename=a.txt",
            "-d",
            "x",
        )
        browser.ask("/wp-login.php?action=lostpassword", "-d", "user_login=editor&wp-submit=Get+New+Password")
        browser.ask("/wp-login.php?action=logout")

    lines = heard.after(evening, 4)
    assert len(lines) >= 60
    assert hits(lines) == {"wordpress": [me], "wordpress-access": [me], "wordpress-auth": [me]}


def test_what_the_plugin_sends_to_dev_log_is_heard(heard):
    """The directory is shared, so that the socket may come and go; PHP's own datagrams, whole and at once."""
    me, batches = heard.client.v4[0], []
    heard.site.engine.cli("exec", heard.site.php, "ln", "-sf", "/run/wp-sidecar-log/log", "/dev/log")
    began = time.time()
    for _ in range(2):  # and once more with another socket at the same place
        outputs = Outputs(lambda batch, cursor: batches.append(batch), NullLogListener(), Problems())
        source = SyslogSource(heard.shared / "log", ("wordpress",), outputs)
        running = threading.Thread(target=source.run)
        running.start()
        heard.after(lambda: heard.client.login(heard.site, "admin", "wrong"), 2)
        source.close()
        running.join(60)

    assert [batch.data.count(b"\n") for batch in batches] == [1, 1]
    found = [hit for batch in batches for hit in MATCHER.scan(batch, 0).hits]
    assert [(hit.address, began - 1 <= hit.at <= time.time()) for hit in found] == [(me, True)] * 2


SPELLINGS = 250


def test_one_line_for_each_wrong_password_that_a_probe_saw_in_any_spelling(heard, bed):
    """The probe is a plugin that records each check of a password, whatever else happens."""
    application_password(heard)
    cookie = login_cookie(bed, heard.site)
    played = []

    def send():
        played.extend(play(bed, heard.site, heard.probe, spellings(SPELLINGS, 7, cookie)).values())

    lines = [line for line in heard.after(send, 0) if "wp-sidecar: " in line]
    # In XML-RPC a password is compared with the user's password and with the application passwords: the probe has two lines.
    checked = sum(each.checked_wrong for each in played)
    in_header = sum(each.probed == ["wrong-application"] for each in played)
    found = Counter(SAID.fullmatch(line)[2] for line in lines)

    assert checked > 50
    assert in_header >= 1
    assert found["login_failed"] == len(hits(lines)["wordpress-auth"]) == checked
    assert set(hits(lines)["wordpress-auth"]) == {heard.client.v4[0]}
