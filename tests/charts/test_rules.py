"""The alerts: about metrics that there are, told in sentences, at the right time."""

import re
import subprocess

import pytest
import yaml

from tests.charts.__main__ import HOUSE
from tests.support.markdown import anchors

FILE = HOUSE / "dashboards/alerts.yml"
RULES = [
    pytest.param(rule, id=rule["alert"])
    for group in yaml.safe_load(FILE.read_text())["groups"]
    for rule in group["rules"]
]
DOCUMENTED = set(re.findall(r"^\| `(wp_sidecar_\w+)`", (HOUSE / "docs/metrics.md").read_text(), re.MULTILINE))

# What is recorded each minute, and whether the alert is up after this many minutes. `x`: times, `_`: nothing.
STORIES = [
    ("SidecarDown", 'up{job="wp-sidecar"}', "1 1 0x20", {1: False, 6: False, 8: True}),
    ("SidecarDown", 'up{job="wordpress"}', "0x20", {10: False}),
    ("SidecarFirewallFails", 'wp_sidecar_firewall_transactions_total{result="error"}', "0x5 1x30", {4: False, 8: True, 30: False}),
    ("SidecarFirewallFails", 'wp_sidecar_firewall_transactions_total{result="ok"}', "0+10x20", {10: False}),
    ("SidecarReadsNothing", 'wp_sidecar_log_up{job="wp-sidecar",container="shop"}', "1x3 0x20", {5: False, 10: True}),
    ("SidecarLogGap", 'wp_sidecar_log_gaps_total{container="shop"}', "0x3 1x40", {2: False, 6: True, 30: False}),
    ("SidecarSearchLosesLines", "wp_sidecar_search_lost_lines_total", "0x3 1x40", {2: False, 6: True, 30: False}),
    ("SidecarTableChanged", 'wp_sidecar_firewall_repairs_total{reason="table"}', "0 1x20", {5: False}),
    ("SidecarTableChanged", 'wp_sidecar_firewall_repairs_total{reason="table"}', "0+1x20", {10: True}),
    ("SidecarTableChanged", 'wp_sidecar_firewall_repairs_total{reason="ports"}', "0+5x20", {10: False}),
    ("SidecarDropsAreMissing", "wp_sidecar_firewall_enforcement_ratio", "1 0.9 1x30", {5: False, 30: False}),
    ("SidecarDropsAreMissing", "wp_sidecar_firewall_enforcement_ratio", "0.9 1 1 1 1 0.5 1 1 1 1 0.9 1 1 1 1 0.9x9", {20: True}),
    ("SidecarBansBypassed", 'wp_sidecar_bypassed_bans_total{kind="upstream_proxy"}', "0x3 1x40", {2: False, 6: True, 38: False}),
    ("SidecarBansMany", 'wp_sidecar_bans_total{cause="failures"}', "0+90x30", {20: False}),
    ("SidecarBansMany", 'wp_sidecar_bans_total{cause="failures"}', "0+200x30", {20: True}),
    ("SidecarBansMany", 'wp_sidecar_bans_total{cause="fleet"}', "0+200x30", {20: False}),
    ("SidecarAlertsFail", 'wp_sidecar_alerts_total{result="rejected"}', "0x3 1x40", {2: False, 6: True}),
    ("SidecarFleetDisconnected", "wp_sidecar_fleet_connected", "1x3 0x20", {8: False, 15: True}),
    ("SidecarAbsent", 'up{job="node"}', "1x40", {14: False, 16: True}),
    ("SidecarNotReady", "wp_sidecar_ready", "1x3 0x20", {6: False, 10: True}),
    ("SidecarProblem", 'wp_sidecar_problem{problem="the store"}', "1x40", {29: False, 31: True}),
    ("SidecarAttackCannotBeBanned", 'wp_sidecar_allowlisted_failures_total{container="shop",reason="a gateway"}', "0x3 200x30", {2: False, 6: True, 30: False}),
    ("SidecarAttackCannotBeBanned", 'wp_sidecar_allowlisted_failures_total{container="shop",reason="a gateway"}', "0+5x30", {30: False}),
    ("SidecarAttackCannotBeBanned", 'wp_sidecar_allowlisted_failures_total{container="shop",reason="ignoreip"}', "0+50x30", {30: False}),
    ("SidecarBanBudgetExceeded", "wp_sidecar_ban_budget_exceeded", "0x3 1x20", {6: False, 10: True}),
    ("SidecarReloadFailed", "wp_sidecar_config_last_reload_successful", "1x3 0x20", {6: False, 10: True}),
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
def test_an_alert_says_what_is_wrong_and_what_to_do(rule):
    assert rule["labels"]["severity"] in ("critical", "warning")
    # Where nothing is scraped there is no instance.
    if not rule["expr"].startswith("absent("):
        assert re.search(r"\{\{ \$labels\.instance \}\}", rule["annotations"]["summary"])
    assert rule["annotations"]["description"].endswith(".")


def test_every_rule_is_proven_to_fire():
    proven = {alert for alert, _, _, up in STORIES if any(up.values())} | {"SidecarDropsAreLate"}

    assert proven == {param.id for param in RULES}


@pytest.mark.parametrize("rule", RULES)
def test_the_runbook_is_a_heading_of_our_docs(rule):
    page, _, anchor = rule["annotations"]["runbook_url"].partition("#")

    assert anchor in anchors((HOUSE / page).read_text())


@pytest.mark.parametrize("rule", RULES)
def test_an_alert_asks_for_documented_metrics(rule):
    asked = {re.sub(r"_bucket$", "", name) for name in re.findall(r"\bwp_sidecar_\w+", rule["expr"])}

    assert asked <= DOCUMENTED
    assert asked or 'up{job="wp-sidecar"}' in rule["expr"]


@pytest.mark.parametrize(
    ("alert", "series", "values", "up"), STORIES, ids=[f"{s[0]}: {s[2]}" for s in STORIES]
)
def test_an_alert_is_up_when_it_should_be(alert, series, values, up, tmp_path):
    name, _, labels = series.partition("{")
    series = f'{name}{{instance="node-7",{labels}' if labels else f'{name}{{instance="node-7"}}'
    test = {
        "rule_files": [str(FILE)],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": series, "values": values}],
                "promql_expr_test": [
                    {
                        "expr": f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)',
                        "eval_time": f"{minutes}m",
                        "exp_samples": [{"labels": "{}", "value": int(firing)}],
                    }
                    for minutes, firing in up.items()
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_late_drops_are_told(tmp_path):
    name = "wp_sidecar_log_to_drop_seconds_bucket"
    buckets = [("0.5", "0+1x40"), ("1", "0+1x40"), ("2.5", "0+10x40"), ("+Inf", "0+10x40")]
    test = {
        "rule_files": [str(FILE)],
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": f'{name}{{instance="node-7",le="{le}"}}', "values": values}
                    for le, values in buckets
                ],
                "alert_rule_test": [
                    {"eval_time": "5m", "alertname": "SidecarDropsAreLate", "exp_alerts": []},
                ],
                "promql_expr_test": [
                    {
                        "expr": 'count(ALERTS{alertname="SidecarDropsAreLate",alertstate="firing"})',
                        "eval_time": "30m",
                        "exp_samples": [{"labels": "{}", "value": 1}],
                    }
                ],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(yaml.safe_dump(test))
    done = subprocess.run(["promtool", "test", "rules", file], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
