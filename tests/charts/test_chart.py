"""What the chart renders: golden files to look at in diffs, and facts that hold of every set of values."""

import json
import subprocess
import tarfile
from functools import cache
from itertools import combinations

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions
from packaging.version import Version

from sidecar import __version__
from tests.charts.__main__ import GOLDEN, HOUSE, SETS, golden, name
from tests.charts.helm import CHART, PACKAGES, helm, manifests, render

MAJORS = sorted(PACKAGES)
VERSIONS = sorted(set(all_versions()), key=Version)
OURS = (
    "monitoring.coreos.com/v1"  # the Prometheus operator's: kubernetes-validate knows Kubernetes' own alone
)
NEVER_TWICE = (
    "ConfigMap",
    "Secret",
    "Service",
)  # and the others; Kubernetes has one name a kind and namespace


@cache
def rendered(values, major=4, release="shop"):
    return manifests(render(values, major=major, release=release))


@cache
def everything():
    """Each manifest of each set, once."""
    found = {
        json.dumps(each, sort_keys=True): (name(values), each) for values in SETS for each in rendered(values)
    }
    return list(found.values())


def pods(documents):
    """Kind, and the pod (metadata and spec), of all that makes pods."""
    for each in documents:
        if each["kind"] == "Pod":
            yield each["kind"], each
        elif "template" in each.get("spec", {}):
            yield each["kind"], each["spec"]["template"]


def one(documents, kind, suffix=""):
    (found,) = (e for e in documents if e["kind"] == kind and e["metadata"]["name"].endswith(suffix))
    return found


def test_there_are_sets_enough():
    assert len(SETS) >= 12


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("values", SETS, ids=name)
def test_helm_has_nothing_to_say_against_it(values, major):
    said = helm(major, "lint", "--strict", CHART, f"--values={values}")

    assert "0 chart(s) failed" in said
    assert "[ERROR]" not in said
    assert "[WARNING]" not in said


@pytest.mark.parametrize("values", SETS, ids=name)
def test_it_renders_as_was_looked_at(values):
    """`make chart` writes the golden files anew; look at them in `git diff`."""
    assert golden(values) == (GOLDEN / f"{name(values)}.yaml").read_text()


@pytest.mark.parametrize("values", SETS, ids=name)
def test_no_variable_is_there_twice(values):
    """helm 4 applies on the server's side, which refuses that; extraEnv's takes the place of ours."""
    for _, pod in pods(rendered(values)):
        for container in pod["spec"]["containers"]:
            names = [variable["name"] for variable in container.get("env", [])]
            assert sorted(names) == sorted(set(names))


def test_no_golden_file_is_left_of_a_set_that_is_gone():
    assert {path.stem for path in GOLDEN.iterdir()} == {name(values) for values in SETS}


@pytest.mark.parametrize("values", SETS, ids=name)
def test_both_helms_render_the_same(values):
    assert manifests(golden(values, major=3)) == manifests(golden(values, major=4))


@pytest.mark.parametrize("version", [*VERSIONS[:3], *VERSIONS[-3:]])
def test_kubernetes_takes_every_manifest(version):
    for values, manifest in everything():
        if manifest["apiVersion"] != OURS:
            try:
                kubernetes_validate.validate(manifest, version, strict=True)
            except kubernetes_validate.ValidationError as err:
                where = "/".join(map(str, err.path))
                pytest.fail(f"{values}: {manifest['kind']} at {where}: {err.message}")


def test_the_oldest_kubernetes_that_is_claimed_is_the_oldest_that_is_validated():
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={VERSIONS[0]}-0"


def test_alerts_and_dashboards_are_the_ones_of_the_house():
    """A chart takes no file from outside of its folder, and follows links."""
    wanted = [HOUSE / "dashboards/alerts.yml", *(HOUSE / "dashboards/boards").glob("*.json")]

    links = {path.resolve() for path in (CHART / "files").iterdir() if path.is_symlink()}
    assert links == set(wanted)


def test_the_chart_is_of_this_version_of_the_sidecar():
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


