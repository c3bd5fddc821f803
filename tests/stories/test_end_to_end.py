"""The main job, on real parts: WordPress under attack, the sidecar as its container, packets, the kernel.

One bed serves all stories; each story has an address of its own to be banned.
"""

import contextlib
import http.client
import json
import time
import urllib.parse

import pytest

from tests.bed import ADMIN, Bed
from tests.bed.sidecar import Sidecar
from tests.support.waiting import wait_until

GUESSES = [f"guess{n}" for n in range(100)]
ACCESS, PLUGIN = 5, 3  # the default jails' maxretry


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True, live_restore=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def site(bed):
    """WordPress as it is, without a plugin that logs failures."""
    return bed.wordpress(log="access")


@pytest.fixture(scope="module")
def spoken(bed, site):
    """WordPress with a plugin that says who failed."""
    return bed.wordpress(log="plugin", name="spoken", port=8080)


@pytest.fixture(scope="module")
def old(bed, sidecar):
    """WordPress on a network without IPv6, though its port is published for that as well: Docker's default."""
    old = bed.wordpress(log="access", ipv6=False, name="old", port=8081)
    wait_until(lambda: "old" in {stream["container"] for stream in sidecar.status()["streams"]})
    return old


@pytest.fixture(scope="module")
def sidecar(bed, site, spoken):
    sidecar = Sidecar(bed, {"SLACK_WEBHOOK_URL": bed.webhook.url})
    yield sidecar
    sidecar.remove()


@pytest.fixture(autouse=True)
def _nobody_is_banned(sidecar):
    """Stories begin alike."""
    sidecar.command("unban", "--all")


def banned(sidecar, jail):
    return [ban["ip"] for ban in sidecar.bans() if ban["jail"] == jail]


def fail(client, site, times, source):
    """Return the answers to wrong logins; None where there was none: a ban rejects what is not answered yet."""
    return [guess(client, site, f"wrong{n}", source) for n in range(times)]


def guess(client, site, password, source):
    try:
        return client.login(site, "admin", password, source, timeout=20)
    except TimeoutError:
        return None


def forge(client, site, times, source, stranger):
    """As `fail`, and the header says that it was the stranger."""
    form = "log=admin&pwd=wrong&wp-submit=Log+In&testcookie=1"
    for _ in range(times):
        headers = {"X-Forwarded-For": stranger, "Content-Type": "application/x-www-form-urlencoded"}
        connection = http.client.HTTPConnection(site.v6, site.port, timeout=60, source_address=(source, 0))
        client.within(connection.connect)
        connection.request("POST", "/wp-login.php", form, headers)
        connection.getresponse().read()
        connection.close()


def has(sidecar, series, least):
    """Does this series, once it is there, say at least so much? Some figures are told every 30 s."""
    try:
        return sidecar.metric(series) >= least
    except LookupError:
        return False


def is_up(client, site):
    try:
        return client.get(site, timeout=2) == 200
    except OSError:
        return False


def use_until_silent(connection):
    """An open connection, in use, is cut as well: the server's answers stop."""

    def use():
        for _ in range(80):  # Apache closes a connection after 100 requests, or 5 idle seconds
            connection.get()
            time.sleep(1)

    with pytest.raises(TimeoutError):
        use()
    connection.close()


