"""Which containers a scan finds. How they are chosen and read is in test_container_logs.py."""

import json
import shutil

import pytest

from sidecar.core.containers import Container, LabelTrust, is_enabled
from sidecar.sources.files.cluster import Cluster, ClusterView, Pod
from sidecar.sources.files.layouts import ContainerLog, DockerLayout, KubeletLayout, _subfolders


def seen(pods, *networks):
    """The view of a cluster with these pods and networks."""
    view = ClusterView()
    view.update(Cluster(pods, networks))
    return view


def test_a_scan_finds_the_containers_of_pods_by_their_folders(tmp_path):
    for folder in ("blog_web-0_1/web", "blog_web-0_1/sidecar", "blog_web-1_2", "Other_x_3/web", "a_b/web"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "blog_web-0_1" / "a-file").touch()
    pods = KubeletLayout(tmp_path)

    assert list(pods.scan().logs) == [
        ContainerLog(Container(f"1/{name}", f"blog/web-0/{name}", ""), f"{tmp_path}/blog_web-0_1/{name}")
        for name in ("sidecar", "web")
    ]
    assert pods.scan().folders == (str(tmp_path), f"{tmp_path}/blog_web-0_1", f"{tmp_path}/blog_web-1_2")


def test_a_scan_uses_what_the_api_says_about_pods(tmp_path):
    (tmp_path / "blog_web-0_1" / "web").mkdir(parents=True)
    told = Pod({"wp-sidecar/jails": "one", "app": "blog"}, {"web": "wordpress:6"}, {"web": frozenset({80})})
    pods = KubeletLayout(tmp_path, cluster=seen({"1": told}, "192.0.2.1/32"))
    (found,) = pods.scan().logs

    labels = {"wp-sidecar.jails": "one", "app": "blog"}
    assert found.container == Container("1/web", "blog/web-0/web", "wordpress:6", labels, frozenset({80}))
    assert pods.scan().networks == ("192.0.2.1/32",)


def test_a_pod_that_is_removed_during_a_scan_has_no_containers(tmp_path):
    assert _subfolders(str(tmp_path / "blog_web-0_1")) == []


def test_a_containers_description_is_read_again_when_it_changes(tmp_path):
    folder = tmp_path / ("a" * 64)
    folder.mkdir()
    path = folder / "config.v2.json"
    path.write_text('{"Name":"/blog","Config":{"Image":"wordpress"}}')
    docker = DockerLayout(tmp_path)
    first = docker.scan().logs
    path.write_text("{")  # being written
    broken = docker.scan().logs
    path.write_text(json.dumps({"Name": "/shop", "Config": {"Image": "wordpress", "Labels": {"a": "b"}}}))
    second = docker.scan().logs

    assert [each.container.name for each in first] == ["blog"]
    assert broken == ()
    assert second == (ContainerLog(Container("a" * 64, "shop", "wordpress", {"a": "b"}), str(folder)),)


def test_networks_of_containers_have_both_ip_versions(tmp_path):
    folder = tmp_path / ("a" * 64)
    folder.mkdir()
    pool = {
        "Gateway": "172.18.0.1", "IPAddress": "172.18.0.2", "IPPrefixLen": 16,
        "IPv6Gateway": "2001:db8:1::1", "GlobalIPv6Address": "2001:db8:1::2", "GlobalIPv6PrefixLen": 64,
    }  # fmt: skip
    (folder / "config.v2.json").write_text(json.dumps({"NetworkSettings": {"Networks": {"blog": pool}}}))
    docker = DockerLayout(tmp_path)
    (found,) = docker.scan().logs

    assert docker.scan().networks == (
        "172.18.0.0/16",
        "172.18.0.1/32",
        "2001:db8:1::/64",
        "2001:db8:1::1/128",
    )
    assert found.container.gateways == ("172.18.0.1", "2001:db8:1::1")


def test_our_own_container_is_not_found(tmp_path):
    folder = tmp_path / ("a" * 64)
    folder.mkdir()
    (folder / "config.v2.json").write_text('{"Name":"/wp-sidecar"}')

    assert DockerLayout(tmp_path, "a" * 64).scan().logs == ()


def test_the_problem_of_a_missing_folder_says_what_to_mount(tmp_path):
    gone = FileNotFoundError(2, "No such file or directory")

    assert "Mount the node's /var/log/pods there" in KubeletLayout(tmp_path).explain(gone)
    assert "Mount the host's /var/lib/docker/containers" in DockerLayout(tmp_path).explain(gone)


@pytest.mark.parametrize("word", ["false", "False", " no", "off", "0"])
def test_a_pod_that_no_glob_matches_can_exclude_itself(tmp_path, word):
    (tmp_path / "shop_web-0_1" / "web").mkdir(parents=True)
    told = Pod({"wp-sidecar/enable": word, "wp-sidecar/jails": "one"})
    pods = KubeletLayout(tmp_path, ["blog/*/*"], cluster=seen({"1": told}))
    (found,) = pods.scan().logs

    assert found.container.labels == {"wp-sidecar.enable": word}
    assert is_enabled(found.container) is False


