"""The monitoring profile's Alertmanager: what its start script writes is a configuration, whatever the variables hold."""

import os
import shutil
import subprocess

import pytest
import yaml

from tests.support.paths import ROOT

SCRIPT = ROOT / "dashboards/alertmanager.sh"
SLACK, OTHER = "https://hooks.example/services/T0/B0/it's#x", "https://hooks.example/$HOME/`id`?a=1&b=\\n"


def written(folder, **environ):
    """Run the script with a program that does nothing; return the receiver that it wrote."""
    file = folder / "alertmanager.yml"
    run = {"PATH": os.environ["PATH"], "ALERTMANAGER": "true", "ALERTMANAGER_CONFIG": str(file)}
    subprocess.run(["sh", SCRIPT], env={**run, **environ}, check=True)
    assert shutil.which("amtool"), "this test needs amtool: install prometheus-alertmanager (make setup does)"
    done = subprocess.run(["amtool", "check-config", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert file.stat().st_mode & 0o077 == 0
    (receiver,) = yaml.safe_load(file.read_text())["receivers"]
    return receiver


@pytest.mark.parametrize(
    ("environ", "urls"),
    [
        ({}, [None, None]),
        ({"SLACK_WEBHOOK_URL": "", "WP_SIDECAR_WEBHOOK_URL": ""}, [None, None]),
        ({"SLACK_WEBHOOK_URL": SLACK}, [SLACK, None]),
        ({"WP_SIDECAR_WEBHOOK_URL": OTHER}, [None, OTHER]),
        ({"SLACK_WEBHOOK_URL": SLACK, "WP_SIDECAR_WEBHOOK_URL": OTHER}, [SLACK, OTHER]),
    ],
)
def test_alerts_go_where_the_variables_say(tmp_path, environ, urls):
    receiver = written(tmp_path, **environ)

    slack, webhook = (receiver.get(kind, [{}])[0] for kind in ("slack_configs", "webhook_configs"))
    assert [slack.get("api_url"), webhook.get("url")] == urls


def test_compose_gives_it_the_variables_of_wp_sidecar():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    wanted = services["alertmanager"]["environment"]

    assert wanted == {
        name: value for name, value in services["wp-sidecar"]["environment"].items() if name in wanted
    }
    assert set(wanted) == {"SLACK_WEBHOOK_URL", "WP_SIDECAR_WEBHOOK_URL"}