def rules(bed):
    return bed.host.run(["nft", "list", "table", "inet", "wp_sidecar"]).stdout


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_hydra_against_the_login_page_with_nothing_but_the_access_log(bed, site, sidecar, ipv6):
    address = "2001:db8:bad:1::/64" if ipv6 else bed.attacker.v4[0]
    source = (bed.attacker.v6 if ipv6 else bed.attacker.v4)[0]
    connection = bed.attacker.keepalive(site, source)
    counter = ["nft", "list", "counter", "inet", "wp_sidecar", f"dropped{6 if ipv6 else 4}"]

    def dropped():
        return int(bed.host.run(counter).stdout.split("packets ")[1].split()[0])

    with bed.attacker.guessing(site, GUESSES, ipv6=ipv6):
        use_until_silent(connection)
        wait_until(lambda: address in banned(sidecar, "wordpress-access"))

        (ban,) = [ban for ban in sidecar.bans() if ban["ip"] == address]
        assert (ban["failures"], ban["site"], len(ban["evidence"])) == (ACCESS, "site", ACCESS)
        assert bed.attacker.is_dropped(site, source)
        assert bed.visitor.get(site, source=(bed.visitor.v6 if ipv6 else bed.visitor.v4)[0]) == 200
        wait_until(lambda: dropped() >= 3)
    posts = [line for line in site.logs()[0].splitlines() if line.startswith(source) and '"POST ' in line]
    assert len(posts) < len(GUESSES) / 2  # the fifth banned; what was in flight is all that came through


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
def test_hydra_against_a_site_whose_plugin_says_who_failed(bed, spoken, sidecar, ipv6):
    address = "2001:db8:bad:2::/64" if ipv6 else bed.attacker2.v4[0]
    source = (bed.attacker2.v6 if ipv6 else bed.attacker2.v4)[0]
    with bed.attacker2.guessing(spoken, GUESSES, ipv6=ipv6):
        wait_until(lambda: address in banned(sidecar, "wordpress"))

        (ban,) = [ban for ban in sidecar.bans() if (ban["ip"], ban["jail"]) == (address, "wordpress")]
        assert (ban["failures"], ban["site"]) == (PLUGIN, "spoken")
        network = address.removesuffix(":/64")  # of his IPv6 addresses the kernel chooses one
        assert all(f"Authentication failure for admin from {network}" in line for line in ban["evidence"])
        assert bed.attacker2.is_dropped(spoken, source)
        assert bed.visitor.get(spoken, source=(bed.visitor.v6 if ipv6 else bed.visitor.v4)[0]) == 200


def test_the_failure_that_is_one_too_many_bans_and_the_one_before_does_not(bed, site, sidecar):
    source = bed.attacker.v4[1]

    assert fail(bed.attacker, site, ACCESS - 1, source) == [200] * (ACCESS - 1)
    wait_until(lambda: not bed.attacker.is_dropped(site, source))
    assert fail(bed.attacker, site, 1, source) == [200]
    wait_until(lambda: bed.attacker.is_dropped(site, source))
    assert source in rules(bed)


def test_a_user_who_logs_in_correctly_is_never_affected(bed, spoken, site, sidecar):
    source = bed.visitor.v4[1]

    assert [bed.visitor.login(place, *ADMIN, source) for place in (site, spoken) for _ in range(6)] == [
        302
    ] * 12
    assert fail(bed.visitor, spoken, PLUGIN - 1, source) == [200] * (PLUGIN - 1)
    assert bed.visitor.login(spoken, *ADMIN, source) == 302
    assert sidecar.bans() == []


PRETTY = """
require "/var/www/html/wp-load.php";
require ABSPATH . "wp-admin/includes/admin.php";
$wp_rewrite->set_permalink_structure("/%postname%/");
$wp_rewrite->flush_rules();
file_put_contents(ABSPATH . ".htaccess", "RewriteEngine On\nRewriteCond %{REQUEST_FILENAME} !-f\n" .
    "RewriteCond %{REQUEST_FILENAME} !-d\nRewriteRule . /index.php [L]\n");
"""


@pytest.mark.parametrize("path", ["/search/wp-admin/edit.php", "/search/x/wp-admin/index.php"])
def test_a_page_that_wordpress_serves_to_anyone_excuses_nobody(bed, site, sidecar, path):
    """Where permalinks are pretty, everything below /search/ is a search."""
    bed.engine.cli("exec", site.container, "php", "-r", PRETTY)
    attacker = bed.attacker.v4[3]
    fail(bed.attacker, site, ACCESS - 1, attacker)

    assert bed.attacker.get(site, path, attacker) == 200
    fail(bed.attacker, site, 1, attacker)

    wait_until(lambda: bed.attacker.is_dropped(site, attacker))


def test_unban_restores(bed, site, sidecar):
    source = bed.attacker.v4[2]
    fail(bed.attacker, site, ACCESS, source)
    wait_until(lambda: bed.attacker.is_dropped(site, source))

    assert sidecar.command("unban", source) == f"{source} is unbanned in wordpress-access\n"
    assert bed.attacker.get(site, source=source) == 200
    assert sidecar.bans() == []