@pytest.mark.parametrize("major", MAJORS)
def test_a_package_has_what_rendering_needs_and_no_more(major, tmp_path):
    helm(major, "package", CHART, f"--destination={tmp_path}")
    (package,) = tmp_path.iterdir()
    with tarfile.open(package) as archive:
        names = {name.removeprefix("wp-sidecar/") for name in archive.getnames()}

    assert {name for name in names if not name.startswith("templates/")} == {
        "Chart.yaml",
        "README.md",
        "values.yaml",
        "values.schema.json",
        ".helmignore",
        *(f"files/{path.name}" for path in (CHART / "files").iterdir()),
    }
    assert manifests(render(chart=package, major=major)) == manifests(render(major=major))


# What every set has in common


@pytest.mark.parametrize("values", SETS, ids=name)
def test_selectors_find_their_own_pods_and_no_others(values):
    documents = rendered(values)
    labelled = [(kind, pod["metadata"]["labels"]) for kind, pod in pods(documents)]

    def found(labels):
        return [kind for kind, each in labelled if labels.items() <= each.items()]

    for each in documents:
        if each["kind"] in ("DaemonSet", "StatefulSet"):
            assert found(each["spec"]["selector"]["matchLabels"]) == [each["kind"]]
        elif each["kind"] == "Service":
            assert len(found(each["spec"]["selector"])) == 1
        elif each["kind"] == "NetworkPolicy":
            assert found(each["spec"]["podSelector"]["matchLabels"]) == ["StatefulSet"]
        elif each["kind"] == "PodDisruptionBudget":
            assert found(each["spec"]["selector"]["matchLabels"]) == ["StatefulSet"]
        elif each["kind"] == "PodMonitor":
            assert found(each["spec"]["selector"]["matchLabels"]) == ["DaemonSet"]


