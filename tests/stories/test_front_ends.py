"""Web servers and proxies in front of WordPress, on a real engine and without any configuration.

One sidecar sees all of them: nginx in front of php-fpm, a proxy on the network of an Apache that publishes nothing, and
sites that use the network of another container.
"""

import contextlib
import re

import pytest

from tests.bed import Bed
from tests.bed.sidecar import Sidecar
from tests.bed.wordpress import Site
from tests.support.waiting import wait_until

# The default jail's.
MAXRETRY = 5

PROXY = """
server {
    listen 80;
    listen [::]:80;
    location / {
        proxy_pass http://SITE;
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    }
}
"""


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def sidecar(bed):
    sidecar = Sidecar(bed, {"SLACK_WEBHOOK_URL": bed.webhook.url})
    yield sidecar
    sidecar.remove()


@pytest.fixture(autouse=True)
def _nobody_is_banned(sidecar):
    """Stories begin alike."""
    sidecar.command("unban", "--all")


def watched(sidecar, *names):
    """Wait until the logs of these containers are read."""
    wait_until(lambda: set(names) <= {log["container"] for log in sidecar.status()["streams"]})


def guess(client, site, times, source):
    """Fail this many times, with an answer each time."""
    answers = [client.login(site, "admin", f"wrong{n}", source, timeout=60) for n in range(times)]
    assert answers == [200] * times


def complete(client, site, source):
    """Fail once more; the ban that follows may reject the answer."""
    with contextlib.suppress(OSError):
        client.login(site, "admin", "last", source, timeout=20)


def bans(sidecar, jail="wordpress-access"):
    return {ban["ip"]: ban["site"] for ban in sidecar.bans() if ban["jail"] == jail}


def proxy(bed, tmp_path, name, to, *options):
    """Start nginx as a reverse proxy to a site."""
    path = tmp_path / f"{name}.conf"
    nginx = bed.engine.cli("run", "--rm", "nginx:1.26", "cat", "/etc/nginx/nginx.conf").stdout
    server = nginx.index("    server {")
    path.write_text(nginx[:server] + PROXY.replace("SITE", to) + "}\n")
    mount = f"--volume={path}:/etc/nginx/nginx.conf:ro"
    bed.engine.cli("run", "--detach", f"--name={name}", mount, *options, "nginx:1.26")


def test_nginx_in_front_of_php_fpm_needs_no_configuration(bed, sidecar):
    site = bed.wordpress(fpm=True, name="fpm", port=8081)
    watched(sidecar, "fpm", "fpm-php")
    ann, bob = bed.attacker.v4[0], bed.visitor.v4[0]
    guess(bed.visitor, site, MAXRETRY - 1, bob)
    guess(bed.attacker, site, MAXRETRY - 1, ann)
    complete(bed.attacker, site, ann)
    wait_until(lambda: bans(sidecar) == {ann: "fpm"})

    assert bed.attacker.is_dropped(site, ann)
    wait_until(lambda: not bed.visitor.is_dropped(site, bob))


def test_a_guess_that_a_proxy_and_the_site_both_log_counts_once(bed, sidecar, tmp_path):
    inner = bed.wordpress(name="inner", port=8082, ipv6=False)
    proxy(bed, tmp_path, "edge", "inner", "--network=inner", "--publish=8083:80")
    watched(sidecar, "inner", "edge")
    site = Site(inner.engine, "edge", 8083, "edge", "inner")
    ann = bed.attacker.v4[1]
    wait_until(lambda: bed.visitor.get(site) == 200)
    guess(bed.attacker, site, MAXRETRY - 1, ann)
    logged = inner.engine.cli("logs", "inner").stdout.count(f"{ann} - - ")
    assert logged == MAXRETRY - 1, "the site knows the client"
    assert ann not in bans(sidecar)
    complete(bed.attacker, site, ann)
    wait_until(lambda: ann in bans(sidecar))

    assert bed.attacker.is_dropped(site, ann)
    # Docker's default publishes for IPv6 too, and the network has none.
    exposed = [why for why in sidecar.status()["health"]["why"] if "userland proxy" in why]
    assert any("in the logs of edge, inner. " in why for why in exposed)


def test_sites_on_the_network_of_another_container(bed, sidecar, tmp_path):
    """As `network_mode: service:vpn`: the ports are those of the other one."""
    engine = bed.engine
    engine.cli("network", "create", "joined")
    engine.cli(
        "run", "--detach", "--init", "--name=vpn", "--network=joined", "--publish=8084:80",
        "debian:trixie-slim", "sleep", "3600",
    )  # fmt: skip
    engine.cli(
        "run", "--detach", "--name=joined-db", "--network=joined", "--network-alias=db", "mariadb:11-seeded"
    )
    database = [f"--env=WORDPRESS_DB_{key}=wordpress" for key in ("USER", "PASSWORD", "NAME")]
    engine.cli(
        "run", "--detach", "--name=joined", "--network=container:vpn", "--env=WORDPRESS_DB_HOST=db",
        *database, "wordpress:apache",
    )  # fmt: skip
    site = Site(engine, "joined", 8084, "joined", "joined")
    bed.ready(site)
    watched(sidecar, "joined", "vpn")
    ann = bed.attacker.v4[0]
    guess(bed.attacker, site, MAXRETRY - 1, ann)
    complete(bed.attacker, site, ann)
    wait_until(lambda: bans(sidecar) == {ann: "joined"})

    assert bed.attacker.is_dropped(site, ann)


CHATTER = 'n=0; while [ $n -lt 300 ]; do n=$((n+1)); echo "{}"; done; exec sleep 3600'


def test_a_log_that_is_not_understood_is_reported_and_a_database_is_not(bed, sidecar):
    engine = bed.engine
    engine.cli("network", "create", "odd")
    run = ["run", "--detach", "--init", "--network=odd"]
    engine.cli(
        *run, "--name=odd", "wordpress:fpm", "sh", "-c", CHATTER.format("worker $n: GET /index.php ok")
    )
    engine.cli(
        *run, "--name=odd-db", "--publish=3307:3306", "debian:trixie-slim", "sh", "-c",
        CHATTER.format("2026-11-30 12:00:00 $n [Note] a query of nobody"),
    )  # fmt: skip

    def problems():
        return [why for why in sidecar.status()["health"]["why"] if "is not understood" in why]

    def notes():
        return {
            log["container"]: log.get("note")
            for log in sidecar.status()["streams"]
            if "odd" in log["container"]
        }

    # Chores are done every 30 s.
    wait_until(problems, 60)
    [sentence] = problems()
    assert sentence.startswith("the log of odd is not understood: ")
    assert "the label `wp-sidecar.log-format` of odd" in sentence
    assert re.search(r'has lines like ("worker \d+: GET /index.php ok"(; )?){3}$', sentence)
    # Of a log that was opened later, the next chore says so.
    wait_until(lambda: notes() == {"odd": "not understood", "odd-db": "no requests"}, 60)
    assert "is not understood" in sidecar.logs()
    wait_until(lambda: any("the log of odd is not" in str(post.body) for post in bed.webhook.posts))
    assert not any("odd-db" in str(post.body) for post in bed.webhook.posts)
