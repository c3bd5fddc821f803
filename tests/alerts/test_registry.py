import pytest

from sidecar.alerts import registry
from sidecar.alerts.compose import problem, started
from sidecar.alerts.journal import Journal
from sidecar.alerts.outbox import Outbox
from sidecar.alerts.registry import make_channels
from sidecar.alerts.slack import Slack
from sidecar.core.actions import SHARED, Action, AlertEvent, RequestTemplate
from sidecar.core.jail import Jail
from sidecar.runtime.problems import Problems
from tests.alerts.support import Kept, ban

SLACK = Action("slack", "slack", (("url", "https://hooks.example/x"),))
REQUEST = (AlertEvent.BAN, RequestTemplate("https://hooks.example/y"))
ALL = {
    "slack": "https://hooks.example/x", "webhook": "https://a.example", "webhook_secret": "s", "apprise": "json://a",
    "mail": "a@example.org", "smtp": "smtp://mail.example", "exec": "1",
}  # fmt: skip


class Pigeon:
    """A new sender, as its own module would have it."""

    def __init__(self, name, action, host):
        self.name, self.url, self.host, self.sent = name, action.option("url"), host, []

    def send(self, notice, within_s):
        self.sent.append(f"{self.host} to {self.url}: {notice.text}")


@pytest.fixture
def pigeon(monkeypatch):
    """The row that a new sender needs."""
    monkeypatch.setitem(
        registry.SENDERS, "pigeon", lambda name, action, _, inputs: Pigeon(name, action, inputs.host)
    )


def test_a_new_sender_is_one_row(pigeon):
    jail = Jail("web", actions=(Action("pigeon", "pigeon", (("url", "the roof"),)),))
    (channel,) = make_channels([jail], {}, "web1")
    outbox = Outbox(Journal(None), [channel], Kept(), Problems())
    outbox.open()
    outbox.publish_notice(started("1", [], 0))
    outbox.deliveries[0].step()

    assert channel.sender.sent == ["web1 to the roof: wp-sidecar 1 has started"]


def test_each_variable_is_a_channel_for_all_jails():
    channels = make_channels([Jail("web")], ALL, "web1")

    assert [(channel.key, channel.sender.name) for channel in channels] == [
        (kind, kind) for kind in ("slack", "webhook", "apprise", "mail")
    ]
    assert all(channel.accepts(ban(jail="anything")) for channel in channels)
    assert make_channels([Jail("web")], {}, "web1") == []


def test_jails_with_the_same_destination_share_a_channel():
    jails = [Jail("a", actions=(SLACK,)), Jail("b", actions=(SLACK,)), Jail("c")]
    (channel,) = make_channels(jails, {}, "")

    assert isinstance(channel.sender, Slack)
    assert [channel.accepts(ban(jail=name)) for name in "abc"] == [True, True, False]
    assert channel.key.startswith("slack-") and "hooks" not in channel.key


def test_an_action_at_the_variables_url_says_what_of_its_jail_is_sent_there():
    quiet = Action("slack", "slack", events=frozenset({AlertEvent.PROBLEM}))
    (channel,) = make_channels(
        [Jail("a", actions=(quiet,)), Jail("b")], ALL | {"webhook": "", "apprise": "", "mail": ""}, ""
    )

    assert (channel.key, channel.accepts(ban(jail="a")), channel.accepts(ban(jail="b"))) == (
        "slack",
        False,
        True,
    )


def test_an_action_file_at_the_variables_url_doubles_nothing():
    template = Action("http", "slack", (), ((AlertEvent.BAN, RequestTemplate(ALL["slack"])),))
    slack, file = make_channels([Jail("a", actions=(template,)), Jail("b")], {"slack": ALL["slack"]}, "")

    assert [each.accepts(ban(jail="a")) for each in (slack, file)] == [False, True]
    assert [each.accepts(ban(jail="b")) for each in (slack, file)] == [True, False]
    assert [each.accepts(problem("docker", "gone")) for each in (slack, file)] == [True, False]


def test_senders_of_the_same_kind_have_names_of_their_own():
    other = Action("slack", "slack", (("url", "https://hooks.example/z"),))
    templates = Action("http", "slack", (), (REQUEST,))
    channels = make_channels([Jail("a", actions=(SLACK, other, templates))], {}, "")

    assert [channel.sender.name for channel in channels] == ["slack", "slack-2", "slack-3"]
    assert len({channel.key for channel in channels}) == 3


def test_an_action_that_lacks_something_has_no_channel():
    kinds = [Action(kind, kind) for kind in ("slack", "webhook", "mail", "apprise", "exec")]

    assert make_channels([Jail("a", actions=tuple(kinds))], {}, "") == []


def test_a_command_is_run_for_each_ban():
    command = Action("exec", "exec", (("arguments", '["/bin/true"]'),))
    (channel,) = make_channels([Jail("a", actions=(command,))], {"exec": "1"}, "")

    assert not channel.digests
    assert set(SHARED) == {"slack", "webhook", "apprise", "mail", "exec"}
