"""The bed is what it says: real addresses reach WordPress, and nothing reaches the machine around it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bed import ADMIN, EDITOR, Bed


def surroundings() -> dict[str, str]:
    """The machine's own firewall, addresses, routes, and the settings of its network."""
    commands = ("nft list ruleset", "ip -o address", "ip route show table all", "ip -6 route show table all")
    seen = {command: _said(command) for command in commands}
    for path in Path("/proc/sys/net").rglob("*"):
        try:
            seen[str(path)] = path.read_text() if path.is_file() else ""
        except OSError:  # some cannot be read
            continue
    return seen


def _said(command: str) -> str:
    said = subprocess.run(command.split(), capture_output=True, text=True, check=True).stdout
    # lifetimes count down by themselves, and loading a kernel module adds tables of its own kind
    return "\n".join(line.partition("valid_lft")[0].partition(" expires ")[0] for line in said.splitlines())


@pytest.fixture(scope="module", autouse=True)
def around():
    """As it was before the bed."""
    return surroundings()


@pytest.fixture(scope="module")
def bed():
    with Bed.up() as bed:
        yield bed


@pytest.fixture(scope="module")
def site(bed):
    return bed.wordpress(log="plugin")


def test_wordpress_sees_each_attacker_at_his_own_address(bed, site):
    sources = [bed.attacker.v4[2], bed.attacker.v6[2], bed.attacker2.v4[0], bed.attacker2.v6[0]]

    for source in sources:
        (bed.attacker if source in (*bed.attacker.v4, *bed.attacker.v6) else bed.attacker2).login(
            site, "admin", "wrong", source
        )

    access, _ = site.logs()
    assert [line.split()[0] for line in access.splitlines() if '"POST ' in line][-4:] == sources


@pytest.mark.parametrize("family", ["v4", "v6"])
def test_a_failed_login_is_a_200_and_a_right_one_a_302(bed, site, family):
    source = getattr(bed.visitor, family)[0]

    assert bed.visitor.login(site, "admin", "wrong", source) == 200
    assert bed.visitor.login(site, *ADMIN, source) == 302
    assert bed.visitor.login(site, *EDITOR, source) == 302


def test_the_plugins_messages_are_on_standard_error(bed, site):
    source = bed.attacker.v4[4]

    bed.attacker.login(site, "admin", "wrong", source)
    bed.attacker.login(site, "nosuch", "wrong", source)

    _, messages = site.logs()
    mine = [line.partition("]: ")[2] for line in messages.splitlines() if line.endswith(source)]
    assert mine == [
        f"Authentication failure for admin from {source}",
        f"Authentication attempt for unknown user nosuch from {source}",
    ]


def test_hydra_finds_the_password(bed, site):
    assert "1 valid password found" in bed.attacker2.hydra(site, ["wrong", ADMIN[1]]).stdout


def test_an_open_connection_stays_the_same_connection(bed, site):
    connection = bed.visitor.keepalive(site, bed.visitor.v6[1])

    assert connection.get() == 200
    connection.close()


def test_the_host_forwards_only_what_docker_lets_through(bed):
    for tool in ("iptables", "ip6tables"):
        assert bed.host.run([tool, "-S", "FORWARD"]).stdout.startswith("-P FORWARD DROP")


def test_a_container_finds_the_engine_where_compose_files_look_for_it(bed):
    socket = "/var/run/docker.sock"
    ping = ["curl", "--silent", "--unix-socket", socket, "http://docker/_ping"]

    seen = bed.engine.cli("run", "--rm", f"--volume={socket}:{socket}", "nginx:1.26", *ping)

    assert seen.stdout == "OK"


def test_alerts_arrive_at_the_webhook(bed):
    bed.host.run(["curl", "--silent", "--data", '{"text": "hello"}', bed.webhook.url])

    assert bed.webhook.wait()[0].body == {"text": "hello"}


def test_the_engine_goes_and_comes_back_with_its_containers(bed, site):
    bed.engine.stop()
    assert not bed.engine.answers()

    bed.engine.start()

    bed.ready(site)
    assert bed.visitor.get(site) == 200


def test_a_killed_run_leaves_no_process(tmp_path):
    script = f"""
import os, signal
from pathlib import Path
from tests.bed.capsule import Capsule
print(Capsule(Path({str(tmp_path)!r}), netns=None, held=[]).process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

    killed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    wait = ["timeout", "60", "tail", f"--pid={killed.stdout.strip()}", "--follow", "/dev/null"]
    assert subprocess.run(wait, check=False).returncode == 0


def test_the_machine_around_it_is_as_it_was(around):
    """While the module's bed is up, and after another has gone the same way."""
    now = surroundings()

    changed = {what: (around[what], now.get(what)) for what in around if now.get(what) != around[what]}
    assert changed == {what: values for what, values in changed.items() if _lives(what)}


def _lives(what: str) -> bool:
    """Counters under /proc/sys/net that move by themselves."""
    return what.endswith(("/nf_conntrack_count", "/fs/xfs", "/flush"))
