"""Two sites that do not trust each other: with `scope = site`, what one of them logs bans nobody from the other."""

import contextlib
import json

import pytest

from tests.bed import Bed
from tests.bed.sidecar import Sidecar
from tests.bed.wordpress import Site
from tests.stories.test_front_ends import proxy
from tests.support.waiting import wait_until

JAILS = "[DEFAULT]\nscope = site\n"
# The default jail's.
MAXRETRY = 5
FORGED = "wordpress(hostile)[7]: Authentication failure for admin from {}"


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def sites(bed):
    return bed.wordpress(name="hostile", port=8081), bed.wordpress(name="shop", port=8082)


@pytest.fixture
def sidecar(bed, sites, tmp_path):
    del sites
    path = tmp_path / "jails.conf"
    path.write_text(JAILS)
    sidecar = Sidecar(bed, mounts=[f"{path}:/etc/wp-sidecar/jails.conf:ro"])
    wait_until(lambda: {"hostile", "shop"} <= {log["container"] for log in sidecar.status()["streams"]})
    yield sidecar
    sidecar.remove()


def forge(bed, address, times=MAXRETRY):
    """Have the hostile site write into its own log that this address failed so often."""
    line = FORGED.format(address)
    bed.engine.cli(
        "exec", "hostile", "sh", "-c", f"for n in $(seq {times}); do echo '{line}' >/proc/1/fd/2; done"
    )


def is_out(client, site, source):
    try:
        client.get(site, source=source, timeout=1)
    except OSError:
        return True
    return False


def bans(sidecar, *options):
    return {
        (ban["jail"], ban["ip"]) for ban in json.loads(sidecar.command("bans", "--json", *options))["bans"]
    }


def guess(client, site, source):
    for number in range(MAXRETRY):
        # The ban may reject the last answer.
        with contextlib.suppress(OSError):
            client.login(site, "admin", f"wrong{number}", source, timeout=20)


def test_a_forged_log_bans_from_its_own_site_alone_and_a_restart_keeps_that(bed, sites, sidecar):
    hostile, shop = sites
    ann, bob = bed.visitor.v4[0], bed.attacker.v4[0]
    # Ann visits both, so that the kernel is a witness for a ban.
    wait_until(lambda: bed.visitor.get(hostile, source=ann) == bed.visitor.get(shop, source=ann) == 200)
    forge(bed, ann)
    wait_until(lambda: bans(sidecar) == {("wordpress@hostile", ann)})

    def holds():
        return is_out(bed.visitor, hostile, ann) and not is_out(bed.visitor, shop, ann)

    assert holds()
    assert bans(sidecar, "--jail", "wordpress") == {("wordpress@hostile", ann)}
    assert 'jail="wordpress"' in sidecar.get("/metrics")[1] and "wordpress@" not in sidecar.get("/metrics")[1]
    assert sidecar.metric('wp_sidecar_bans_active{family="ipv4",jail="wordpress"}') == 1
    explained = sidecar.command("explain", ann, "--no-dns")
    assert "wordpress@hostile" in explained and "Authentication failure for admin" in explained
    sidecar.restart()
    assert holds()
    sidecar.kill()
    assert holds()
    # Without a table, as after a reboot, and before the engine is asked.
    sidecar.stop()
    bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    bed.engine.cli("start", "wp-sidecar")
    sidecar.wait_ready()
    assert holds()

    # The other site bans for itself.
    guess(bed.attacker, shop, bob)
    wait_until(lambda: ("wordpress-access@shop", bob) in bans(sidecar))
    assert is_out(bed.attacker, shop, bob) and not is_out(bed.attacker, hostile, bob)

    sidecar.command("unban", ann, "--jail", "wordpress")
    assert not is_out(bed.visitor, hostile, ann)
    assert not is_out(bed.visitor, shop, ann)
    history = json.loads(sidecar.command("history", "--json", "--jail", "wordpress"))["bans"]
    assert [(ban["jail"], ban["ip"]) for ban in history] == [("wordpress@hostile", ann)]


def test_a_proof_of_login_that_a_hostile_site_writes_excuses_nobody_at_the_other(bed, sites, sidecar):
    _, shop = sites
    bob = bed.attacker.v4[1]
    proof = f'{bob} - - [01/Jan/2027:00:00:00 +0000] "GET /wp-admin/ HTTP/1.1" 200 9000 "-" "Mozilla/5.0"'
    for number in range(MAXRETRY):
        bed.engine.cli("exec", "hostile", "sh", "-c", f"echo '{proof}' >/proc/1/fd/1")
        with contextlib.suppress(OSError):
            bed.attacker.login(shop, "admin", f"wrong{number}", bob, timeout=20)

    wait_until(lambda: ("wordpress-access@shop", bob) in bans(sidecar))
    assert is_out(bed.attacker, shop, bob)


def test_behind_a_shared_proxy_its_own_log_decides(bed, sites, sidecar, tmp_path):
    hostile, shop = sites
    proxy(bed, tmp_path, "edge", "shop", "--network=shop", "--publish=8083:80")
    bed.engine.cli("network", "connect", "hostile", "edge")
    edge = Site(shop.engine, "edge", 8083, "edge", "shop")
    wait_until(lambda: "edge" in {log["container"] for log in sidecar.status()["streams"]})
    ann, bob = bed.visitor.v4[1], bed.attacker.v4[2]
    wait_until(lambda: bed.visitor.get(edge, source=ann) == bed.visitor.get(hostile, source=ann) == 200)
    forge(bed, ann)
    wait_until(lambda: ("wordpress@hostile", ann) in bans(sidecar))

    # The proxy leads to the other site too.
    assert is_out(bed.visitor, hostile, ann) and not is_out(bed.visitor, edge, ann)

    guess(bed.attacker, edge, bob)
    wait_until(lambda: ("wordpress-access@edge", bob) in bans(sidecar))
    assert is_out(bed.attacker, edge, bob) and not is_out(bed.attacker, hostile, bob)
    bed.engine.cli("rm", "--force", "edge")


def test_a_site_without_a_port_of_its_own_is_reported(bed, sites, sidecar):
    del sites
    bed.engine.cli(
        "run", "--detach", "--init", "--name=inner", "--network=shop", "--label=wp-sidecar.enable=true",
        "debian:trixie-slim", "sleep", "3600",
    )  # fmt: skip
    wait_until(
        lambda: "bans for the logs of inner drop nothing" in " ".join(sidecar.status()["health"]["why"])
    )
    bed.engine.cli("rm", "--force", "inner")
    wait_until(lambda: "drop nothing" not in " ".join(sidecar.status()["health"]["why"]))
