"""A real daemon under a storm, killed in the middle: each ban in its store was alerted once, in the order of the bans."""

import contextlib
import json
import re
import signal
import sqlite3

import pytest

from tests.support.running import Running
from tests.support.waiting import wait_until

PORT = 9_998
ADDRESSES = 1_500
COUNT = re.compile(r"([\d,]+) bans? (?:enforced|observed)")


@pytest.fixture
def daemon(tmp_path, monkeypatch):
    monkeypatch.setenv("SLACK_WEBHOOK_URL", f"http://127.0.0.1:{PORT}/services/secret")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    running = Running(tmp_path)
    yield running
    running.close()


def stored(daemon):
    """How many bans the store has."""
    with contextlib.closing(sqlite3.connect(daemon.folder / "state/state.db")) as db:
        return db.execute("SELECT count(*) FROM bans").fetchone()[0]


def alerted(posts):
    """How many bans the messages are about."""
    texts = [json.loads(post["body"])["text"].partition(": ")[2] for post in posts]
    single = sum(text.startswith(("Banned", "Would have banned")) for text in texts)
    return single + sum(int(count.replace(",", "")) for text in texts for count in COUNT.findall(text))


@pytest.mark.timeout(240)
def test_what_is_stored_is_alerted_though_the_daemon_is_killed(daemon):
    with daemon.recorded(PORT) as posts:
        daemon.start(ready=False)
        daemon.wait_until_read(daemon.log)
        for first in range(0, ADDRESSES, ADDRESSES // 3):
            for number in range(first, first + ADDRESSES // 3):
                # Each in a network of its own: many in one /24 would be one ban.
                daemon.fail(f"91.{number // 250}.{number % 250}.7", 3)
            wait_until(lambda first=first: stored(daemon) > first + 50)
            if first + ADDRESSES // 3 < ADDRESSES:
                daemon.end(signal.SIGKILL)
                daemon.start(ready=False)
        wait_until(lambda: stored(daemon) == ADDRESSES, timeout=60, message=lambda: str(stored(daemon)))
        daemon.end(signal.SIGTERM)
        bans = [post for post in posts() if "ban" in json.loads(post["body"])["text"].lower()]

    assert alerted(bans) == ADDRESSES
    assert len(bans) <= 20