def test_a_ban_ends_by_itself(bed, site, sidecar):
    source = bed.attacker.v4[2]
    sidecar.command("ban", source, "--for", "3", "--reason", "a short lesson")

    assert bed.attacker.is_dropped(site, source)
    wait_until(lambda: not bed.attacker.is_dropped(site, source))
    wait_until(lambda: sidecar.bans() == [])


def test_a_restart_keeps_bans_and_loses_no_line(bed, site, sidecar):
    out, close = bed.attacker.v4[2], bed.attacker.v4[3]
    sidecar.command("ban", out)
    fail(bed.attacker, site, 2, close)
    sidecar.stop()
    assert bed.attacker.is_dropped(site, out)  # while nobody is there
    fail(bed.attacker, site, 2, close)  # read when it is back
    sidecar.restart()

    assert banned(sidecar, "manual") == [out]
    assert bed.attacker.is_dropped(site, out)
    wait_until(lambda: not bed.attacker.is_dropped(site, close))
    fail(bed.attacker, site, 1, close)
    wait_until(lambda: close in banned(sidecar, "wordpress-access"))


def test_kill_9_in_the_middle_of_an_attack(bed, site, sidecar):
    source = bed.attacker.v4[4]
    fail(bed.attacker, site, ACCESS - 2, source)
    sidecar.kill()
    fail(bed.attacker, site, 1, source)
    time.sleep(0.5)

    assert sidecar.bans() == []  # no line was counted twice
    fail(bed.attacker, site, 1, source)
    wait_until(lambda: source in banned(sidecar, "wordpress-access"))


def test_docker_restart_of_wordpress(bed, site, sidecar):
    source = bed.attacker.v4[1]
    fail(bed.attacker, site, 3, source)
    bed.engine.cli("restart", "site")
    wait_until(lambda: is_up(bed.visitor, site))
    fail(bed.attacker, site, 2, source)

    wait_until(lambda: source in banned(sidecar, "wordpress-access"))


def test_docker_is_away_for_ten_seconds(bed, site, sidecar):
    """With live-restore: the containers go on, and so does the sidecar in its own.

    Nobody can log in meanwhile (WordPress asks Docker's DNS for its database).
    """
    source = bed.attacker.v4[2]
    sidecar.command("ban", bed.attacker.v4[3])
    fail(bed.attacker, site, 3, source)
    bed.engine.stop()
    assert bed.attacker.is_dropped(site, bed.attacker.v4[3])
    assert bed.visitor.get(site) == 200
    time.sleep(10)
    bed.engine.start()
    wait_until(lambda: sidecar.get("/readyz")[0] == 200)
    fail(bed.attacker, site, 2, source)

    wait_until(lambda: source in banned(sidecar, "wordpress-access"))
    assert bed.attacker.is_dropped(site, source)


def test_the_gateway_is_never_banned(bed, old, sidecar):
    """An IPv6 client of a network without IPv6 comes as Docker's gateway, and so does everyone else who does."""
    fail(bed.attacker, old, ACCESS + 2, bed.attacker.v6[0])
    spared = 'wp_sidecar_allowlisted_failures_total{container="old",reason="a container network"}'
    # The first failures of a series are added within 30 seconds.
    wait_until(lambda: has(sidecar, spared, ACCESS + 2), timeout=60)

    assert sidecar.bans() == []
    assert bed.visitor.get(old, source=bed.visitor.v6[0]) == 200


def test_a_forged_header_bans_no_stranger(bed, old, sidecar):
    """Whoever comes as the gateway is a proxy to Apache, which then believes his X-Forwarded-For."""
    strangers = [f"192.0.2.{n}" for n in (77, 78)]
    for stranger in strangers:
        forge(bed.attacker, old, ACCESS, bed.attacker.v6[1], stranger)
    doubted = (  # the first ten minutes it is not sure who was here before; never bans either way
        'wp_sidecar_ignored_failures_total{reason="not known to this host\'s network"}',
        'wp_sidecar_ignored_failures_total{reason="never seen by this host\'s network"}',
    )
    wait_until(lambda: any(has(sidecar, series, len(strangers)) for series in doubted), timeout=60)

    log = old.logs()[0].splitlines()
    assert all(sum(line.startswith(f"{stranger} ") for line in log) == ACCESS for stranger in strangers)
    assert sidecar.bans() == []
    dropped = bed.host.run(["nft", "list", "set", "inet", "wp_sidecar", "ban4"]).stdout
    assert not any(stranger in dropped for stranger in strangers)


