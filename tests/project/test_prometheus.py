"""The monitoring profile's Prometheus: its start script gives each rule a runbook that a reader can open."""

import os
import subprocess

import pytest
import yaml

from tests.support.paths import ROOT

SCRIPT = ROOT / "dashboards/prometheus.sh"
RULES = (ROOT / "dashboards/alerts.yml").read_text()


def written(folder, **environ):
    """Run the script with a program that does nothing; return what it was started with, and the rules."""
    environ |= {
        "PATH": os.environ["PATH"],
        "PROMETHEUS": "echo",
        "PROMETHEUS_FROM": str(ROOT / "dashboards"),
        "PROMETHEUS_TO": str(folder),
    }
    said = subprocess.run(["sh", SCRIPT, "--x"], env=environ, check=True, capture_output=True, text=True)
    subprocess.run(["promtool", "check", "config", folder / "prometheus.yml"], check=True)
    return said.stdout.split(), yaml.safe_load((folder / "alerts.yml").read_text())


@pytest.mark.parametrize(
    "page",
    ["https://docs.example.org/troubleshooting.html", "http://forge.example/a?file=b&at=1|2\\3"],
)
def test_runbooks_are_at_the_address_that_the_variable_says(tmp_path, page):
    _, rules = written(tmp_path, WP_SIDECAR_RUNBOOK_URL=page)

    assert rules == yaml.safe_load(RULES.replace("docs/troubleshooting.md", page))


@pytest.mark.parametrize("environ", [{}, {"WP_SIDECAR_RUNBOOK_URL": ""}])
def test_without_an_address_they_are_paths_in_the_repository(tmp_path, environ):
    arguments, rules = written(tmp_path, **environ)

    assert rules == yaml.safe_load(RULES)
    assert arguments == [
        f"--config.file={tmp_path}/prometheus.yml", "--web.listen-address=127.0.0.1:9090", "--x",
    ]  # fmt: skip


def test_compose_starts_it_by_the_script():
    service = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["prometheus"]
    mounts = {inside: here for here, inside, _ in (mount.split(":") for mount in service["volumes"][:-1])}

    assert mounts[service["entrypoint"][-1]] == "./dashboards/prometheus.sh"
    # Where the script looks for them.
    assert mounts["/etc/prometheus/prometheus.yml"] == "./dashboards/prometheus.yml"
    assert mounts["/etc/prometheus/alerts.yml"] == "./dashboards/alerts.yml"
    assert set(service["environment"]) == {"WP_SIDECAR_RUNBOOK_URL"}
