"""Each way around a ban, with real programs, and the alert that follows.

Each attacker is banned for real failures. Then ten seconds pass once for all, as responses that were under way do not count as a bypass.
"""

import http.client
import json
import re
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from sidecar.advice.bypass import BypassKind
from sidecar.advice.namespace import NOT_HOST_NETWORK
from sidecar.core.active_bans import BYPASS_GRACE_S
from tests.bed import Bed
from tests.bed.images import SIDECAR
from tests.bed.sidecar import Sidecar
from tests.support.waiting import wait_until

# Failures that lead to a ban.
ENOUGH = 2
FEW = {"wp-sidecar.maxretry": str(ENOUGH)}
# An address of the container in the host's network, beside the host's firewall.
MACVLAN = "198.51.100.20"
# The port of a proxy in the host's network: Docker's list does not show that it leads to the site.
FRONT = 8088
NGINX = """
events {}
http {
  server {
    listen PORT;
    location / {
      # Apache's image believes private proxies, such as the gateway of its network.
      proxy_pass http://SITE:80;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
"""


class Balancer:
    """A load balancer on the Internet, which forwards X-Forwarded-For or adds it; like many, it believes what clients claim."""

    def __init__(self, place, address, site):
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {"X-Forwarded-For": self.client_address[0], **self.headers}
                upstream = http.client.HTTPConnection(site.v4, site.port, 10, source_address=(address, 0))
                with closing(upstream):
                    place.within(upstream.connect)
                    upstream.request("POST", self.path, body, headers)
                    answer = upstream.getresponse()
                    answer.read()
                self.send_response(answer.status)
                self.end_headers()

            def log_message(self, *_):
                pass

        self._server = place.within(lambda: ThreadingHTTPServer((address, 80), Handler))
        # The site as clients see it.
        self.site = replace(site, v4=address, port=80)
        Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def addresses(bed):
    """Those of the load balancers: the first is in trusted_proxies, the second is not."""
    return bed.visitor.v4[1:3]


@pytest.fixture(scope="module")
def site(bed, addresses, tmp_path_factory):
    """It believes two load balancers, and counts failures to two."""
    conf = tmp_path_factory.mktemp("apache") / "balancers.conf"
    conf.write_text(f"RemoteIPTrustedProxy {' '.join(addresses)}\n")
    return bed.wordpress(
        labels={**FEW, "wp-sidecar.trusted-proxies": addresses[0]},
        options=[f"--volume={conf}:/etc/apache2/conf-enabled/zz-balancers.conf:ro"],
    )


@pytest.fixture(scope="module")
def balancers(bed, site, addresses):
    both = [Balancer(bed.visitor, address, site) for address in addresses]
    yield both
    for each in both:
        each.close()


@pytest.fixture(scope="module")
def front(bed, site, tmp_path_factory):
    """The site through a proxy that is on no network of it."""
    conf = tmp_path_factory.mktemp("nginx") / "nginx.conf"
    shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
    address = bed.engine.cli("inspect", f"--format={shown}", "site").stdout.strip()
    conf.write_text(NGINX.replace("PORT", str(FRONT)).replace("SITE", address))
    mounted = f"--volume={conf}:/etc/nginx/nginx.conf:ro"
    bed.engine.cli("run", "--detach", "--name=front", "--network=host", mounted, "nginx:1.26")
    return replace(site, port=FRONT)


@pytest.fixture(scope="module")
def old(bed):
    """On a network without IPv6, though its port is published for that as well."""
    return bed.wordpress(labels=FEW, ipv6=False, name="old", port=8081)


@pytest.fixture(scope="module")
def past(bed):
    """A container with an address of its own in the host's network."""
    past = bed.wordpress(labels=FEW, name="past", port=8082)
    lan = ["--driver=macvlan", "--opt=parent=wan0", "--subnet=198.51.100.0/24", "--gateway=198.51.100.1"]
    bed.engine.cli("network", "create", *lan, "lan")
    bed.engine.cli("network", "connect", "--alias=db", "--ip=198.51.100.21", "lan", "past-db")
    bed.engine.cli("network", "connect", f"--ip={MACVLAN}", "lan", "past")
    bed.engine.cli("network", "disconnect", "past", "past")
    return replace(past, v4=MACVLAN, port=80)


@pytest.fixture(scope="module")
def sidecar(bed, site, old, past, front):
    sidecar = Sidecar(bed, {"SLACK_WEBHOOK_URL": bed.webhook.url})
    yield sidecar
    sidecar.remove()