def test_where_headers_can_be_forged_a_real_attack_still_bans(bed, old, sidecar):
    source = bed.attacker2.v4[0]
    fail(bed.attacker2, old, ACCESS, source)

    wait_until(lambda: source in banned(sidecar, "wordpress-access"))
    assert bed.attacker2.is_dropped(old, source)


def test_that_headers_can_be_forged_is_told(bed, old, sidecar):
    assert sidecar.metric("wp_sidecar_exposed_containers") == 1
    (sentence,) = [
        why for why in sidecar.status()["health"]["why"] if "IPv6 clients reach old through" in why
    ]
    assert "Enable IPv6 on one of the container's networks, or publish its ports for IPv4 only" in sentence
    assert sidecar.get("/readyz")[0] == 200
    wait_until(
        lambda: any("Problem: the client address at old" in post.body["text"] for post in bed.webhook.posts),
        timeout=60,
    )


def test_a_port_that_a_watched_container_publishes_is_closed_too(bed, spoken, sidecar):
    source = bed.attacker2.v4[1]
    fail(bed.attacker2, spoken, PLUGIN, source)

    wait_until(lambda: bed.attacker2.is_dropped(spoken, source))


def test_a_line_that_docker_cuts_forges_nobody(bed, site, sidecar):
    """Docker cuts lines at 16 KiB, and what follows the cut is text that the attacker chose."""
    source, stranger = bed.attacker2.v4[2], "192.0.2.99"
    forged = f'{stranger} - - [22/Nov/2026:10:00:00 +0000] "POST /wp-login.php HTTP/1.1" 200 5000 "-" "x"'
    uri = "/readme.html?" + "u" * 8000
    head = len(f'{source} - - [22/Nov/2026:09:00:00 +0000] "GET {uri} HTTP/1.1" 200 7425 "')
    for shift in range(-4, 5):  # the size of the answer is a guess: hit the cut from both sides
        referer = "r" * 7900
        agent = "p" * (16_384 - head - len(referer) - len('" "') + shift) + forged
        connection = http.client.HTTPConnection(site.v4, site.port, timeout=60, source_address=(source, 0))
        bed.attacker2.within(connection.connect)
        connection.request("GET", uri, headers={"Referer": referer, "User-Agent": agent})
        connection.getresponse().read()
        connection.close()
    time.sleep(0.5)

    assert any(line.startswith(source) and len(line) > 16_384 for line in site.logs()[0].splitlines())
    assert sidecar.bans() == []


def test_who_may_never_be_banned_is_refused_by_hand_too(bed, sidecar):
    done = bed.engine.cli("exec", "wp-sidecar", "wp-sidecar", "ban", bed.host.v4[0], check=False)

    assert done.returncode == 1
    assert done.stderr == "wp-sidecar: 198.51.100.10 is never banned: it is this host's own address\n"


def test_a_containers_labels_go_over_the_jails(bed, sidecar):
    """Two failures instead of five, in one jail alone; and it only watches."""
    labels = {"maxretry": "2", "mode": "observe", "jails": "wordpress-access"}
    tried = bed.wordpress(
        name="tried", port=8082, labels={f"wp-sidecar.{key}": text for key, text in labels.items()}
    )
    wait_until(lambda: "tried" in {stream["container"] for stream in sidecar.status()["streams"]})
    source = bed.attacker.v4[3]
    fail(bed.attacker, tried, 2, source)
    wait_until(lambda: source in banned(sidecar, "wordpress-access"))

    (ban,) = [ban for ban in sidecar.bans() if ban["ip"] == source]
    assert (ban["observed"], ban["failures"], ban["site"]) == (True, 2, "tried")
    assert bed.attacker.get(tried, source=source) == 200
    assert source not in bed.host.run(["nft", "list", "set", "inet", "wp_sidecar", "ban4"]).stdout
    bed.engine.cli("rm", "--force", "tried")


