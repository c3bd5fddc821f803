"""`wp-sidecar doctor` on a real engine: it names the cause of each of several broken set-ups, and of nothing else."""

from __future__ import annotations

import json

import pytest

from tests.bed import Bed
from tests.bed.images import SIDECAR
from tests.bed.sidecar import NAME, Sidecar
from tests.support.waiting import wait_until

IMAGE = "debian:trixie-slim"
WATCHED = "--label=wp-sidecar.enable=true"
# A request from an address, of now; and a line that nobody understands.
REQUEST = """echo "ADDRESS - - [$(date -u +%d/%b/%Y:%H:%M:%S) +0000] \\"GET / HTTP/1.1\\" 200 12 \\"-\\" \\"Mozilla\\"";"""
NONSENSE = "echo something else;"
CLOUDFLARE = "173.245.48.9"
# It sends no packet, so the daemon has no witness, and bans nobody.
GUESSER = "203.0.113.78"


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def site(bed):
    return bed.wordpress(log="plugin")


@pytest.fixture(scope="module")
def broken(bed, site):
    """Containers that are watched, each with one thing wrong."""

    def run(name: str, line: str, *options: str) -> None:
        script = f"for i in $(seq 30); do {line} done; exec sleep 3600"
        bed.engine.cli(
            "run", "--detach", "--init", f"--name={name}", WATCHED, *options, IMAGE, "sh", "-c", script
        )

    lan = ["--driver=macvlan", "--opt=parent=wan0", "--subnet=198.51.100.0/24", "--gateway=198.51.100.1"]
    bed.engine.cli("network", "create", *lan, "lan")
    real = REQUEST.replace("ADDRESS", "203.0.113.77")
    run("mute", real, "--log-driver=none")
    run("strange", NONSENSE)
    run("hidden", REQUEST.replace("ADDRESS", "172.17.0.1"))
    run("behind-cdn", REQUEST.replace("ADDRESS", CLOUDFLARE))
    run("past", real, "--network=lan", "--ip=198.51.100.21")
    # On the default network it would look like a front end of the others.
    bed.engine.cli("network", "create", "old")
    run("old", real, "--network=old", "--publish=8081:80")
    guess = REQUEST.replace("GET /", "POST /wp-login.php").replace("ADDRESS", GUESSER)
    run("attacked", guess)


@pytest.fixture(scope="module")
def sidecar(bed, site):
    sidecar = Sidecar(bed)
    wait_until(lambda: any(log["container"] == "site" for log in sidecar.status()["streams"]))
    yield sidecar
    sidecar.remove()


def doctor(bed: Bed, *command: str) -> tuple[int, dict]:
    done = bed.engine.cli(*command, "doctor", "--json", check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def inside(bed: Bed, *environ: str) -> tuple[int, dict]:
    """What it finds in the running sidecar, with this environment besides."""
    return doctor(bed, "exec", *(f"--env={each}" for each in environ), NAME, "wp-sidecar")


def wrong(found: dict) -> dict[str, list[str]]:
    """Subject -> what is wrong with it, each with what to change."""
    by_subject: dict[str, list[str]] = {}
    for each in found["findings"]:
        if not each["ok"]:
            by_subject.setdefault(each["subject"], []).append(f"{each['sentence']} => {each['change']}")
    return by_subject


def test_all_is_well_with_a_site(bed, site, sidecar):
    for _ in range(6):
        bed.visitor.get(site)
    assert bed.attacker.login(site, "admin", "wrong", timeout=60) == 200

    code, found = inside(bed)

    assert (code, wrong(found)) == (0, {})
    sentences = {each["sentence"] for each in found["findings"] if each["subject"] == "site"}
    assert "the log of site is understood: combined" in sentences
    assert "bans close the ports that lead to it: 80" in sentences
    assert "by its newest lines nobody would be banned now" in sentences
    assert any(each.startswith("its log has the clients' own addresses (") for each in sentences)


def test_each_broken_container_has_its_cause_and_no_other(bed, site, sidecar, broken):
    code, found = inside(bed)

    by_subject = wrong(found)
    assert code == 1
    # The daemon's own problems stand with the host.
    by_subject.pop("host", None)
    causes = {
        "mute": "its log cannot be read (driver none)",
        "strange": "of 30 lines none is a request",
        "hidden": "of 30 requests 30 have a container network as their client",
        "behind-cdn": "of 30 requests 30 have an address of the CDN cloudflare as their client",
        "past": "on a macvlan or ipvlan network",
        "old": "IPv6 clients reach old through Docker's userland proxy",
    }
    assert by_subject.keys() == causes.keys()
    for name, cause in causes.items():
        assert len(by_subject[name]) == 1, by_subject[name]
        (sentence,) = by_subject[name]
        assert cause in sentence, (name, sentence)
        assert not sentence.endswith("=> ")
    would = [each["sentence"] for each in found["findings"] if each["subject"] == "attacked"]
    assert f"by its newest lines 1 would be banned now: {GUESSER} (wordpress-access)" in would


def test_what_is_wrong_with_the_host_is_named(bed, sidecar):
    _, found = inside(
        bed,
        "TZ=Mars/Olympus",
        "SLACK_WEBHOOK_URL=https://hooks.slack.invalid/services/secret",
        "WP_SIDECAR_LISTEN=0.0.0.0:9734",
        "WP_SIDECAR_STATE=/var/nowhere",
    )

    text = " ".join(wrong(found)["host"])
    for cause in ("TZ=Mars/Olympus is unknown here", "slack cannot reach hooks.slack.invalid:443",
                  "open to others at 0.0.0.0:9734", "/var cannot be written"):  # fmt: skip
        assert cause in text
    assert "secret" not in text

    _, found = inside(bed, "DOCKER_HOST=unix:///nowhere", "TZ=Europe/Berlin")
    text = " ".join(wrong(found)["host"])
    assert "no Docker socket at unix:///nowhere: mount it into this container" in text
    assert "TZ" not in text


@pytest.mark.usefixtures("site")
def test_a_container_without_what_compose_gives_it_says_what_is_missing(bed):
    socket = f"--volume={bed.engine.lasting}:/var/run/docker.sock"

    code, found = doctor(bed, "run", "--rm", "--cap-drop=ALL", "--read-only", socket, SIDECAR)

    text = " ".join(wrong(found)["host"])
    assert code == 1
    for cause in (
        "no daemon answers",
        "cap_add: [NET_ADMIN]",
        "network_mode: host",
        "is lost with this container",
    ):
        assert cause in text, text


def test_a_site_that_no_jail_looks_at(bed, site, sidecar):
    bed.engine.cli("exec", "--interactive", NAME, "sh", "-c", "cat > /run/jails.conf",
                   text="[wordpress]\ncontainers = shop\n")  # fmt: skip

    _, found = inside(bed, "WP_SIDECAR_JAILS=/run/jails.conf")

    assert "the WordPress container site is not watched" in " ".join(wrong(found)["host"])


def test_the_image_knows_public_certificate_authorities(bed, sidecar):
    """Mail and Redis over TLS go by OpenSSL's own list, which Debian's slim image lacks."""
    count = "import ssl; print(len(ssl.create_default_context().get_ca_certs()))"

    assert int(bed.engine.cli("exec", NAME, "python3", "-c", count).stdout) > 100
