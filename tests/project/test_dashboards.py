"""The dashboards are what their module says, ask for metrics that exist, and explain themselves; the rules are silent in health.

tests/stories/test_dashboards.py has Prometheus answer every query about a real daemon.
"""

import json
import re
import shutil
import subprocess

import pytest
import yaml
from prometheus_client import CollectorRegistry

from dashboards.__main__ import FOLDER, texts
from dashboards.panels import TAG, WELL, counted
from sidecar.telemetry.metrics import KnownLabels, Metrics
from sidecar.telemetry.metrics.declare import Declaration
from tests.support.paths import ROOT

BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))}
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
ROWS = re.findall(r"^\| `(wp_sidecar_\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
DOCUMENTED = {name for name, _ in ROWS}


def test_the_files_are_current():
    assert texts() == {path.name: path.read_text() for path in FOLDER.iterdir()}, "run python -m dashboards"


def test_there_are_four_and_each_leads_to_the_others():
    assert [board["uid"] for board in BOARDS.values()] == [
        "wp-sidecar-daemon",
        "wp-sidecar-fleet",
        "wp-sidecar",
        "wp-sidecar-site",
    ]
    for board in BOARDS.values():
        assert TAG in board["tags"]
        assert [link["tags"] for link in board["links"]] == [[TAG]]
    uids = {board["uid"] for board in BOARDS.values()}
    assert set(re.findall(r"/d/([\w-]+)", json.dumps(BOARDS))) <= uids


def test_every_metric_of_ours_is_on_a_board_or_is_named_here():
    """So that a new metric is shown to people, too."""
    shown = set(re.findall(r"wp_sidecar_\w+", json.dumps(BOARDS)))
    shown = {re.sub(r"_bucket$", "", name) for name in shown}

    assert DOCUMENTED - shown == {"wp_sidecar_dropped_bytes_total"}
    assert shown <= DOCUMENTED


def test_grafana_of_the_monitoring_profile_finds_them_and_begins_with_the_overview():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    mounts = dict(mount.split(":")[:2] for mount in services["grafana"]["volumes"])
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    provider = yaml.safe_load((ROOT / "dashboards/provisioning/dashboards/wp-sidecar.yaml").read_text())[
        "providers"
    ][0]

    assert mounts["./dashboards/boards"] == provider["options"]["path"]
    assert home == f"{provider['options']['path']}/wp-sidecar-overview.json"


def test_panels_do_not_lie_on_each_other():
    for board in BOARDS.values():
        cells = [
            (x, y)
            for panel in board["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) == 23


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_explains_itself(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
    # A filter for what should not be, and the sentence about it, come together.
    filtered = all(re.search(r" (> 0|== 1)$", target["expr"]) for target in panel["targets"])
    assert filtered == panel["description"].endswith(WELL)


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_asks_for_documented_metrics_of_the_chosen_hosts(panel):
    for target in panel["targets"]:
        asked = re.findall(r"(\w+)\{job=~\"\$job\",instance=~\"\$instance\"", target["expr"])
        assert asked
        assert len(asked) == target["expr"].count("{")
        ours = {re.sub(r"_bucket$", "", name) for name in asked if name.startswith("wp_sidecar_")}
        assert ours <= DOCUMENTED


def promtool(*arguments):
    assert shutil.which("promtool"), "this test needs promtool: install prometheus (make setup does)"
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, check=False)


def rules_test(folder, **test):
    """Run one test of promtool with our rules."""
    file = folder / "test.json"  # JSON is YAML
    rules = [str(ROOT / "dashboards/alerts.yml")]
    file.write_text(json.dumps({"rule_files": rules, "evaluation_interval": "1m", "tests": [test]}))
    return promtool("test", "rules", file)


def test_prometheus_takes_its_configuration():
    done = promtool("check", "config", ROOT / "dashboards/prometheus.yml")

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_rule_fires_for_a_healthy_daemon_and_each_new_one_fires_for_what_it_is_about():
    done = promtool("test", "rules", ROOT / "tests/project/alerts_test.yml")

    assert done.returncode == 0, done.stdout + done.stderr


# What a healthy daemon's gauges are, where they are not 0.
HEALTHY = (
    "ready",
    "log_up",
    "firewall_enforcement_ratio",
    "config_last_reload_successful",
    "fleet_connected",
    "fleet_peers",
    "build_info",
)
# What never counts in health.
QUIET = re.compile(
    r"error|rejected|gaps|truncated|lost_lines|dropped_total|bypassed|repairs|unresolved|refused|reopens"
)


def day_of_a_healthy_daemon():
    """Every series of a daemon with a site, over a day with attacks, idle reconnects and a restart: name -> values."""
    registry = CollectorRegistry()
    jails = ("wordpress", "manual")
    metrics = Metrics.declared(Declaration(registry), "1", KnownLabels(jails=jails), fleet=True)
    metrics.sources.log_opened("blog")
    metrics.sites.failed("blog", "wordpress", 1)
    metrics.sources.log_reopened("blog", "idle")
    metrics.allowlist.failed("blog", "ignoreip", 1)
    for family in registry.collect():
        for sample in family.samples:
            if not sample.name.startswith("wp_sidecar_"):
                continue
            labels = {"job": "wp-sidecar", "instance": "a", **sample.labels}
            name = (
                f"{sample.name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in labels.items())}}}"
            )
            told = sample.name + "".join(sample.labels.values())
            if family.type in ("counter", "histogram"):
                # An hour of attacks a minute each, then a restart: all begins again at 0.
                growth = 0 if QUIET.search(told) and "idle" not in told else 1
                yield name, f"0+{growth}x700 0+{growth}x740"
            else:
                yield name, f"{int(sample.name.removeprefix('wp_sidecar_') in HEALTHY)}x1441"
    yield 'up{job="wp-sidecar",instance="a"}', "1x1441"


def test_no_rule_fires_in_a_day_of_a_healthy_daemon(tmp_path):
    series = [{"series": name, "values": values} for name, values in day_of_a_healthy_daemon()]
    silent = [{"expr": "ALERTS", "eval_time": f"{hour}h", "exp_samples": []} for hour in range(1, 25)]
    done = rules_test(tmp_path, interval="1m", input_series=series, promql_expr_test=silent)

    assert len(series) > 150
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("values", "grew"),
    [
        # `increase()` says 5.25 of the first, and 3 of one that begins at 2.
        ("_x1420 0 5x19", 5),
        ("_x1420 2 5x19", 3),
        ("0x1400 5x40", 5),
        # A restart: the counter begins again. What it had grown to is not forgotten.
        ("0x700 7x300 0x100 4x340", 11),
        # Nobody was asked for some hours.
        ("0x700 7x300 _x300 9x140", 9),
        ("3x1440", 0),
    ],
)
def test_what_a_counter_grew_by_is_a_whole_number_and_right(values, grew, tmp_path):
    question = {
        "expr": counted("x_total", "24h"),
        "eval_time": "1440m",
        "exp_samples": [{"labels": "{}", "value": grew}],
    }
    done = rules_test(
        tmp_path,
        interval="1m",
        input_series=[{"series": "x_total", "values": values}],
        promql_expr_test=[question],
    )

    assert done.returncode == 0, done.stdout + done.stderr