def test_the_alert_as_it_arrives(bed, site, sidecar):
    """The first bans are told one by one; in a storm the others come together, in one message each 30 s."""
    source = bed.attacker2.v4[3]
    fail(bed.attacker2, site, ACCESS, source)
    wait_until(lambda: any(source in json.dumps(post.body) for post in bed.webhook.posts), timeout=60)
    post = next(post.body for post in bed.webhook.posts if "Banned" in post.body["text"])
    fields = {field["title"]: field["value"] for field in post["attachments"][0]["fields"]}

    assert (post["icon_emoji"], post["attachments"][0]["color"]) == (":cop:", "warning")
    assert fields["Address"] in post["text"]
    assert (fields["Failures"], fields["Jail"], fields["Container"]) == ("5", "wordpress-access", "site")
    assert "/wp-login.php" in fields["Last line"]


def test_a_slow_slack_delays_no_ban(bed, site, sidecar):
    bed.webhook.answering.clear()
    source = bed.attacker2.v4[4]
    try:
        fail(bed.attacker2, site, ACCESS, source)
        wait_until(lambda: source in banned(sidecar, "wordpress-access"))
    finally:
        bed.webhook.answering.set()


def test_the_figures(bed, site, sidecar):
    sidecar.command("ban", bed.attacker.v4[0])
    bed.attacker.is_dropped(site, bed.attacker.v4[0])
    status, text = sidecar.get("/metrics")

    assert status == 200
    assert sidecar.metric('wp_sidecar_bans_active{family="ipv4",jail="manual"}') == 1
    assert sidecar.metric('wp_sidecar_log_up{container="site"}') == 1
    assert sidecar.metric("wp_sidecar_log_to_drop_seconds_count") > 0
    assert "203.0.113." not in text and "2001:db8" not in text
    assert json.loads(sidecar.command("healthcheck", "--json"))["ready"]


def test_flush_ruleset_is_undone(bed, site, sidecar):
    """Docker's own rules are gone as well, until it starts again: that is not ours to mend."""
    source = bed.attacker.v4[0]
    sidecar.command("ban", source)
    bed.host.run(["nft", "flush", "ruleset"])

    wait_until(lambda: source in bed.host.run(["nft", "list", "ruleset"]).stdout)
    wait_until(lambda: sidecar.metric('wp_sidecar_firewall_repairs_total{reason="table"}') == 1)
    bed.engine.stop()
    bed.engine.start()
    wait_until(lambda: is_up(bed.visitor, site))
    assert bed.attacker.is_dropped(site, source)


# Last, because the site goes on logging what it had been sent before the ban.
def test_of_100_guesses_on_open_connections_only_the_answers_on_the_wire_arrive(bed, site, sidecar):
    """All are sent before the ban, the right password last. The ban follows from the first answers."""
    attacker, source = bed.attacker, bed.attacker.v4[1]
    connections = []
    for _ in range(100):
        connection = http.client.HTTPConnection(site.v4, site.port, timeout=60, source_address=(source, 0))
        attacker.within(connection.connect)
        connections.append(connection)
    user, right = ADMIN
    for number, connection in enumerate(connections):
        password = right if number == 99 else f"wrong{number}"
        form = urllib.parse.urlencode(
            {"log": user, "pwd": password, "wp-submit": "Log In", "testcookie": "1"}
        )
        headers = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Cookie": "wordpress_test_cookie=WP%20Cookie%20check",
        }
        connection.request("POST", "/wp-login.php", form, headers)
    wait_until(lambda: source in banned(sidecar, "wordpress-access"), timeout=60)
    # Those that were on the wire have arrived.
    time.sleep(1)

    answers = []
    for connection in connections:
        connection.sock.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            answers.append(connection.sock.recv(4096))
        connection.close()
    print(f"answers: {len(answers)} of 100")  # noqa: T201
    assert len(answers) <= 10 + ACCESS
    assert not any(b"wordpress_logged_in" in answer for answer in answers)
