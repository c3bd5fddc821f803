"""The dashboard asks for metrics that exist, in expressions that parse; every panel says what it shows."""

import json
import re
import shutil
import subprocess

import pytest

from tests.support.paths import ROOT

BOARDS = sorted((ROOT / "dashboards").glob("*.json"))
PANELS = [
    pytest.param(panel, id=panel["title"])
    for board in BOARDS
    for panel in json.loads(board.read_text())["panels"]
    if panel["type"] != "row"
]
DOCUMENTED = set(re.findall(r"^\| `(wp_sidecar_\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE))


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_explains_itself(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_for_documented_metrics_of_the_chosen_instances(panel):
    for target in panel["targets"]:
        asked = re.findall(r"(\w+)\{job=~\"\$job\",instance=~\"\$instance\"", target["expr"])
        assert asked
        assert len(asked) == target["expr"].count("{")
        ours = {re.sub(r"_bucket$", "", name) for name in asked if name.startswith("wp_sidecar_")}
        assert ours <= DOCUMENTED


def promtool(*arguments):
    assert shutil.which("promtool"), "this test needs promtool: install prometheus (make setup does)"
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def test_prometheus_understands_every_expression(tmp_path):
    expressions = [target["expr"] for param in PANELS for target in param.values[0]["targets"]]
    rules = [
        {"record": f"panel:{number}", "expr": expression.replace("$__rate_interval", "5m")}
        for number, expression in enumerate(expressions)
    ]
    file = tmp_path / "rules.json"  # JSON is YAML
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    done = promtool("check", "rules", file)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(rules)} rules found" in done.stdout


def test_prometheus_takes_its_configuration():
    assert promtool("check", "config", ROOT / "dashboards/prometheus.yml").returncode == 0


def test_no_rule_fires_for_a_healthy_daemon_and_each_new_one_fires_for_what_it_is_about():
    done = promtool("test", "rules", ROOT / "tests/project/alerts_test.yml")

    assert done.returncode == 0, done.stdout + done.stderr
