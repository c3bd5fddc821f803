"""The rendered pod as `docker run` takes it, and as the sidecar's own configuration reads it."""

import subprocess
from pathlib import Path

import pytest

from sidecar.cli import check_config
from sidecar.config import reader
from tests.charts.__main__ import SETS, name
from tests.charts.helm import CHART, manifests, render
from tests.charts.podspec import Node, docker_run, environ, pod

GIVEN = {  # Secrets that the values name, and an administrator has made
    "slack-secret": {
        "alerts": {"webhook": "https://hooks.slack.example/services/T/B/X"},
        "page": {"word": "for-the-status-page-alone"},
    },
    "redis-secret": {"fleet": {"redis-url": "rediss://:word@redis.example:6380/0", "seal": "k" * 64}},
}


def documents(values):
    given = GIVEN.get(name(values), {})
    secrets = [{"kind": "Secret", "metadata": {"name": each}, "stringData": given[each]} for each in given]
    return [*manifests(render(values)), *secrets]


@pytest.fixture
def node(tmp_path):
    root = tmp_path / "node"
    for folder in ("var/log/pods", "srv/docker/containers"):
        (root / folder).mkdir(parents=True)
    return Node(root, tmp_path / "scratch", {"spec.nodeName": "node-7", "status.hostIP": "2001:db8::7"})


def inside(arguments):
    """Path in the container -> path here, of a `docker run`'s volumes."""
    mounts = [a.removeprefix("--volume=").split(":") for a in arguments if a.startswith("--volume=")]
    return {where: here for here, where, *_ in mounts}


def here(mounts, path):
    """Where a path of the container is."""
    for where, folder in mounts.items():
        if path == where or path.startswith(f"{where}/"):
            return folder + path.removeprefix(where)
    return path


def test_the_pod_as_docker_runs_it(node):
    arguments = docker_run(
        documents(CHART / "ci/jails-values.yaml"), node, image="wp-sidecar:bed", name="guard"
    )

    assert arguments == [
        "--name=guard",
        "--network=host",
        "--stop-timeout=30",
        "--user=0:0",
        "--cap-drop=ALL",
        "--cap-add=NET_ADMIN",
        "--read-only",
        "--security-opt=no-new-privileges",
        "--memory=536870912",
        "--env=WP_SIDECAR_NODE=node-7",
        "--env=WP_SIDECAR_SOURCE=cri",
        "--env=WP_SIDECAR_LOG_LEVEL=INFO",
        "--env=WP_SIDECAR_LOG_FORMAT=text",
        "--env=WP_SIDECAR_LISTEN=[127.0.0.1]:9734",
        "--env=WP_SIDECAR_SOCKET=/var/lib/wp-sidecar/control.sock",
        "--tmpfs=/run:size=16777216",
        f"--volume={node.root}/var/lib/wp-sidecar/guard/shop-wp-sidecar:/var/lib/wp-sidecar",
        f"--volume={node.root}/var/log/pods:/var/log/pods:ro",
        f"--volume={node.scratch}/config:/etc/wp-sidecar:ro",
        "wp-sidecar:bed",
    ]
    assert sorted(str(p.relative_to(node.scratch)) for p in node.scratch.rglob("*.conf")) == [
        "config/filters/second.conf",
        "config/filters/shop.conf",
        "config/jails.conf",
    ]


def test_the_pod_of_helm_test_as_docker_runs_it(node):
    (node.root / "var/lib/wp-sidecar/guard/shop-wp-sidecar").mkdir(parents=True)
    arguments = docker_run(
        documents(CHART / "ci/default-values.yaml"), node, kind="Pod", image="wp-sidecar:bed"
    )

    assert arguments[-8:] == [
        "--env=WP_SIDECAR_SOCKET=/var/lib/wp-sidecar/control.sock",
        "--env=LINE=wordpress(helm-test)[1]: Authentication failure for admin from ADDRESS",
        "--env=PATIENCE=60",
        f"--volume={node.scratch}/test:/test:ro",
        f"--volume={node.root}/var/lib/wp-sidecar/guard/shop-wp-sidecar:/var/lib/wp-sidecar:ro",
        "--entrypoint=python3",
        "wp-sidecar:bed",
        "/test/prove-ban.py",
    ]


