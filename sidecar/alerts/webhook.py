"""The sender for a webhook of one's own: JSON, signed as https://www.standardwebhooks.com describes.

webhook-id: msg_41_ban         the same for each try, so that a receiver can drop what it has
webhook-timestamp: 1793880000
webhook-signature: v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")>
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import time
from typing import Any, Final

from sidecar.alerts.http_request import WebRequest, send
from sidecar.alerts.notices import Notice
from sidecar.alerts.occurrences import Digest, Occurrence
from sidecar.core.actions import Action

# How secrets of Standard Webhooks are written: this, and base64.
BASE64: Final = "whsec_"


class Webhook:
    """Posts notices as JSON to one URL."""

    def __init__(self, url: str, host: str = "", action: Action | None = None, name: str = "webhook") -> None:
        self.name = name
        self._action = action or Action("webhook", "webhook", source="WP_SIDECAR_WEBHOOK_URL")
        self._url, self._host = url, host
        self._secret = key_of(self._action.option("secret"))

    def send(self, notice: Notice, within_s: float) -> None:
        """Post the notice. Raises Delayed, Rejected or Refused."""
        body = json.dumps(payload(notice, self._host)).encode()
        headers = {"Content-Type": "application/json", "webhook-id": message_id(notice, self._host)}
        headers["webhook-timestamp"] = timestamp = str(int(time.time()))
        if self._secret:
            headers["webhook-signature"] = signature(self._secret, headers["webhook-id"], timestamp, body)
        send(WebRequest(self._url, body, "The webhook", self._action.source, headers=headers), within_s)


def payload(notice: Notice, host: str) -> dict[str, Any]:
    """Return the notice as JSON has it. Times are unix seconds; a ban for good has `until: null`."""
    found: dict[str, Any] = {
        "event": notice.kind,
        "host": host,
        "at": notice.at,
        "jail": notice.jail,
        "text": notice.text,
        "fields": {each.title: each.value for each in notice.fields},
    }
    if notice.key:
        found["problem"] = notice.key
    if notice.occurrence:
        found |= _of_occurrence(notice.occurrence)
    if notice.digest:
        found |= _of_digest(notice.digest)
    return found


def message_id(notice: Notice, host: str) -> str:
    """Return an id that is the same for each try of this notice, also after a restart."""
    parts = (host, notice.kind, notice.text, notice.jail, repr(notice.at), notice.key)
    return f"msg_{hashlib.sha256(chr(0).join(parts).encode(errors='replace')).hexdigest()[:24]}"


def signature(secret: bytes, identifier: str, timestamp: str, body: bytes) -> str:
    signed = f"{identifier}.{timestamp}.".encode() + body
    return "v1," + base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()


def key_of(secret: str) -> bytes:
    """Return the bytes of a secret: base64 behind `whsec_`, or any text."""
    if secret.startswith(BASE64):
        return base64.b64decode(secret.removeprefix(BASE64))
    return secret.encode()


def _of_occurrence(one: Occurrence) -> dict[str, Any]:
    return {
        "address": one.address,
        "site": one.site,
        "until": None if one.until == math.inf else one.until,
        "cause": one.cause,
        "failures": one.failures,
        "ban_count": one.ban_count,
        "dry_run": one.dry_run,
        "reason": one.reason,
        "lines": one.lines,
    }


def _of_digest(digest: Digest) -> dict[str, Any]:
    return {
        "count": digest.count,
        "counts": [
            {"event": event, "dry_run": dry_run, "count": count}
            for (event, dry_run), count in digest.events.items()
            if count
        ],
        "jails": {name: count for name, count in digest.jails.items() if count},
        "sites": {name: count for name, count in digest.sites.items() if count and name},
        # As far as there was room for them.
        "addresses": digest.addresses,
    }
