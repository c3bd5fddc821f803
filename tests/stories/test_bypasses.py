"""Banned, and in the log all the same: each way around a ban, on real parts, and what people are told of it.

Everyone is banned for what he really did, then ten seconds pass once for all: answers that were under way are no leak.
"""

import http.client
import re
import subprocess
import time
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from sidecar.core.jail_state import GRACE
from tests.bed import Bed
from tests.bed.images import SIDECAR
from tests.bed.sidecar import Sidecar
from tests.support.waiting import wait_until

ENOUGH = 2  # failures
FEW = {"wp-sidecar.maxretry": str(ENOUGH)}
MACVLAN = "198.51.100.20"  # the host's network goes on to the container, past the host
FRONT = 8088  # where a proxy's container is published that nobody told us of
NGINX = """
events {}
http {
  server {
    listen 80;
    resolver 127.0.0.11 ipv6=off;  # Apache's image believes private proxies of IPv4 only
    set $site site;
    location / {
      proxy_pass http://$site:80;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $remote_addr;
    }
  }
}
"""


class Balancer:
    """A load balancer on the Internet: fetches from the site, and says for whom; as careless as many, it believes
    who says it himself."""

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
        self.site = replace(site, v4=address, port=80)  # how the site looks from outside
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
    """The load balancers': the first is named in trusted_proxies, the second nobody named."""
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
    """The site, as a proxy in a container of this host shows it."""
    conf = tmp_path_factory.mktemp("nginx") / "nginx.conf"
    conf.write_text(NGINX)
    published, mounted = f"--publish={FRONT}:80", f"--volume={conf}:/etc/nginx/nginx.conf:ro"
    bed.engine.cli("run", "--detach", "--name=front", "--network=site", published, mounted, "nginx:1.26")
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
    """Another sidecar, whose owner forgot `--network=host`: it writes its rules where nobody comes by."""
    socket = f"--volume={bed.engine.lasting}:/var/run/docker.sock"
    rights = ["--cap-drop=ALL", "--cap-add=NET_ADMIN", "--tmpfs=/run"]
    bed.engine.cli("run", "--detach", "--name=misplaced", *rights, socket, SIDECAR)
    return lambda *arguments: bed.engine.cli("exec", "misplaced", *arguments, check=False).stdout


@pytest.fixture(scope="module")
def ways(site, front, old, past, balancers):
    """How the site looks to whom, by what he will do."""
    return {
        "balancer": balancers[0].site,
        "another balancer": balancers[1].site,
        "port": front,
        "twin": old,
        "past": past,
        "slandered": site,
        "set": site,
        "rival": old,
        "table": old,
    }


@pytest.fixture(scope="module")
def attackers(bed, sidecar, misplaced, ways):
    """By what they will do: the client, what he sees, his address. All were banned ten seconds ago."""
    sources = [(client, address) for client in (bed.attacker, bed.attacker2) for address in client.v4]
    attackers = {
        story: (client, ways[story], address) for story, (client, address) in zip(ways, sources, strict=False)
    }
    wait_until(lambda: '"ready": true' in misplaced("wp-sidecar", "healthcheck", "--json"), 20)
    for client, way, address in attackers.values():
        assert [client.login(way, "admin", f"wrong{n}", address) for n in range(ENOUGH)] == [200] * ENOUGH
    everyone = {address for _, _, address in attackers.values()}
    wait_until(lambda: {ban["ip"] for ban in sidecar.bans()} == everyone)
    time.sleep(GRACE + 0.5)
    return attackers


def fails(attacker):
    """He fails once more, and gets an answer."""
    client, way, address = attacker
    assert client.login(way, "admin", "again", address) == 200
    return address


def is_out(attacker):
    client, way, address = attacker
    try:
        client.get(way, source=address, timeout=1)
    except TimeoutError:
        return True
    return False


def forge(client, site, source, address):
    """A failure with a header that says it was somebody else's."""
    form = "log=admin&pwd=wrong&wp-submit=Log+In&testcookie=1"
    headers = {"X-Forwarded-For": address, "Content-Type": "application/x-www-form-urlencoded"}
    target = site.v6 if ":" in source else site.v4
    connection = http.client.HTTPConnection(target, site.port, 10, source_address=(source, 0))
    with closing(connection):
        client.within(connection.connect)
        connection.request("POST", "/wp-login.php", form, headers)
        assert connection.getresponse().status == 200


def bypasses(page):
    """How many of each kind a page of metrics counts."""
    found = re.findall(r'^wp_sidecar_leaks_total{kind="(.*)"} (.*)$', page, re.MULTILINE)
    return {kind: int(float(count)) for kind, count in found}


@pytest.fixture
def told(bed, sidecar, attackers):
    """Waits for the leak, which is counted once, as this kind. What is told of it: in the log, and to people."""
    before = bypasses(sidecar.get("/metrics")[1])

    def told(kind, address, site, *, aloud=True):
        wait_until(lambda: bypasses(sidecar.get("/metrics")[1]) != before, 20, sidecar.logs)
        assert bypasses(sidecar.get("/metrics")[1]) == before | {kind: before[kind] + 1}
        line = (
            rf"WARNING .*: \[wordpress-access\] the ban of {address} does not keep them out of {site}: (.*)"
        )
        (sentence,) = re.findall(line, sidecar.logs())
        if aloud:
            wait_until(lambda: posts(bed, address), 30)
            ((title, value),) = posts(bed, address)
            assert title.endswith(f": Trouble with the ban of {address}")
            assert value == "`They still reach {}: {}.`".format(site, sentence.replace("`", "'"))
        return sentence

    return told