@pytest.fixture(scope="module")
def misplaced(bed, sidecar):
    """Another sidecar without `--network=host`: it writes its rules where no packets pass."""
    socket = f"--volume={bed.engine.lasting}:/var/run/docker.sock"
    rights = ["--cap-drop=ALL", "--cap-add=NET_ADMIN", "--tmpfs=/run"]
    bed.engine.cli("run", "--detach", "--name=misplaced", *rights, socket, SIDECAR)
    return lambda *arguments: bed.engine.cli("exec", "misplaced", *arguments, check=False).stdout


@pytest.fixture(scope="module")
def ways(site, front, old, past, balancers):
    """The site as each attacker sees it, by story."""
    return {
        "balancer": balancers[0].site,
        "another balancer": balancers[1].site,
        "port": front,
        "docker proxy": old,
        "macvlan": past,
        "claimed": site,
        "set": site,
        "rival": old,
        "table": old,
    }


@pytest.fixture(scope="module")
def attackers(bed, sidecar, misplaced, site, ways):
    """By story: the client, the site as it sees it, its address. All were banned ten seconds ago."""
    sources = [(client, address) for client in (bed.attacker, bed.attacker2) for address in client.v4]
    attackers = {
        story: (client, ways[story], address) for story, (client, address) in zip(ways, sources, strict=False)
    }
    wait_until(lambda: NOT_HOST_NETWORK in misplaced("wp-sidecar", "healthcheck", "--json"))
    for client, way, address in attackers.values():
        # A ban needs a witness: a packet to a closed port. It is forgotten as a cause of the bypass within seconds.
        client.get(site, source=address)
        assert [client.login(way, "admin", f"wrong{n}", address) for n in range(ENOUGH)] == [200] * ENOUGH
    addresses = {address for _, _, address in attackers.values()}
    wait_until(lambda: {ban["ip"] for ban in sidecar.bans()} == addresses)
    time.sleep(BYPASS_GRACE_S + 0.5)
    return attackers


def fails(attacker, timeout=60):
    """Fail once more, with an answer. Return the address."""
    client, way, address = attacker
    assert client.login(way, "admin", "again", address, timeout) == 200
    return address


def passes(attacker):
    try:
        fails(attacker, timeout=5)
    except OSError:
        return False
    return True


def is_dropped(attacker):
    client, way, address = attacker
    try:
        client.get(way, source=address, timeout=1)
    except TimeoutError:
        return True
    return False


def forge(client, site, source, address):
    """Fail with a header that claims another address."""
    form = "log=admin&pwd=wrong&wp-submit=Log+In&testcookie=1"
    headers = {"X-Forwarded-For": address, "Content-Type": "application/x-www-form-urlencoded"}
    target = site.v6 if ":" in source else site.v4
    connection = http.client.HTTPConnection(target, site.port, 10, source_address=(source, 0))
    with closing(connection):
        client.within(connection.connect)
        connection.request("POST", "/wp-login.php", form, headers)
        assert connection.getresponse().status == 200


def bypasses(page):
    """Return how many bypasses of each kind a page of metrics counts."""
    found = re.findall(r'^wp_sidecar_bypassed_bans_total{kind="(.*)"} (.*)$', page, re.MULTILINE)
    return {kind: int(float(count)) for kind, count in found}


@pytest.fixture
def reported(bed, sidecar, attackers):
    """Wait for a bypass, which is counted once, as this kind. Return the sentence that was logged and alerted."""
    before = bypasses(sidecar.get("/metrics")[1])

    def reported(kind, address, site, *, alerted=True):
        wait_until(lambda: bypasses(sidecar.get("/metrics")[1]) != before, 20, sidecar.logs)
        assert bypasses(sidecar.get("/metrics")[1]) == before | {kind: before[kind] + 1}
        line = rf"WARNING .*: \[wordpress-access\] the ban of {address} has no effect at {site}: (.*)"
        (sentence,) = re.findall(line, sidecar.logs())
        if alerted:
            wait_until(lambda: posts(bed, address))
            ((title, value),) = posts(bed, address)
            assert title.endswith(f": Problem: the ban of {address}")
            assert value == "`It still reaches {}: {}.`".format(site, sentence.replace("`", "'"))
        return sentence

    return reported


def posts(bed, address):
    """Return what Slack was sent about the ban of an address."""
    found = [post.body for post in bed.webhook.posts if f"the ban of {address}" in post.body["text"]]
    return [(body["text"], body["attachments"][0]["fields"][0]["value"]) for body in found]


def test_a_load_balancer_connects_on_behalf_of_the_address(attackers, reported):
    """It is in trusted_proxies, as it should be, so it is never banned."""
    address = fails(attackers["balancer"])

    assert reported(BypassKind.UPSTREAM_PROXY, address, "site").startswith(
        f"no packet came from {address}, so a CDN"
    )


