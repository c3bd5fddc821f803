"""The logs of containers in files. Those of an engine are read from a real one in tests/stories."""

import gzip
import json
import os

import pytest

from sidecar.cli.meter import NO_METER
from sidecar.cli.replay_host_logs import FolderLog
from sidecar.core.events import Framing
from sidecar.sources.files import kubernetes
from tests.support.kubernetes_api import UID, StandIn, item

DAY = "2026-11-22T08:40:"


def cri(second, text, tag="F", stream="stdout"):
    return f"{DAY}{second:02d}.123456789Z {stream} {tag} {text}\n"


@pytest.fixture
def node(here, monkeypatch):
    """A node with a pod of three segments, of which the oldest is gzipped, and one that is not watched."""
    folder = here / "pods" / f"blog_web-0_{UID}" / "wordpress"
    folder.mkdir(parents=True)
    (folder / "0.log.20261122-083900.gz").write_bytes(gzip.compress(cri(0, "fail 203.0.113.7").encode()))
    (folder / "0.log.20261122-084000").write_text(cri(1, "fail 203.", "P") + cri(1, "hello", stream="stderr"))
    (folder / "0.log").write_text(cri(1, "0.113.7") + cri(2, "fail 203.0.113.7", stream="stderr"))
    other = here / "pods" / f"shop_db-0_{UID}" / "mariadb"
    other.mkdir(parents=True)
    (other / "0.log").write_text(cri(0, "fail 198.51.100.9") * 5)
    monkeypatch.setenv("WP_SIDECAR_SOURCE", "cri")
    monkeypatch.setenv("WP_SIDECAR_LOGS", str(here / "pods"))
    return folder


def totals(out):
    return json.loads(out.splitlines()[-1])


def test_the_watched_containers_of_a_node_are_read_rotated_files_and_cut_lines_included(wp, node):
    code, out, err = wp("replay", "--json", "--since", "100000d")

    ban = json.loads(out.splitlines()[0])
    assert (code, err) == (0, "")
    assert (ban["action"], ban["ip"], ban["lines"]) == ("ban", "203.0.113.7", ["fail 203.0.113.7"] * 3)
    assert [log["log"] for log in totals(out)["logs"]] == ["blog/web-0/wordpress"]


@pytest.fixture
def api(tmp_path_factory, monkeypatch):
    """The Kubernetes API, with the account of a pod."""
    made = StandIn(tmp_path_factory.mktemp("account"))
    monkeypatch.setattr(kubernetes, "SERVICE_ACCOUNT", made.folder)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", made.url.rpartition(":")[2])
    monkeypatch.setenv("WP_SIDECAR_KUBERNETES_API", "true")
    monkeypatch.setenv("WP_SIDECAR_NODE", "node-7")
    yield made
    made.close()


def test_the_labels_of_pods_count_as_in_the_daemon(wp, node, api):
    # The pod of the site and that of its database have one uid here.
    api.pods = {UID: item(annotations={"wp-sidecar/maxretry": "4"})}
    _, out, err = wp("replay", "--json", "--since", "100000d")

    assert (err, [each[1].get("fieldSelector") for each in api.asked]) == ("", ["spec.nodeName=node-7", None])
    # Three failures are none too many for this container.
    assert (totals(out)["failures"], totals(out)["bans"]) == (3, 0)


def test_an_api_that_refuses_is_said_and_pods_are_chosen_by_their_names(wp, node, api):
    api.status = 403
    code, out, err = wp("replay", "--json", "--since", "100000d")

    assert (code, totals(out)["bans"]) == (0, 1)
    assert "does not list this node's pods (403 Forbidden for pods)" in err


def test_a_container_is_chosen_by_its_name_watched_or_not(wp, node):
    _, out, _ = wp("replay", "--json", "--container", "shop/db-0/mariadb")
    assert [log["log"] for log in totals(out)["logs"]] == ["shop/db-0/mariadb"]
    assert json.loads(out.splitlines()[0])["ip"] == "198.51.100.9"

    code, _, err = wp("replay", "--container", "nobody")
    assert (code, err) == (
        66,
        "wp-sidecar: no container is named nobody; there are: blog/web-0/wordpress, shop/db-0/mariadb\n",
    )


