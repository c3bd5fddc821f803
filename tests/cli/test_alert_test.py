"""`alert test` as it is installed, with a local webhook."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.alerts.conftest import Webhook

WP = Path(sys.executable).with_name("wp-sidecar")


@pytest.fixture
def webhook():
    webhook = Webhook()
    yield webhook
    webhook.close()


def alert_test(*options, **environ):
    done = subprocess.run(
        [WP, "alert", "test", *options], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_each_sender_is_tried_and_its_result_is_shown(webhook):
    webhook.answers = [(200, {}, b"ok"), (404, {}, b"")]
    code, out, _ = alert_test(SLACK_WEBHOOK_URL=webhook.url, WP_SIDECAR_WEBHOOK_URL=webhook.url)

    assert code == 1
    assert out == (
        "slack: sent\n"
        "webhook: The webhook answered 404: does the webhook of WP_SIDECAR_WEBHOOK_URL still exist?\n"
    )
    assert webhook.got[0]["text"].endswith(": Test message of wp-sidecar: alerts arrive here")


def test_one_sender_may_be_chosen_and_a_ban_be_tried(webhook):
    code, out, _ = alert_test(
        "--sender=webhook",
        "--ban",
        "--json",
        SLACK_WEBHOOK_URL=webhook.url,
        WP_SIDECAR_WEBHOOK_URL=webhook.url,
    )

    assert (code, json.loads(out)) == (
        0,
        {"ok": True, "senders": [{"name": "webhook", "sent": True, "why": None}]},
    )
    assert [(message["event"], message["address"]) for message in webhook.got] == [("ban", "203.0.113.7")]


def test_without_a_sender_it_says_what_to_set():
    assert alert_test() == (
        78, "",
        "wp-sidecar: no sender is configured: set SLACK_WEBHOOK_URL, or an `action` (docs/alerts.md); check-config has notes\n",
    )  # fmt: skip
    assert (
        "there is no sender mail" in alert_test("--sender=mail", SLACK_WEBHOOK_URL="http://127.0.0.1:9/")[2]
    )
