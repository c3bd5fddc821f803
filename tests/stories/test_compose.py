"""`docker compose up -d` with no configuration protects."""

import json

import pytest

from tests.bed import Bed
from tests.bed.images import SIDECAR
from tests.support.compose import composed, site_of
from tests.support.markdown import blocks
from tests.support.paths import ROOT
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def bed():
    with Bed.up(sidecar=True) as bed:
        yield bed


@pytest.fixture(scope="module")
def compose(bed, tmp_path_factory):
    with composed(bed, "shop", tmp_path_factory.mktemp("compose")) as compose:
        yield compose


@pytest.fixture(scope="module")
def site(bed, compose):
    return site_of(bed, "shop")


def test_five_wrong_passwords_and_nothing_comes_back(bed, compose, site):
    source = bed.attacker.v4[0]
    assert [bed.attacker.login(site, "admin", f"wrong{n}", source) for n in range(5)] == [200] * 5

    def bans():
        return json.loads(compose("exec", "-T", "wp-sidecar", "wp-sidecar", "bans", "--json"))["bans"]

    wait_until(lambda: [ban["ip"] for ban in bans()] == [source])
    assert [ban["site"] for ban in bans()] == ["shop-wordpress-1"]
    with pytest.raises(TimeoutError):
        bed.attacker.get(site, source=source, timeout=1)
    assert bed.visitor.get(site) == 200


def test_the_image_has_the_man_pages_and_completes_on_the_host(compose):
    listed = compose("exec", "-T", "wp-sidecar", "ls", "/usr/local/share/man/man1").split()
    candidates = compose(
        "exec", "-T", "wp-sidecar", "wp-sidecar", "completion", "--line", "wp-sidecar bans --jail "
    )

    assert sorted(listed) == sorted(path.name for path in (ROOT / "man").glob("*.1"))
    assert "wordpress-access\tjail" in candidates.splitlines()


def test_an_attacker_over_ipv6_is_known_by_his_own_address(bed, compose, site):
    source = bed.attacker2.v6[0]
    for n in range(5):
        bed.attacker2.login(site, "admin", f"wrong{n}", source)

    def bans():
        return compose("exec", "-T", "wp-sidecar", "wp-sidecar", "bans", "--json")

    wait_until(lambda: "2001:db8:bad:2::/64" in bans())


def test_it_has_one_capability_and_can_write_to_its_state_alone(bed, compose):
    container = compose("ps", "--quiet", "wp-sidecar").strip()
    (config,) = json.loads(bed.engine.cli("inspect", container).stdout)
    host = config["HostConfig"]

    added = [name.removeprefix("CAP_") for name in host["CapAdd"]]  # Docker 28 spells it out
    assert (host["CapDrop"], added) == (["ALL"], ["NET_ADMIN"])
    assert (host["ReadonlyRootfs"], host["Privileged"], host["NetworkMode"]) == (True, False, "host")
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert config["State"]["Health"]["Status"] == "healthy"


def test_the_monitoring_profile_is_off_unless_asked_for(compose):
    assert sorted(compose("config", "--services").split()) == ["db", "wordpress", "wp-sidecar"]
    assert {"alertmanager", "grafana", "prometheus"} <= set(
        compose("--profile", "monitoring", "config", "--services").split()
    )


def banned(bed):
    """The banned IPv4 addresses, asked for as the docs say."""
    answer = bed.engine.cli("exec", "wp-sidecar", "wp-sidecar", "bans", "--json").stdout
    return {ban["ip"] for ban in json.loads(answer)["bans"]} & {bed.attacker.v4[0], bed.attacker.v4[1]}


def test_a_backup_that_is_copied_back_has_the_bans(bed, compose, tmp_path):
    """docs/how-to/upgrade-and-backup.md."""
    source = bed.attacker.v4[1]
    bed.engine.cli("exec", "wp-sidecar", "wp-sidecar", "ban", source, "--for", "1h")
    compose("stop", "wp-sidecar")
    bed.engine.cli("cp", "wp-sidecar:/var/lib/wp-sidecar", str(tmp_path / "backup"))
    assert source in bed.host.run(["nft", "list", "table", "inet", "wp_sidecar"]).stdout

    # Another machine: neither the volume nor the kernel's table is there.
    compose("rm", "--force", "wp-sidecar")
    bed.engine.cli("volume", "rm", "shop_wp-sidecar")
    bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    compose("up", "--no-start", "--no-build", "wp-sidecar")
    bed.engine.cli("cp", f"{tmp_path}/backup/.", "wp-sidecar:/var/lib/wp-sidecar")
    compose("up", "--detach", "--no-build", "--wait", "wp-sidecar")

    assert source in banned(bed)


def test_what_an_uninstall_leaves_in_the_kernel_is_one_table(bed, compose):
    """docs/uninstall.md."""
    source = bed.attacker.v4[1]
    compose("rm", "--stop", "--force", "wp-sidecar")
    bed.engine.cli("volume", "rm", "shop_wp-sidecar")

    left = bed.host.run(["nft", "list", "table", "inet", "wp_sidecar"]).stdout
    assert source in left
    bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"])
    assert "wp_sidecar" not in bed.host.run(["nft", "list", "tables"]).stdout


@pytest.fixture
def pasted(bed, compose, tmp_path):
    """README's service, and the words after it, in a compose project of its own beside the site that runs."""
    (block,) = [each.text for each in blocks((ROOT / "README.md").read_text()) if each.language == "yaml"]
    file = tmp_path / "compose.yaml"
    bed.engine.cli("tag", SIDECAR, "wp-sidecar")

    def run(*arguments, environment=""):
        file.write_text(block.replace('SLACK_WEBHOOK_URL: ""', f'SLACK_WEBHOOK_URL: ""{environment}'))
        return bed.engine.cli("compose", "-p", "pasted", "-f", str(file), *arguments).stdout

    yield run
    run("down", "--volumes")
    bed.host.run(["nft", "delete", "table", "inet", "wp_sidecar"], check=False)


def test_the_readme_leads_to_a_ban_and_back(bed, site, pasted):
    source = bed.attacker.v4[2]
    pasted("up", "--detach", "wp-sidecar")

    def command(*words):
        return bed.engine.cli("exec", "wp-sidecar", "wp-sidecar", *words, check=False).stdout

    wait_until(lambda: "healthy\n" in command("status") and "shop-wordpress-1" in command("status"), 60)
    assert [bed.attacker.login(site, "admin", f"wrong{n}", source) for n in range(5)] == [200] * 5
    wait_until(lambda: source in command("bans"))
    with pytest.raises(TimeoutError):
        bed.attacker.get(site, source=source, timeout=1)
    command("unban", source)
    assert bed.attacker.get(site, source=source) == 200
    assert pasted("run", "--rm", "wp-sidecar", "check-config").endswith("ok\n")


def test_it_removes_its_table_itself_if_it_is_asked_to(bed, pasted):
    """docs/uninstall.md, without nft on the host."""
    pasted("up", "--detach", "--wait", "wp-sidecar", environment='\n      WP_SIDECAR_FLUSH_ON_EXIT: "true"')
    assert "wp_sidecar" in bed.host.run(["nft", "list", "tables"]).stdout
    pasted("rm", "--stop", "--force", "wp-sidecar")

    assert "wp_sidecar" not in bed.host.run(["nft", "list", "tables"]).stdout