def test_a_secret_is_a_file_that_root_alone_reads(node):
    mounts = inside(docker_run(documents(CHART / "ci/redis-own-values.yaml"), node))
    file = Path(here(mounts, "/run/secrets/redis/url"))

    url = "redis://:not-a-secret-in-a-test@shop-wp-sidecar-redis.guard.svc:6379/0"
    assert (file.read_text(), file.stat().st_mode & 0o777) == (url, 0o400)


def test_what_the_node_lacks_keeps_the_pod_from_starting(node):
    (node.root / "var/log/pods").rmdir()

    with pytest.raises(FileNotFoundError, match="no Directory; a kubelet would not start the pod"):
        docker_run(documents(CHART / "ci/default-values.yaml"), node)


def test_what_is_not_understood_is_not_passed_over(node):
    every = documents(CHART / "ci/default-values.yaml")
    pod(every, "DaemonSet")["hostPID"] = True

    with pytest.raises(ValueError, match="hostPID"):
        docker_run(every, node)


def test_a_variable_may_be_made_of_earlier_ones():
    env = [
        {"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},
        {"name": "B", "value": "[$(A)]:$(C)"},
        {"name": "A", "value": "x"},
    ]

    assert environ({"env": env}, {"status.hostIP": "::1"}) == {"A": "x", "B": "[::1]:$(C)"}


@pytest.mark.parametrize("values", SETS, ids=name)
def test_the_sidecar_understands_what_the_chart_tells_it(values, node, monkeypatch):
    every = documents(values)
    if name(values) == "docker":
        monkeypatch.setattr(Path, "is_socket", lambda path: True)
    mounts = inside(docker_run([*every], node))
    (container,) = pod(every, "DaemonSet")["containers"]
    env = {key: here(mounts, text) for key, text in environ(container, node.fields).items()}
    jails = Path(here(mounts, "/etc/wp-sidecar/jails.conf"))
    filters = Path(here(mounts, "/etc/wp-sidecar/filters"))

    settings = reader.read(
        env, jails=jails if jails.exists() else None, filters=filters if filters.exists() else None
    )

    assert settings.errors == ()
    assert settings.jails
    expected = {
        "monitoring": ("2001:db8::7", 9734),
        "podmonitor": ("0.0.0.0", 19734),
        "extras": ("::1", 9734),
    }
    assert settings.listen == expected.get(name(values), ("127.0.0.1", 9734))
    service = "shop-wp-sidecar-metrics"
    assert settings.listen_names[:2] == (
        (service, f"{service}.guard") if name(values) == "monitoring" else ()
    )
    assert settings.sources.kind == {"docker": "docker", "docker-files": "docker-files"}.get(
        name(values), "cri"
    )
    assert settings.sources.kubernetes_api is (name(values) in ("pods", "accounts"))
    assert bool(settings.fleet.redis) is name(values).startswith("redis")
    assert settings.node == "node-7"
    assert bool(settings.alerts.get("slack")) is name(values).startswith("slack")
    assert settings.web_token == ("for-the-status-page-alone" if name(values).startswith("slack") else "")


def test_the_jails_of_the_values_pass_check_config(node, capsys):
    mounts = inside(docker_run(documents(CHART / "ci/jails-values.yaml"), node))
    folder = Path(mounts["/etc/wp-sidecar"])

    assert check_config.check({}, folder / "jails.conf", folder / "filters", as_json=False) == 0
    assert "jail shop: filter shop, 1 expressions" in capsys.readouterr().out


def test_the_hook_refuses_what_is_wrong_before_any_node_gets_it(node):
    """The job's own command, on the files that it mounts."""
    broken = manifests(render(CHART / "ci/jails-values.yaml", "--set=jails=[wordpress]\nbantme = 1d\n"))
    mounts = inside(docker_run(broken, node, kind="Job"))
    (container,) = pod(broken, "Job")["containers"]
    command = str(Path(__file__).parents[2] / ".venv/bin/wp-sidecar")
    folder = mounts["/etc/wp-sidecar"]
    options = [f"--jails={folder}/jails.conf", f"--filters={folder}/filters"]
    done = subprocess.run(
        [command, *container["args"], *options], capture_output=True, text=True, check=False,
        env=environ(container, node.fields),
    )  # fmt: skip

    assert done.returncode == 78
    assert "bantme: unknown. Did you mean bantime?" in done.stderr