def test_files_from_before_are_not_read(node):
    for path in node.iterdir():
        os.utime(path, (1_000, 1_000))
    os.utime(node / "0.log", (9_000, 9_000))

    parts = list(FolderLog(str(node), "blog", 5_000.0, "cri").parts(NO_METER))

    assert {part.framing for part in parts} == {Framing.CRI}
    assert b"".join(part.data for part in parts).count(b"\n") == 2


def test_a_folder_that_is_gone_loses_no_other_log(wp, node, monkeypatch):
    (node / "0.log").unlink()
    (node / "0.log").symlink_to("/nowhere/0.log")
    code, out, err = wp("replay", "--json", "--since", "100000d")

    assert code == 66
    assert err.startswith("wp-sidecar: blog/web-0/wordpress: /")
    assert totals(out)["failures"] == 1


def test_nothing_to_read_is_said(wp, here, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_SOURCE", "cri")
    monkeypatch.setenv("WP_SIDECAR_LOGS", str(here / "pods"))
    code, _, err = wp("replay", "--since", "7d")
    assert (code, "cannot be listed" in err) == (66, True)

    (here / "pods").mkdir()
    code, _, err = wp("replay", "--since", "7d")
    assert (code, err) == (
        66,
        "wp-sidecar: no container is watched; choose one by --container: none runs here\n",
    )


def test_the_files_of_jails_are_read_too_with_those_that_were_rotated(wp, here, monkeypatch):
    monkeypatch.setenv("WP_SIDECAR_SOURCE", "cri")
    monkeypatch.setenv("WP_SIDECAR_LOGS", str(here / "pods"))
    (here / "pods").mkdir()
    (here / "jails.conf").write_text(f"[wordpress]\nmaxretry = 3\nlogpath = {here}/error.log\n")
    (here / "error.log").write_text(f"{DAY}02.000000000Z fail 203.0.113.7\n")
    (here / "error.log.1").write_text(f"{DAY}01.000000000Z fail 203.0.113.7\n" * 2)
    _, out, _ = wp("replay", "--json", "--since", "100000d")

    assert [each["log"] for each in totals(out)["logs"]] == [f"{here}/error.log.1", f"{here}/error.log"]
    assert json.loads(out.splitlines()[0])["ip"] == "203.0.113.7"


def test_containers_whose_logs_docker_keeps_in_files(wp, here, monkeypatch):
    for key, name, driver in (("a", "blog", "json-file"), ("b", "shop", "local")):
        folder = here / "containers" / (key * 64)
        folder.mkdir(parents=True)
        config = {"Name": f"/{name}", "Config": {"Image": "wordpress:6"}}
        (folder / "config.v2.json").write_text(json.dumps(config))
        (folder / "hostconfig.json").write_text(json.dumps({"LogConfig": {"Type": driver}}))
        entry = {"log": "fail 203.0.113.7\n", "stream": "stderr", "time": f"{DAY}04.5Z"}
        (folder / f"{folder.name}-json.log").write_text((json.dumps(entry, separators=(",", ":")) + "\n") * 3)
    monkeypatch.setenv("WP_SIDECAR_SOURCE", "docker-files")
    monkeypatch.setenv("WP_SIDECAR_LOGS", str(here / "containers"))

    code, out, err = wp("replay", "--json", "--since", "100000d")

    # A log that cannot be read hides no other, and is no silence.
    assert code == 66
    assert err.startswith(
        "wp-sidecar: shop: container shop is not watched: its log driver local writes no files"
    )
    assert json.loads(out.splitlines()[0])["ip"] == "203.0.113.7"
    assert totals(out)["failures"] == 3


def test_a_log_begins_and_ends_with_any_of_its_streams(wp, node):
    """What a container wrote to standard error first may come last."""
    for path in node.iterdir():
        path.unlink()
    (node / "0.log").write_text(
        cri(5, "fail 203.0.113.7") + cri(9, "hello") + cri(1, "started", stream="stderr")
    )
    _, out, _ = wp("replay", "--json", "--since", "100000d")

    (log,) = totals(out)["logs"]
    assert log["last"] - log["first"] == 8
