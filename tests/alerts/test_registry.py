import pytest

from sidecar.alerts import registry
from sidecar.alerts.notices import Notice, NoticeKind, NoticeLevel
from sidecar.alerts.outbox import Outbox
from sidecar.alerts.sink import AlertSink
from sidecar.alerts.slack import Slack


class Pigeon:
    """A new sender, as its own module would have it."""

    name = "pigeon"

    def __init__(self, url, host):
        self.url, self.host, self.sent = url, host, []

    def send(self, notice, within_s):
        self.sent.append(f"{self.host} to {self.url}: {notice.text}")

    def reconfigure(self, url):
        self.url = url


class IgnoredResults:
    """An AlertListener that does nothing."""

    def alert_sent(self, sender):
        pass

    alert_rejected = alert_failed = alert_sent


@pytest.fixture
def pigeon(monkeypatch):
    """The one row that a new sender needs."""
    monkeypatch.setitem(registry.SENDERS, "pigeon", Pigeon)


def test_a_service_with_a_url_has_a_sender():
    (slack,) = registry.make_senders({"slack": "https://hooks.example/x"}, "web1")

    assert isinstance(slack, Slack)
    assert registry.make_senders({}, "web1") == []


def test_a_new_sender_is_one_row(pigeon):
    senders = registry.make_senders({"pigeon": "the roof"}, "web1")
    outboxes = [Outbox(sender, IgnoredResults()) for sender in senders]
    AlertSink(outboxes).publish(Notice(NoticeKind.START, NoticeLevel.GOOD, "started"))
    outboxes[0].close()
    outboxes[0].run()

    assert senders[0].sent == ["web1 to the roof: started"]


def test_new_settings_change_the_url(pigeon):
    (sender,) = registry.make_senders({"pigeon": "the roof"}, "web1")
    registry.reconfigure([sender], {"pigeon": "the tower"})

    assert sender.url == "the tower"
