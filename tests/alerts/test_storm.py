"""5,000 bans in a minute, ten minutes in which the service does not accept anything, and three times `kill -9`."""

import re
import subprocess
import sys

import pytest

from tests.alerts.storm import BANS
from tests.support.paths import ROOT

OUTAGE = range(6, 606)
KILLED_AT = (20, 300, 606)
END = 700
COUNT = re.compile(r"([\d,]+) bans? (enforced|observed)")


class Storm:
    """The process, and the lockstep with it."""

    def __init__(self, folder, url):
        self._command = [sys.executable, "-m", "tests.alerts.storm", str(folder), url]
        self.second = self.done = 0
        self._start()

    def _start(self):
        pipe = subprocess.PIPE
        arguments = [*self._command, str(self.second), str(self.done)]
        self._process = subprocess.Popen(arguments, stdin=pipe, stdout=pipe, cwd=ROOT, text=True)

    def next(self):
        """The second that the process has come to, once it has published its bans."""
        self.second, self.done = map(int, self._process.stdout.readline().split())
        return self.second

    def go(self):
        """Let it send."""
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()
        self._process.stdout.close()

    def restart(self):
        self.kill()
        self._start()


@pytest.fixture
def storm(tmp_path, webhook):
    storm = Storm(tmp_path / "alerts", webhook.url)
    yield storm
    storm.kill()


def counted(texts):
    """How many bans the messages are about, (enforced, observed)."""
    found = {"enforced": 0, "observed": 0}
    for text in texts:
        if text.startswith(("Banned", "Would")):
            found["enforced" if text.startswith("Banned") else "observed"] += 1
        for count, word in COUNT.findall(text):
            found[word] += int(count.replace(",", ""))
    return found["enforced"], found["observed"]


def sender_of(message):
    return "slack" if "attachments" in message else "webhook"


def first_addresses(message):
    """The address of a single ban, or those that a digest names, as numbers."""
    if sender_of(message) == "slack":
        fields = {field["title"]: field["value"] for field in message["attachments"][0]["fields"]}
    else:
        fields = message["fields"]
    text = fields.get("Addresses") or fields["Address"]
    found = re.findall(r"203\.0\.(\d+)\.(\d+)", text)
    return [int(high) * 250 + int(low) for high, low in found]


@pytest.mark.timeout(240)
def test_a_storm_is_a_few_messages_none_lost_and_none_out_of_order(storm, webhook):
    outage = [(429, {"Retry-After": "7"}, b""), (500, {}, b""), None, (503, {}, b"")]
    tries = {"slack": 0, "webhook": 0}

    def decide(message):
        if storm.second not in OUTAGE:
            return 200, {}, b"ok"
        tries[sender_of(message)] += 1
        return outage[tries[sender_of(message)] % len(outage)]

    webhook.decide = decide
    kills = list(KILLED_AT)
    while storm.next() < END:
        if kills and storm.second >= kills[0]:
            del kills[0]
            storm.restart()
            continue
        storm.go()

    for sender, tried in tries.items():
        messages = [message for message in webhook.accepted if sender_of(message) == sender]
        assert counted(message["text"] for message in messages) == (BANS - BANS // 5, BANS // 5)
        assert len(messages) <= 10
        order = [number for message in messages for number in first_addresses(message)]
        assert order == sorted(set(order))
        # All kinds of an outage came, and it was waited out and not hammered on.
        assert len(outage) < tried < 60
    assert kills == []
