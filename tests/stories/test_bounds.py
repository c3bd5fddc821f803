"""What others may decide about protection, with the real daemon, a real Docker Engine and a real kernel."""

import pytest

from tests.bed import Bed
from tests.bed.daemon import bare
from tests.support.waiting import wait_until

IMAGE = "debian:trixie-slim"
JAILS = """
[DEFAULT]
# Clients are lines, and send no packets.
witness = off
maxretry = 2
[wordpress]
"""
FAILURE = "wordpress(blog)[7]: Authentication failure for admin from "
ANN, BOB = "203.0.113.7", "203.0.113.8"


@pytest.fixture(scope="module")
def engine():
    with Bed.up(daemon=bare()) as bed:
        yield bed.engine


def why(daemon):
    return " ".join(daemon.ask("status")["health"]["why"])


def site(engine, name, *labels, image=IMAGE, says=""):
    """Run a container with these labels that writes this many failed logins of `says`, and stays."""
    options = [f"--label={label}" for label in labels]
    failures = f"echo '{FAILURE}{says}'; echo '{FAILURE}{says}';" if says else ""
    engine.cli(
        "run", "--detach", "--init", "--name", name, *options, image, "sh", "-c", f"{failures} sleep 3600"
    )


def test_a_network_of_everything_lifts_no_ban_and_is_reported(engine, daemon):
    daemon.ask("ban", who=ANN)
    # This Engine refuses `--ipam-driver null`, which others list as 0.0.0.0/0.
    engine.cli("network", "create", "--subnet", "32.0.0.0/3", "everything")
    engine.cli("network", "create", "--ipv6", "--subnet", "2000::/8", "everything6")
    wait_until(lambda: "32.0.0.0/3 (a container network), 2000::/8 (a container network)" in why(daemon))

    assert daemon.banned() == [ANN]
    daemon.ask("ban", who=BOB)
    assert sorted(daemon.banned()) == [ANN, BOB]
    assert ANN in daemon.table() and "32.0.0.0-" not in daemon.table()
    assert sum(each["ipv4"] for each in daemon.ask("status")["allowlist"]) < 0.01

    engine.cli("network", "rm", "everything", "everything6")
    wait_until(lambda: "(a container network)" not in why(daemon))


def test_a_network_with_the_addresses_of_an_attacker_lifts_no_ban(engine, daemon):
    daemon.ask("ban", who=ANN)
    # Neither has a device with these addresses, so the attacker still gets answers.
    engine.cli("network", "create", "--config-only", "--subnet", "203.0.113.0/24", "claimed")
    engine.cli("network", "create", "--ipv6", "--subnet", "2001:db8:bad::/64", "--internal", "claimed6")
    # It is learnt in the same list as the networks, or a later one.
    site(engine, "marker", "wp-sidecar.enable=true")
    wait_until(lambda: "marker" in watched(daemon))

    assert daemon.banned() == [ANN]
    daemon.ask("ban", who="2001:db8:bad::7")
    assert len(daemon.banned()) == 2
    engine.cli("network", "rm", "claimed", "claimed6")


@pytest.fixture(scope="module")
def images(engine):
    """An image that is WordPress by its name, and one of a stranger, whose labels ask for less protection."""
    engine.cli("tag", IMAGE, "site/wordpress")
    engine.cli("create", "--name", "mould", IMAGE)
    labels = (
        "enable=false",
        "mode=observe",
        "jails=none",
        "maxretry=100",
        "allow=192.0.2.0/8,198.51.100.0/24",
    )
    changes = [f"--change=LABEL wp-sidecar.{label}" for label in labels]
    engine.cli("commit", *changes, "mould", "stranger/wordpress")
    engine.cli("rm", "mould")


def watched(daemon):
    return {each["container"] for each in daemon.ask("status")["streams"]}


@pytest.mark.usefixtures("images")
def test_no_label_stops_the_watching_of_a_container_but_its_own(engine, daemon):
    site(engine, "blog", image="site/wordpress")
    site(engine, "labelled", "wp-sidecar.enable=true")
    site(engine, "typo", "wp-sidecar.jails=wordpres", image="site/wordpress")
    site(engine, "empty", "wp-sidecar.jails=", image="site/wordpress")
    site(engine, "off", "wp-sidecar.enable=false", image="site/wordpress")

    wait_until(lambda: watched(daemon) == {"blog", "labelled", "typo", "empty"})
    wait_until(lambda: "labels of empty: wp-sidecar.jails: names no jail" in why(daemon))
    assert "labels of typo: wp-sidecar.jails: no jail is named wordpres" in why(daemon)
    wait_until(lambda: daemon.ask("status")["labels"].get("off") == ["wp-sidecar.enable=false: not watched"])