def posts(bed, address):
    """What was said in Slack about how someone's ban works."""
    found = [post.body for post in bed.webhook.posts if f"the ban of {address}" in post.body["text"]]
    return [(body["text"], body["attachments"][0]["fields"][0]["value"]) for body in found]


def test_a_load_balancer_sends_in_their_place(attackers, told):
    """It is in trusted_proxies, as it should be, and never banned."""
    address = fails(attackers["balancer"])

    assert told("elsewhere", address, "site") == (
        f"no packet came from {address}: a CDN, load balancer or other proxy in front of this host sends in their place, "
        "and only there they can be kept out. Name it in trusted_proxies (or allow_cdn), and ban there"
    )


def test_of_one_reason_at_one_site_people_are_told_once(bed, attackers, told):
    """And this balancer nobody named."""
    address = fails(attackers["another balancer"])

    assert told("elsewhere", address, "site", aloud=False).startswith(
        f"no packet came from {address}: a CDN, load balancer"
    )


def test_a_port_that_nobody_told_us_of(bed, attackers, told):
    """A proxy in a container of its own, which is not watched."""
    address = fails(attackers["port"])
    table = bed.host.run(["nft", "list", "table", "inet", "wp_sidecar"]).stdout  # the host's nft may be older
    assert f"{address} . {FRONT} expires" in table

    assert told("ports", address, "site") == (
        "they come by port 8088, which the ban does not close: add it to `port` of the jail, or say `port = all`"
    )


def test_the_same_person_over_ipv6_through_dockers_proxy(bed, attackers, old, told):
    """He, or a proxy of his, adds the address that is banned; the site believes it, as it came from a gateway."""
    address = attackers["twin"][2]
    assert is_out(attackers["twin"])
    forge(bed.attacker, old, bed.attacker.v6[0], address)

    assert told("twin", address, "old") == (
        "IPv6 clients reach the site through Docker's proxy, which hides who they are, and the site believes whom they "
        "name: enable IPv6 on one of the container's networks, or publish its ports for IPv4 only (0.0.0.0:80:80)"
    )


def test_a_container_with_a_network_past_the_host(attackers, told):
    address = fails(attackers["past"])

    assert told("hook", address, "past") == (
        "the container has a network that goes past the host (macvlan, ipvlan), where no packet can be dropped: "
        "publish its ports instead"
    )


def test_somebody_else_gives_the_address_for_his_own(bed, attackers, balancers, told):
    """The balancer believes whoever comes by it."""
    address = attackers["slandered"][2]
    assert is_out(attackers["slandered"])
    forge(bed.visitor, balancers[0].site, bed.visitor.v4[0], address)

    assert told("unknown", address, "site") == (
        "their packets are dropped here, so the lines come by a proxy, theirs or that of someone who gives their "
        "address for his own: check which proxies the site believes (X-Forwarded-For)"
    )


def test_a_set_is_flushed_while_the_sidecar_is_held_up(bed, attackers, told):
    assert is_out(attackers["set"])
    bed.engine.cli("pause", "wp-sidecar")
    bed.host.run(["nft", "flush", "set", "inet", "wp_sidecar", "ban4"])
    address = fails(attackers["set"])
    bed.engine.cli("unpause", "wp-sidecar")

    assert told("flushed", address, "site") == (
        "another program changes our sets, and with that opens ban4 for a moment: they are put right at once; find "
        "what changes them (`nft monitor`)"
    )
    assert is_out(attackers["set"])


def test_another_program_takes_him_out_of_the_set_again_and_again(bed, attackers, told):
    """We put him in as often, so that he is through after some tries."""
    address = attackers["rival"][2]
    assert is_out(attackers["rival"])
    lift = f"while :; do nft delete element inet wp_sidecar ban4 '{{ {address} }}'; done"
    rival = bed.host.popen(["bash", "-c", lift], stderr=subprocess.DEVNULL)
    try:
        fails(attackers["rival"])
    finally:
        rival.kill()

    assert told("flushed", address, "old").startswith(
        "another program changes our sets, and with that opens ban4"
    )
    assert is_out(attackers["rival"])


def test_the_table_is_deleted_while_the_sidecar_is_held_up(bed, attackers, told):
    assert is_out(attackers["table"])
    bed.engine.cli("pause", "wp-sidecar")
    bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    address = fails(attackers["table"])
    bed.engine.cli("unpause", "wp-sidecar")

    assert told("hook", address, "old") == (
        "our rules are, or were, gone, asleep or not as we made them: another program changes the table inet "
        "wp_sidecar. They are put right at once; find what changes them (`nft monitor`)"
    )
    assert is_out(attackers["table"])


def test_a_sidecar_that_is_not_on_the_hosts_network(bed, attackers, misplaced):
    """To it all of these are one."""
    ask = (
        "from urllib.request import urlopen; print(urlopen('http://127.0.0.1:9734/metrics').read().decode())"
    )
    fails(attackers["balancer"])
    wait_until(lambda: bypasses(misplaced("python3", "-c", ask))["hook"] >= 1, 20)

    assert {kind for kind, count in bypasses(misplaced("python3", "-c", ask)).items() if count} == {"hook"}
    assert (
        "does not keep them out of site: no packet at all has come by here: run wp-sidecar on the host's own network "
        "(`network_mode: host`)"
    ) in bed.engine.cli("logs", "misplaced").stderr


def test_people_are_told_once_and_never_that_it_is_over(bed, attackers):
    """When nobody gets through any more cannot be known."""
    said = [post.body["text"] for post in bed.webhook.posts if "the ban of" in post.body["text"]]

    assert all("Trouble with" in text for text in said)
    assert len(said) == len(set(said)) < len(attackers)
