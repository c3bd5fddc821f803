"""Bans and what is allowed go from one daemon to another, with real kernels."""

import json
import signal
import subprocess

import pytest

from tests.support.paths import COMMAND
from tests.support.running import Running

JAILS = """
[probes]
filter = wordpress
logpath = {log}
port = 8080
bantime = 2h
"""
NO_ADDRESS = (
    "neither an address nor a network: write it like 203.0.113.7, 198.51.100.0/24 or 2001:db8:1:2::/64 "
    "(host names are not looked up)"
)


@pytest.fixture
def daemon(tmp_path):
    """Makes daemons, each in a namespace and a folder of its own."""
    made = []

    def daemon(name):
        (tmp_path / name).mkdir()
        running = Running(tmp_path / name)
        made.append(running)
        running.configure(JAILS.format(log=running.log))
        running.start()
        return running

    yield daemon
    for each in made:
        each.close()


def wp(daemon, *args, stdin=""):
    done = subprocess.run(
        [COMMAND, *args],
        env=daemon.environ,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


def in_force(daemon):
    """What a ban and an entry of the allowlist are to the other host, in any order."""
    bans = json.loads(wp(daemon, "bans", "--json")[1])["bans"]
    allowed = json.loads(wp(daemon, "allowed", "--json")[1])["allowed"]
    return (
        {(ban["ip"], ban["jail"], ban["until"]) for ban in bans},
        {(each["ip"], each["until"], each["comment"]) for each in allowed},
    )


def test_the_bans_of_one_host_are_those_of_another_with_their_ends_and_outlive_a_crash_there(daemon):
    one, other = daemon("one"), daemon("other")
    wp(
        one,
        "ban",
        "203.0.113.7",
        "2001:db8::1",
        "--jail",
        "wordpress",
        "--for",
        "2h",
        "--reason",
        "spam\nspam",
    )
    wp(one, "ban", "198.51.100.0/24", "--for", "-1")
    wp(one, "ban", "203.0.113.7", "--jail", "probes")
    wp(one, "allow", "192.0.2.0/24", "--comment", "our #1 office")
    wp(one, "allow", "192.0.2.7", "--for", "3h")
    exported = wp(one, "export")[1]
    found = in_force(one)
    assert (len(found[0]), len(found[1])) == (4, 2)

    assert wp(other, "import", "--dry-run", stdin=exported)[:2] == (
        0,
        "would be banned: 4\nwould be allowed: 2\n",
    )
    assert in_force(other) == (set(), set())
    assert wp(other, "import", stdin=exported)[:2] == (0, "banned: 4\nallowed: 2\n")
    assert in_force(other) == found
    assert wp(other, "import", stdin=exported)[:2] == (0, "banned: 0\nin force before: 6\n")
    table = other.table()
    assert [
        each for each in ("198.51.100.0/24", "203.0.113.7", "2001:db8::", "192.0.2.") if each not in table
    ] == [], table

    other.end(signal.SIGKILL)
    other.start()
    assert in_force(other) == found
    again = daemon("again")
    wp(again, "import", stdin=wp(other, "export")[1])
    assert in_force(again) == found


def test_a_deny_list_of_fifty_thousand_networks_is_in_force_for_good_and_bad_lines_are_named(daemon):
    host = daemon("host")
    networks = [f"{11 + n // 16_384}.{n // 64 % 256}.{n % 64 * 4}.0/24" for n in range(50_000)]
    # The first one stands at the end again, far from its piece.
    lines = ["# a deny list", *networks, "127.0.0.1", "0.0.0.0/0", "nobody # at all", networks[0]]
    drafted = wp(host, "import", "-", "--for", "-1", "--dry-run", stdin="\n".join(lines))
    assert host.ask("status")["bans"] == 0
    code, out, err = wp(host, "import", "-", "--for", "-1", stdin="\n".join(lines))

    assert (code, out) == (1, "banned: 50,000\nin force before: 1\nlines that are refused: 3\n")
    assert drafted == (code, "would be banned: 50,000\nin force already: 1\nlines that are refused: 3\n", err)
    assert err.splitlines() == [
        "wp-sidecar: line 50002: 127.0.0.1 is never banned: it is this host's own address",
        "wp-sidecar: line 50003: 0.0.0.0/0: too wide to ban; the widest is a /16 for IPv4",
        f"wp-sidecar: line 50004: 'nobody' is {NO_ADDRESS}",
    ]
    assert host.ask("status")["bans"] == 50_000
    assert host.ask("status")["health"]["ready"]
    assert host.ask("status")["firewall"]["enforced"] == [50_000, 50_000]
    assert (
        wp(host, "import", "--for", "-1", stdin="\n".join(networks))[1]
        == "banned: 0\nin force before: 50,000\n"
    )
    assert len(wp(host, "export", "--text")[1].splitlines()) == 50_000
