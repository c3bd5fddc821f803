import base64
import hashlib
import hmac
import json
import math

import pytest

from sidecar.alerts.compose import described, digested, problem
from sidecar.alerts.occurrences import Digest
from sidecar.alerts.sender import Delayed
from sidecar.alerts.webhook import Webhook, key_of, message_id, payload
from sidecar.core.actions import Action
from tests.alerts.support import ban

BAN = described(ban(7, at=1_000.0, lines=("a line",)))


def test_a_ban_is_json():
    assert payload(BAN, "web1") == {
        "event": "ban",
        "host": "web1",
        "at": 1_000.0,
        "jail": "wordpress",
        "text": "Banned 203.0.0.7 after 3 failures",
        "fields": {
            "Address": "203.0.0.7", "Failures": "3", "Jail": "wordpress", "Container": "blog",
            "Until": "1970-01-01 00:17:40 UTC (1m)", "Last line": "a line",
        },
        "address": "203.0.0.7", "site": "blog", "until": 1_060.0, "cause": "failures", "failures": 3,
        "ban_count": 1, "dry_run": False, "reason": "", "lines": ("a line",),
    }  # fmt: skip
    assert payload(described(ban(until=math.inf)), "")["until"] is None


def test_a_digest_has_all_addresses_and_counts_apart():
    digest = Digest()
    digest.add([ban(number, dry_run=number > 9) for number in range(30)])
    found = payload(digested(digest), "")

    assert (found["event"], found["count"], len(found["addresses"])) == ("digest", 30, 30)
    assert found["counts"] == [
        {"event": "ban", "dry_run": False, "count": 10},
        {"event": "ban", "dry_run": True, "count": 20},
    ]
    assert (found["jails"], found["sites"]) == ({"wordpress": 30}, {"blog": 30})


def test_a_problem_has_its_name():
    assert payload(problem("docker", "gone"), "")["problem"] == "docker"


@pytest.mark.parametrize(
    ("secret", "key"),
    [("a phrase", b"a phrase"), ("whsec_" + base64.b64encode(b"\x00\x01key").decode(), b"\x00\x01key")],
)
def test_a_receiver_can_check_the_signature(webhook, secret, key):
    options = (("url", webhook.url), ("secret", secret))
    Webhook(webhook.url, "web1", Action("webhook", "webhook", options)).send(BAN, 5.0)
    ((_, _, headers),), (body,) = webhook.requests, webhook.bodies
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()

    assert headers["webhook-signature"] == f"v1,{expected}"
    assert json.loads(body)["address"] == "203.0.0.7"
    assert key_of(secret) == key


def test_without_a_secret_nothing_is_signed(webhook):
    Webhook(webhook.url).send(BAN, 5.0)

    assert "webhook-signature" not in webhook.requests[0][2]


def test_each_try_has_the_same_id_and_each_message_another(webhook):
    sender = Webhook(webhook.url)
    webhook.answers = [(500, {}, b"")]
    with pytest.raises(Delayed):
        sender.send(BAN, 5.0)
    sender.send(BAN, 5.0)
    ids = [headers["webhook-id"] for _, _, headers in webhook.requests]

    assert ids[0] == ids[1]
    assert len({message_id(described(ban(number)), "") for number in range(50)}) == 50