@pytest.mark.usefixtures("images")
def test_what_labels_ask_for_beyond_their_limits_does_not_hold(engine, daemon):
    every = ",".join(f"{number}.0.0.0/8" for number in range(1, 224))
    names = ",".join(f"h{number}.example.org" for number in range(20_000))[:60_000]
    asked = {
        "trusted-proxies": every,
        "allow": names,
        "bantime": "-1",
        "findtime": "100y",
        "jails": "wordpres",
    }
    daemon.ask("ban", who=ANN)
    labels = [f"wp-sidecar.{name}={text}" for name, text in asked.items()]
    site(engine, "greedy", *labels, image="site/wordpress", says=BOB)
    wait_until(lambda: "labels of greedy" in why(daemon))
    site(engine, "blog", image="site/wordpress", says="198.51.100.9")
    wait_until(lambda: len(daemon.banned()) == 3)

    bans = {ban["ip"]: ban for ban in daemon.ask("bans")["bans"]}
    assert set(bans) == {ANN, BOB, "198.51.100.9"}
    assert bans[BOB]["until"] - bans[BOB]["at"] == bans["198.51.100.9"]["until"] - bans["198.51.100.9"]["at"]
    for what in (
        "wp-sidecar.allow: is longer",
        "bantime: for good is not what a label may set",
        "trusted-proxies: too much",
    ):
        assert what in why(daemon)


IGNORED = (
    "labels of stranger: wp-sidecar.allow, wp-sidecar.enable, wp-sidecar.jails, wp-sidecar.maxretry and 1 more: set by the "
    "image stranger/wordpress, so ignored; if you trust the image, name it in WP_SIDECAR_IMAGE_LABELS"
)


@pytest.mark.usefixtures("images")
def test_the_labels_of_an_image_count_only_where_the_host_names_the_image(engine, daemon, monkeypatch):
    own = "wp-sidecar.bantime=2h"
    site(engine, "stranger", own, image="stranger/wordpress", says="198.51.100.9")
    wait_until(lambda: daemon.banned() == ["198.51.100.9"])

    (ban,) = daemon.ask("bans")["bans"]
    assert (ban["observed"], ban["site"]) == (False, "stranger")
    wait_until(lambda: IGNORED in why(daemon))
    assert daemon.ask("status")["labels"] == {"stranger": [own]}

    daemon.end()
    monkeypatch.setenv("WP_SIDECAR_IMAGE_LABELS", "company/*, stranger/*")
    daemon.start()
    wait_until(
        lambda: daemon.ask("status")["labels"] == {"stranger": ["wp-sidecar.enable=false: not watched"]}
    )
    assert "labels of stranger" not in why(daemon)
    assert watched(daemon) == set()


def test_a_site_that_is_taken_over_does_not_use_up_the_bans_of_the_others(engine, daemon):
    (daemon.folder / "jails.conf").write_text(
        f"{JAILS}\n".replace("maxretry", "banbudget = 20/10m\nmaxretry")
    )
    daemon.ask("reload")
    label = "wp-sidecar.enable=true"
    site(engine, "shop", label, says=ANN)
    wait_until(lambda: daemon.banned() == [ANN])
    lines = f"for n in $(seq 1 100); do echo '{FAILURE}'198.18.$n.7; echo '{FAILURE}'198.18.$n.7; done; sleep 3600"
    engine.cli("run", "--detach", "--init", "--name", "hostile", f"--label={label}", IMAGE, "sh", "-c", lines)
    wait_until(lambda: daemon.ask("bans")["bans"][100:])
    site(engine, "blog", label, says=BOB)
    wait_until(lambda: BOB in daemon.banned())

    bans = {ban["ip"]: ban for ban in daemon.ask("bans")["bans"]}
    assert not bans[BOB]["observed"]
    assert sum(not ban["observed"] for ban in bans.values() if ban["site"] == "hostile") == 10
    assert "because of the log of hostile" in why(daemon)