def test_one_reason_at_one_site_is_alerted_once(attackers, reported):
    """This balancer is not in trusted_proxies."""
    address = fails(attackers["another balancer"])

    sentence = reported(BypassKind.UPSTREAM_PROXY, address, "site", alerted=False)
    assert sentence.startswith(f"no packet came from {address}, so a CDN")


def test_a_port_that_the_ban_does_not_close(bed, attackers, reported):
    """A proxy listens at it, and nothing shows that it leads to the site."""
    address = fails(attackers["port"])
    # With the host's own nft, which may be older.
    table = bed.host.run(["nft", "list", "table", "inet", "wp_sidecar"]).stdout
    assert f"{address} . {FRONT} expires" in table

    assert "port 8088, which the ban does not close" in reported(BypassKind.PORTS, address, "site")


def test_a_client_over_ipv6_through_dockers_proxy(bed, attackers, old, reported):
    """It claims the banned address; the site believes that, as the connection came from a gateway."""
    address = attackers["docker proxy"][2]
    assert is_dropped(attackers["docker proxy"])
    forge(bed.attacker, old, bed.attacker.v6[0], address)

    assert "Docker's userland proxy" in reported(BypassKind.DOCKER_PROXY, address, "old")


def test_a_container_with_a_macvlan_network(attackers, reported):
    address = fails(attackers["macvlan"])

    assert "a macvlan or ipvlan network" in reported(BypassKind.HOOK, address, "past")


def test_another_client_claims_the_banned_address(bed, attackers, balancers, reported):
    """The balancer believes what clients claim."""
    address = attackers["claimed"][2]
    assert is_dropped(attackers["claimed"])
    forge(bed.visitor, balancers[0].site, bed.visitor.v4[0], address)

    assert "from a client that claims this address" in reported(BypassKind.UNKNOWN, address, "site")


def test_a_set_is_flushed_while_the_sidecar_is_paused(bed, attackers, reported):
    assert is_dropped(attackers["set"])
    bed.engine.cli("pause", "wp-sidecar")
    bed.host.run(["nft", "flush", "set", "inet", "wp_sidecar", "ban4"])
    address = fails(attackers["set"])
    bed.engine.cli("unpause", "wp-sidecar")

    assert "another program changed the sets" in reported(BypassKind.FLUSHED, address, "site")
    assert is_dropped(attackers["set"])


def test_another_program_deletes_the_address_again_and_again(bed, attackers, reported):
    """It is restored as often, so only some of the packets pass."""
    address = attackers["rival"][2]
    assert is_dropped(attackers["rival"])
    lift = f"while :; do nft delete element inet wp_sidecar ban4 '{{ {address} }}'; done"
    rival = bed.host.popen(["bash", "-c", lift], stderr=subprocess.DEVNULL)
    try:
        # A request with a packet that comes while the ban is in force is lost.
        wait_until(lambda: passes(attackers["rival"]), timeout=240)
    finally:
        rival.kill()

    assert "so ban4 was incomplete" in reported(BypassKind.FLUSHED, address, "old")
    assert is_dropped(attackers["rival"])


def test_the_table_is_deleted_while_the_sidecar_is_paused(bed, attackers, reported):
    assert is_dropped(attackers["table"])
    bed.engine.cli("pause", "wp-sidecar")
    bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    address = fails(attackers["table"])
    bed.engine.cli("unpause", "wp-sidecar")

    assert "another program changed the nftables table" in reported(BypassKind.HOOK, address, "old")
    assert is_dropped(attackers["table"])


def test_a_sidecar_that_is_not_on_the_hosts_network(bed, attackers, misplaced):
    """It says so from the beginning, and is not ready. It sees no packets, so its bans have no witness."""
    health = json.loads(misplaced("wp-sidecar", "healthcheck", "--json"))
    assert not health["ready"]
    for _ in range(12):
        fails(attackers["balancer"])

    sentence = "are no ban, because this is not the host's network"
    wait_until(lambda: sentence in bed.engine.cli("logs", "misplaced").stderr, 60)
    assert json.loads(misplaced("wp-sidecar", "bans", "--json")) == {"bans": []}


def test_each_reason_is_alerted_once_and_its_end_never(bed, attackers):
    """That no client gets through any more cannot be known."""
    said = [post.body["text"] for post in bed.webhook.posts if "the ban of" in post.body["text"]]

    assert all("Problem: the ban of" in text for text in said)
    assert len(said) == len(set(said)) < len(attackers)