@pytest.mark.parametrize("values", SETS, ids=name)
def test_every_manifest_is_labelled_and_of_the_release_s_namespace(values):
    apart = ("ClusterRole", "ClusterRoleBinding", "ServiceMonitor", "PodMonitor", "PrometheusRule")
    for each in rendered(values):
        labels = each["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == "shop"
        assert labels["app.kubernetes.io/part-of"] == "wp-sidecar"
        assert labels["app.kubernetes.io/component"]
        if each["kind"] not in apart and "grafana_dashboard" not in labels:
            assert each["metadata"]["namespace"] == "guard"


@pytest.mark.parametrize("values", [s for s in SETS if name(s) != "extras"], ids=name)
def test_two_releases_in_one_namespace_share_no_name_folder_or_label(values):
    def names(release):
        return {
            (e["kind"], e["metadata"].get("namespace"), e["metadata"]["name"])
            for e in rendered(values, release=release)
        }

    def selectors(release):
        return [
            pod["metadata"]["labels"]["app.kubernetes.io/instance"]
            for _, pod in pods(rendered(values, release=release))
        ]

    def folders(release):
        daemons = one(rendered(values, release=release), "DaemonSet")
        volumes = daemons["spec"]["template"]["spec"]["volumes"]
        return {
            v["hostPath"]["path"] for v in volumes if v.get("hostPath", {}).get("type") == "DirectoryOrCreate"
        }

    releases = ("shop", "blog", "wp-sidecar")
    for first, second in combinations(releases, 2):
        assert not names(first) & names(second)
        assert not set(selectors(first)) & set(selectors(second))
        assert not folders(first) & folders(second)


def test_releases_of_one_name_in_two_namespaces_share_nothing_that_is_the_cluster_s():
    values = CHART / "ci/pods-values.yaml"
    monitoring = CHART / "ci/monitoring-values.yaml"

    def names(namespace):
        every = manifests(render(values, f"--values={monitoring}", namespace=namespace))
        return {(e["kind"], e["metadata"].get("namespace"), e["metadata"]["name"]) for e in every}

    assert not names("one") & names("two")


@pytest.mark.parametrize("values", SETS, ids=name)
def test_no_pod_has_more_than_it_needs(values):
    """A token, a service's variables, a privilege, a writable root: each only where it is said here."""
    for kind, each in pods(rendered(values)):
        spec = each["spec"]
        (container,) = spec["containers"]
        context = {**spec["securityContext"], **container["securityContext"]}
        ours = kind in ("DaemonSet", "Pod")

        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is (
            kind == "DaemonSet" and name(values) in ("pods", "accounts")
        )
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["capabilities"] == {"drop": ["ALL"], **({"add": ["NET_ADMIN"]} if ours else {})}
        assert (context["runAsUser"] == 0) is ours
        assert spec.get("hostNetwork", False) is ours
        assert "memory" in container["resources"]["limits"]
        writable = {v["name"] for v in container["volumeMounts"] if not v.get("readOnly")}
        assert writable <= {"run", "state", "data", "docker", "syslog"}


def test_an_init_container_restores_with_the_rights_and_the_state_of_the_sidecar():
    (extras,) = (values for values in SETS if name(values) == "extras")
    spec = one(rendered(extras), "DaemonSet")["spec"]["template"]["spec"]
    (restore,), (sidecar,) = spec["initContainers"], spec["containers"]

    assert restore["args"] == ["restore"]
    assert (restore["image"], restore["securityContext"]) == (sidecar["image"], sidecar["securityContext"])
    assert [mount for mount in sidecar["volumeMounts"] if mount["name"] == "state"] == restore["volumeMounts"]


def test_the_sidecar_is_on_the_node_s_network_and_still_finds_services_by_name():
    spec = one(rendered(CHART / "ci/default-values.yaml"), "DaemonSet")["spec"]["template"]["spec"]

    assert (spec["hostNetwork"], spec["dnsPolicy"]) == (True, "ClusterFirstWithHostNet")
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert {v["name"]: v for v in spec["volumes"]} == {
        "run": {"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        "state": {
            "name": "state",
            "hostPath": {"path": "/var/lib/wp-sidecar/guard/shop-wp-sidecar", "type": "DirectoryOrCreate"},
        },
        "pods": {"name": "pods", "hostPath": {"path": "/var/log/pods", "type": "Directory"}},
    }


@pytest.mark.parametrize(
    ("values", "mounts"),
    [
        ("default", {"/var/log/pods": True}),
        ("docker-files", {"/var/lib/docker/containers": True}),
        ("docker", {"/var/run/docker.sock": None}),
    ],
)
def test_each_source_gets_what_it_reads_and_nothing_else_of_the_node(values, mounts):
    (container,) = one(rendered(CHART / f"ci/{values}-values.yaml"), "DaemonSet")["spec"]["template"]["spec"][
        "containers"
    ]
    found = {m["mountPath"]: m.get("readOnly") for m in container["volumeMounts"]}

    assert found == {"/run": None, "/var/lib/wp-sidecar": None, **mounts}


def test_new_jails_make_new_pods_and_nothing_else_does():
    def checksum(*arguments):
        daemons = one(manifests(render(CHART / "ci/jails-values.yaml", *arguments)), "DaemonSet")
        return daemons["spec"]["template"]["metadata"]["annotations"]["checksum/config"]

    assert checksum() == checksum("--set=test.patience=7")
    assert checksum() != checksum("--set=jails=[wordpress]")


@pytest.mark.parametrize(
    ("values", "host"),
    [("default", "127.0.0.1"), ("monitoring", None), ("podmonitor", None), ("extras", "::1")],
)
def test_probes_ask_where_the_metrics_are(values, host):
    (container,) = one(rendered(CHART / f"ci/{values}-values.yaml"), "DaemonSet")["spec"]["template"]["spec"][
        "containers"
    ]
    probes = {
        probe: container[probe]["httpGet"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }

    assert {probe: asked["path"] for probe, asked in probes.items()} == {
        "startupProbe": "/healthz",
        "livenessProbe": "/healthz",
        "readinessProbe": "/readyz",
    }
    assert {asked.get("host") for asked in probes.values()} == {host}


def test_prometheus_takes_the_rules(tmp_path):
    rule = one(rendered(CHART / "ci/monitoring-values.yaml"), "PrometheusRule")
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump(rule["spec"]))
    done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
    ours = (HOUSE / "dashboards/alerts.yml").read_text()
    page = "https://docs.example.org/troubleshooting.html"
    assert rule["spec"] == yaml.safe_load(ours.replace("docs/troubleshooting.md", page))
    assert all(
        each["annotations"]["runbook_url"].startswith(f"{page}#")
        for each in rule["spec"]["groups"][0]["rules"]
    )


def test_without_an_address_runbooks_are_paths_in_the_repository():
    rule = one(manifests(render(None, "--set=prometheusRule.enabled=true")), "PrometheusRule")

    assert rule["spec"] == yaml.safe_load((HOUSE / "dashboards/alerts.yml").read_text())


def test_another_token_of_the_status_page_makes_new_pods():
    def daemons(token):
        return one(manifests(render(None, f"--set=web.token={token}")), "DaemonSet")

    first, second = daemons("a" * 16), daemons("b" * 16)
    assert first["spec"]["template"]["metadata"] != second["spec"]["template"]["metadata"]
    # The token itself is in the Secret alone.
    assert "a" * 16 not in json.dumps(first)


def test_grafana_gets_the_dashboards():
    board = one(rendered(CHART / "ci/monitoring-values.yaml"), "ConfigMap", "-dashboards")
    source = HOUSE / "dashboards/boards"

    assert board["metadata"]["namespace"] == "monitoring"
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {file: json.loads(text) for file, text in board["data"].items()} == {
        path.name: json.loads(path.read_text()) for path in source.glob("*.json")
    }


@pytest.mark.parametrize(
    ("values", "kind", "where"),
    [("monitoring", "ServiceMonitor", "endpoints"), ("podmonitor", "PodMonitor", "podMetricsEndpoints")],
)
def test_a_monitor_asks_the_port_that_there_is_under_the_job_s_name_that_alerts_ask_for(values, kind, where):
    documents = rendered(CHART / f"ci/{values}-values.yaml")
    monitor = one(documents, kind)["spec"]
    (asked,) = monitor[where]
    (port,) = one(documents, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["ports"]

    assert asked["port"] == port["name"]
    assert port["containerPort"] == port["hostPort"]
    assert monitor["namespaceSelector"] == {"matchNames": ["guard"]}
    target = (
        one(documents, "Service")["metadata"]
        if kind == "ServiceMonitor"
        else one(documents, "DaemonSet")["spec"]["template"]["metadata"]
    )
    assert monitor["selector"]["matchLabels"].items() <= target["labels"].items()
    assert target["labels"][monitor["jobLabel"]] == "wp-sidecar"
    if kind == "ServiceMonitor":
        (serves,) = one(documents, "Service")["spec"]["ports"]
        assert asked["port"] == serves["name"]


def test_the_network_policy_lets_the_nodes_in():
    overrides = one(rendered(CHART / "ci/redis-own-values.yaml"), "NetworkPolicy")["spec"]

    assert [block["ipBlock"]["cidr"] for block in overrides["ingress"][0]["from"]] == [
        "198.51.100.0/24",
        "203.0.113.5/32",
        "2001:db8:1::/64",
        "2001:db8:2::5/128",
    ]


def test_a_hook_brings_along_all_that_its_pod_mounts():
    """Before an install, nothing of the release is there."""
    documents = rendered(CHART / "ci/jails-values.yaml")
    job = one(documents, "Job")
    mounted = {v["configMap"]["name"] for v in job["spec"]["template"]["spec"]["volumes"]}
    (brought,) = (e for e in documents if e["kind"] == "ConfigMap" and e["metadata"]["name"] in mounted)

    hooks = [each["metadata"]["annotations"] for each in (brought, job)]
    assert [hook["helm.sh/hook"] for hook in hooks] == ["pre-install,pre-upgrade"] * 2
    assert hooks[0]["helm.sh/hook-weight"] < hooks[1]["helm.sh/hook-weight"]
    assert brought["data"] == one(documents, "ConfigMap", "shop-wp-sidecar")["data"]


# What helm prints


def notes(*arguments):
    said = helm(4, "install", "shop", CHART, "--namespace=guard", "--dry-run=client", *arguments)
    return said.partition("NOTES:\n")[2]


def test_the_notes_say_what_to_do_next_and_what_makes_bans_useless():
    said = notes()

    for sentence in (
        "rollout status daemonset/shop-wp-sidecar",
        "pod-security.kubernetes.io/enforce=privileged",
        "helm test shop -n guard",
        "externalTrafficPolicy",
        "bpf.hostLegacyRouting=true",
        'stay Pending for want of the\nport, or end with "another wp-sidecar is running on this host"',
        "No Redis",
        "/var/lib/wp-sidecar/guard/shop-wp-sidecar",
    ):
        assert sentence in said


def test_the_notes_say_nothing_of_what_was_done():
    said = notes(
        "--set=redis.existingSecret=a,slack.existingSecret=b,priorityClassName=system-node-critical,pods={blog/*/*}",
    )

    assert "NOTE" not in said


def test_the_notes_tell_what_is_open():
    assert "root on the node" in notes("--set=source=docker")
    assert "without a password" in notes("--set=podMonitor.enabled=true")