@pytest.mark.parametrize("word", ["true", "yes", "on", "1", "nonsense"])
def test_a_pod_that_no_glob_matches_cannot_include_itself(tmp_path, word):
    (tmp_path / "shop_web-0_1" / "web").mkdir(parents=True)
    told = Pod({"wp-sidecar/enable": word, "wp-sidecar/jails": "one"})
    pods = KubeletLayout(tmp_path, ["blog/*/*"], cluster=seen({"1": told}))

    assert [each.container.labels for each in pods.scan().logs] == [{}]


def test_a_file_with_the_name_of_a_pod_does_not_hide_others(tmp_path):
    (tmp_path / "blog_web-0_1").touch()
    (tmp_path / "blog_web-1_2" / "web").mkdir(parents=True)

    assert [each.container.name for each in KubeletLayout(tmp_path).scan().logs] == ["blog/web-1/web"]


def test_a_pods_folder_that_cannot_be_listed_keeps_its_containers(tmp_path):
    """A link to itself stands for a bad disk: it cannot be opened, but it is not missing."""
    (tmp_path / "blog_web-0_1" / "web").mkdir(parents=True)
    (tmp_path / "blog_web-1_2" / "web").mkdir(parents=True)
    pods = KubeletLayout(tmp_path)
    before = pods.scan().logs
    shutil.rmtree(tmp_path / "blog_web-0_1")
    (tmp_path / "blog_web-0_1").symlink_to(tmp_path / "blog_web-0_1")

    assert pods.scan().logs == before


def test_a_description_that_cannot_be_read_does_not_hide_other_containers(tmp_path, caplog):
    good, bad = (tmp_path / (letter * 64) for letter in "ab")
    for folder in (good, bad):
        folder.mkdir()
    (good / "config.v2.json").write_text('{"Name":"/blog"}')
    (bad / "config.v2.json").symlink_to("/proc/self/mem")
    docker = DockerLayout(tmp_path)

    assert [[each.container.name for each in docker.scan().logs] for _ in range(2)] == [["blog"], ["blog"]]
    assert caplog.messages == [f"{bad}/config.v2.json cannot be read (Input/output error)"]


def described(root, key, name, image, **config):
    """Write what Docker stores about a container."""
    folder = root / (key * 64)
    folder.mkdir()
    host_config = {"NetworkMode": config.pop("mode", "lan")}
    about = {"Name": f"/{name}", "Config": {"Image": image}, **config}
    (folder / "config.v2.json").write_text(json.dumps(about))
    (folder / "hostconfig.json").write_text(json.dumps(host_config))


def test_what_tells_front_ends_and_joined_networks(tmp_path):
    ports = {"80/tcp": [{"HostIp": "::", "HostPort": "8080"}], "443/tcp": None, "9/tcp": [{"HostPort": ""}]}
    lan = {"lan": {"NetworkID": "f1", "Gateway": "172.18.0.1"}}
    described(tmp_path, "a", "nginx", "nginx", NetworkSettings={"Networks": lan, "Ports": ports})
    described(tmp_path, "b", "blog", "wordpress", mode=f"container:{'a' * 64}", State={"Running": False})
    described(tmp_path, "c", "node", "exporter", mode="host")
    docker = DockerLayout(tmp_path)
    nginx, blog, node = (each.container for each in docker.scan().logs)

    assert nginx == Container(
        "a" * 64, "nginx", "nginx", {}, frozenset({8080}), ("172.18.0.1",), ipv6_proxied=True,
        target_ports=frozenset({80}), networks=frozenset({"f1"}), listening=frozenset({80, 443, 9}),
    )  # fmt: skip
    assert blog.joined == "a" * 64
    assert node.is_on_host
    assert [each.runs for each in docker.scan().logs] == [True, False, True]
    assert docker.discovered([nginx, blog], LabelTrust.ALL) is None


def test_labels_are_told_from_those_of_an_image_whose_description_is_there(tmp_path):
    """Docker keeps it beside the folders of containers, unless containerd has the images."""
    images, root = tmp_path / "image/overlay2/imagedb/content/sha256", tmp_path / "containers"
    images.mkdir(parents=True)
    (images / ("1" * 64)).write_text('{"config": {"Labels": {"wp-sidecar.mode": "observe"}}}')
    (images / ("2" * 64)).write_text('{"config": null}')
    labels = {"wp-sidecar.mode": "observe", "wp-sidecar.maxretry": "9"}
    for key, image in (
        ("a", "sha256:" + "1" * 64),
        ("b", "sha256:" + "2" * 64),
        ("c", "sha256:" + "3" * 64),
        ("d", "../x"),
    ):
        folder = root / (key * 64)
        folder.mkdir(parents=True)
        config = {
            "Name": key,
            "Image": image,
            "Driver": "overlay2",
            "Config": {"Image": f"img-{key}", "Labels": labels},
        }
        (folder / "config.v2.json").write_text(json.dumps(config))

    scans = DockerLayout(root).scan(), DockerLayout(root, trusted_images=["img-c"]).scan()
    found, trusted = ({each.container.name: each.container for each in scan.logs} for scan in scans)

    assert [found[name].image_labels for name in "abcd"] == [
        {"wp-sidecar.mode"}, frozenset(), labels.keys(), labels.keys()
    ]  # fmt: skip
    assert [found[name].image_error for name in "abcd"] == ["", "", *[f"it is not in {images}"] * 2]
    assert trusted["c"].image_labels == frozenset()
